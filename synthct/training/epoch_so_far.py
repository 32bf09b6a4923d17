"""The epoch at hand: its finished steps, the sums of their losses, and the time that they took."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from synthct.training.distributed import Ranks, mean_over_ranks


class EpochSoFar:
    """What is known of an epoch until it ends; a part of the checkpoints.

    Attributes:
        steps: finished ones.
        learning_rate: of the last step.
    """

    def __init__(self, learning_rate: float) -> None:
        self.steps = 0
        self.learning_rate = learning_rate
        self._loss_sums: dict[str, Tensor] = {}
        self._seconds = 0.0  # in earlier runs
        self._started = time.monotonic()

    def start(self) -> None:
        """Time runs from now on."""
        self._started = time.monotonic()

    def add(self, losses: dict[str, Tensor]) -> None:
        """A finished step's losses, which stay on the device."""
        for name, loss in losses.items():
            self._loss_sums[name] = self._loss_sums[name] + loss if name in self._loss_sums else loss
        self.steps += 1

    def mean_losses(self, ranks: Ranks) -> dict[str, float]:
        """By name, over the finished steps of all processes that train together."""
        sums = mean_over_ranks(self._loss_sums, ranks)
        return {name: float(total) / max(1, self.steps) for name, total in sums.items()}

    @property
    def seconds(self) -> float:
        """That its steps have taken, in earlier runs too."""
        return self._seconds + time.monotonic() - self._started

    def end(self) -> None:
        """The next epoch has no step yet; its learning rate is the last one until then."""
        self.steps, self._loss_sums, self._seconds = 0, {}, 0.0

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "step_in_epoch": self.steps,
            "loss_sums": self._loss_sums,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds if self.steps else self._seconds,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore :meth:`state_dict`, on a device."""
        self.steps, self._seconds = state["step_in_epoch"], state["seconds"]
        self._loss_sums = {name: total.to(device) for name, total in state["loss_sums"].items()}
        # For the log, where the training was stopped after the last step of an epoch; each step sets its own.
        self.learning_rate = state.get("learning_rate", self.learning_rate)
