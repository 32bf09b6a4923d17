"""Training in rounds: before each but the first, CTs are moved by what the network has learnt so far."""

from __future__ import annotations

import bisect
import shutil
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from synthct.imaging.coding import AIR_HU
from synthct.imaging.planes import turned
from synthct.parallel import Progress
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.distributed import agreed
from synthct.training.made_slices import names_of
from synthct.training.trainer import CachedSlices, Trainer
from synthct.training.validation import sct_slice_hu


@dataclass(frozen=True)
class RoundFolders:
    """Of one method in the folder of a fold, until the training is complete: a folder a round."""

    base: Path

    def of(self, number: int) -> Path:
        return self.base / str(number)

    def keep_only(self, *numbers: int) -> None:
        """Remove those of other rounds: a later one's were left by an earlier training that was stopped there."""
        for other in self.base.glob("*"):
            if other not in map(self.of, numbers):
                shutil.rmtree(other, ignore_errors=True)


class TrainerInRounds(Trainer):
    """A method whose settings have ``rounds``: equal parts of the training."""

    made: ClassVar[str]  # folder of its slices in the folder of a fold
    makes_first_round: ClassVar[bool] = False  # else the patients' cached slices are those of the first

    @abstractmethod
    def make_slices(self, cached: CachedSlices, folders: RoundFolders, number: int, progress: Progress) -> None:
        """Make a round's, or take them as they are where they are there; in the main process alone.

        Arguments as of :meth:`training_slices`.
        """

    def rounds(self, epochs: int) -> list[int]:
        """Of equal length."""
        n = min(self.settings.rounds, epochs)
        return [epochs * i // n for i in range(n)]

    def place_in_round(self, step: int, steps: int) -> tuple[int, int, int]:
        """Number of the round of a step of the training, from 0; the step and the number of steps of that round."""
        epochs = self.configuration.training.epochs
        bounds = [first * steps // epochs for first in [*self.rounds(epochs), epochs]]
        number = bisect.bisect_right(bounds[1:-1], step)
        return number, step - bounds[number], bounds[number + 1] - bounds[number]

    def training_slices(
        self, cached: CachedSlices, own: Path, number: int, progress: Progress
    ) -> tuple[Path, list[str]]:
        folders = RoundFolders(own / self.made)
        is_made = number > 0 or self.makes_first_round
        if self.ranks.is_main_process:
            folders.keep_only(0, number)
            if is_made:
                self.make_slices(cached, folders, number, progress)
        agreed([False], self.ranks)  # the others wait for the first
        if not is_made:
            return super().training_slices(cached, own, number, progress)
        return folders.of(number), names_of(folders.of(number))

    def on_train_end(self, own: Path) -> None:
        if self.ranks.is_main_process:
            shutil.rmtree(own / self.made, ignore_errors=True)

    def stack_sct_hu(self, stack: SliceStack) -> np.ndarray:
        """sCT of a stack's MR by the network as it is now, HU (slices, rows, cols) in the plane of the stack."""
        shown = NetworkInput(self.configuration.input, self.settings.coding)
        view = stack.in_plane(shown.plan.plane)
        sct = np.full(view.regions.shape, AIR_HU, np.float32)
        for i in shown.shown(view).tolist():
            sct[i] = sct_slice_hu(self, shown, shown.mr(view, i))[0]
        return turned(sct, view.plane, stack.plane)
