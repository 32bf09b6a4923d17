"""Whether losses are finite: looked at for many steps together, as each look waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor

from synthct.errors import TrainingError
from synthct.training.loader import KEYS, Batch
from synthct.training.sampling import Key

STEPS_BETWEEN_CHECKS = 50

Keys = dict[str, list[Key]]  # of a batch: which slices its MR and CT images are


class FiniteLosses:
    """Steps whose losses are not yet looked at."""

    def __init__(self) -> None:
        self._unchecked: list[tuple[int, Keys, dict[str, Tensor]]] = []

    @property
    def due(self) -> bool:
        """Whether it is time for a look."""
        return len(self._unchecked) >= STEPS_BETWEEN_CHECKS

    def note(self, step: int, batch: Batch, losses: dict[str, Tensor]) -> None:
        """Remember a step's losses, which stay on the device."""
        # Not the images: this many batches of them would be kept.
        self._unchecked.append((step, {name: batch[name] for name in KEYS}, losses))

    def check(self, remedy: str) -> None:
        """Stop at the first step since the last look whose losses are not finite.

        Args:
            remedy: for the message.

        Raises:
            TrainingError: naming the loss, the step and its slices.
        """
        if not self._unchecked:
            return
        sums = torch.stack([torch.stack(list(losses.values())).sum() for _, _, losses in self._unchecked])
        bad = (~sums.isfinite()).nonzero().flatten().tolist()
        if bad:
            step, keys, losses = self._unchecked[bad[0]]
            names = ", ".join(name for name, loss in losses.items() if not loss.isfinite())
            raise TrainingError(
                f"The loss {names} is not finite at step {step} (MR {_slices(keys['mr_keys'])}; "
                f"CT {_slices(keys['ct_keys'])}); {remedy}, or train with precision float32."
            )
        self._unchecked = []


def _slices(keys: list[Key]) -> str:
    return ", ".join(f"{patient} slice {i}" for patient, i in keys)
