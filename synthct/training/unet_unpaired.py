"""The U-Net of ``unet`` without pairs: it learns from pseudo-pairs, MRs with the CTs of other patients on them.

An adversarial loss finds the right HU, but for long not where they belong; position finds that at once. CTs of other
patients, registered to an MR, are its own CT moved at random by some millimetres, and L1 bears with that: its optimum
is the median of the CTs that the image before it may have, which is sharp where the MR shows an edge.
"""

from __future__ import annotations

import bisect
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from synthct.imaging.planes import turned
from synthct.json_dataclasses import check_ranges
from synthct.parallel import Progress
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.distributed import agreed
from synthct.training.pseudo_pairs import PseudoPairs, names_of
from synthct.training.trainer import CachedSlices
from synthct.training.unet import UNetRegression, UNetSettings
from synthct.training.validation import sct_slice_hu

PSEUDO_PAIRS = "pseudo_pairs"  # in a fold's folder, a folder a round, until the training is complete
LATER_ROUNDS = 0.7  # of the learning rate of the first
AIR_HU = -1000.0


@dataclass(frozen=True)
class UNetUnpairedSettings(UNetSettings):
    """Those of ``unet``, and how pseudo-pairs are made."""

    cts_per_mr: int = 8  # other patients' CTs that an MR is shown, those that fit best
    own_cts: bool = False  # a patient with an aligned CT of his own is shown that one
    rounds: int = 2  # after each but the last the CTs are deformed to the sCTs of the network so far

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, cts_per_mr=(1, 1000), rounds=(1, 20))


class UNetUnpaired(UNetRegression):
    """Masked L1 on pseudo-pairs; nothing of a patient's own CT is used, unless ``own_cts`` asks for it."""

    Settings = UNetUnpairedSettings
    needs_pairs = False

    def rounds(self, epochs: int) -> list[int]:
        """Of equal length."""
        n = min(self.settings.rounds, epochs)
        return [epochs * i // n for i in range(n)]

    def learning_rate_factor(self, epoch: int, step: int, steps: int) -> float:
        """That of ``unet`` in each round, which a later one begins lower."""
        epochs = self.configuration.training.epochs
        bounds = [first * steps // epochs for first in [*self.rounds(epochs), epochs]]
        number = bisect.bisect_right(bounds[1:-1], step)
        first, end = bounds[number], bounds[number + 1]
        factor = super().learning_rate_factor(epoch, step - first, end - first)
        return factor if number == 0 else LATER_ROUNDS * factor

    def training_slices(
        self, cached: CachedSlices, own: Path, number: int, progress: Progress
    ) -> tuple[Path, list[str]]:
        """Pseudo-pairs, each round's in a folder of their own; those of later rounds are made by the weights as now."""
        pairs = PseudoPairs(
            cached.folder,
            cached.patients,
            self.configuration.preprocessing,
            self.settings.cts_per_mr,
            self.settings.own_cts,
            cached.disjoint,
            self.configuration.training.seed,
            torch.get_num_threads(),
        )
        first, folder = (own / PSEUDO_PAIRS / str(n) for n in (0, number))
        if self.ranks.leads:
            for other in (own / PSEUDO_PAIRS).glob(
                "*"
            ):  # of later rounds: an earlier training, stopped there, left them
                if other not in (first, folder):
                    shutil.rmtree(other, ignore_errors=True)
            pairs.write(first, progress=progress)
            if number:
                pairs.write_deformed(folder, number, first, self._sct_hu, progress=progress)
        agreed([False], self.ranks)  # the others wait for the first
        return folder, names_of(folder)

    def on_train_end(self, own: Path) -> None:
        if self.ranks.leads:
            shutil.rmtree(own / PSEUDO_PAIRS, ignore_errors=True)

    def _sct_hu(self, stack: SliceStack) -> np.ndarray:
        """sCT of a stack's MR as the network is now, HU in the plane of the stack."""
        shown = NetworkInput(self.configuration.input, self.settings.coding)
        view = stack.in_plane(shown.plan.plane)
        sct = np.full(view.regions.shape, AIR_HU, np.float32)
        for i in shown.shown(view).tolist():
            sct[i] = sct_slice_hu(self, shown, shown.mr(view, i))[0]
        return turned(sct, view.plane, stack.plane)
