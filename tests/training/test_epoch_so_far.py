"""The epoch at hand: its mean losses, and the same after a checkpoint."""

import pytest
import torch

from synthct.training.distributed import ALONE
from synthct.training.epoch_so_far import EpochSoFar

CPU = torch.device("cpu")


def epoch_of(*losses: float) -> EpochSoFar:
    epoch = EpochSoFar(2e-4)
    epoch.start()
    for loss in losses:
        epoch.add({"l1": torch.tensor(loss)})
    return epoch


def test_losses_are_averaged_over_the_finished_steps():
    epoch = epoch_of(1.0, 2.0, 6.0)
    assert epoch.steps == 3 and epoch.mean_losses(ALONE) == {"l1": pytest.approx(3.0)}
    epoch.end()
    assert epoch.steps == 0 and epoch.mean_losses(ALONE) == {}


def test_a_restored_epoch_goes_on_where_it_was():
    epoch = epoch_of(1.0, 2.0)
    epoch.learning_rate = 1e-4
    restored = EpochSoFar(2e-4)
    restored.load_state_dict(epoch.state_dict(), CPU)
    restored.add({"l1": torch.tensor(6.0)})
    assert restored.steps == 3 and restored.mean_losses(ALONE) == {"l1": pytest.approx(3.0)}
    assert restored.learning_rate == 1e-4 and restored.seconds >= epoch.state_dict()["seconds"] >= 0


def test_an_epoch_without_a_step_has_taken_no_time():
    assert epoch_of().state_dict()["seconds"] == 0.0


def test_a_checkpoint_of_an_earlier_version_lacks_the_learning_rate():
    state = epoch_of(1.0).state_dict()
    del state["learning_rate"]
    restored = EpochSoFar(3e-4)
    restored.load_state_dict(state, CPU)
    assert restored.learning_rate == 3e-4
