"""Losses are looked at now and then; the first step whose losses are not finite is named with its slices."""

import pytest
import torch

from synthct.errors import TrainingError
from synthct.training.finite_losses import STEPS_BETWEEN_CHECKS, FiniteLosses


def note(losses: FiniteLosses, step: int, **values: float) -> None:
    batch = {"mr": torch.zeros(1), "ct": torch.zeros(1), "mr_keys": [("P1", step)], "ct_keys": [("P2", 2 * step)]}
    losses.note(step, batch, {name: torch.tensor(value) for name, value in values.items()})


def test_the_first_bad_step_is_named_with_its_losses_and_slices():
    losses = FiniteLosses()
    note(losses, 1, l1=1.0, adversarial=2.0)
    note(losses, 2, l1=float("nan"), adversarial=2.0)
    note(losses, 3, l1=float("nan"), adversarial=float("inf"))
    with pytest.raises(
        TrainingError, match=r"loss l1 is not finite at step 2 \(MR P1 slice 2; CT P2 slice 4\); remedy"
    ):
        losses.check("remedy")


def test_steps_are_looked_at_once():
    losses = FiniteLosses()
    losses.check("nothing was noted")
    for step in range(STEPS_BETWEEN_CHECKS):
        assert not losses.due
        note(losses, step, l1=1.0)
    assert losses.due
    losses.check("all are finite")
    assert not losses.due
