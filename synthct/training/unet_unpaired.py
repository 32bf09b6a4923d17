"""The U-Net of ``unet`` without pairs: it learns from pseudo-pairs, MRs with the CTs of other patients on them.

An adversarial loss finds the right HU, but for long not where they belong; position finds that at once. CTs of other
patients, registered to an MR, are its own CT moved at random by some millimetres, and L1 bears with that: its optimum
is the median of the CTs that the image before it may have, which is sharp where the MR shows an edge.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthct.json_dataclasses import check_ranges
from synthct.parallel import Progress, quiet
from synthct.training.distributed import agreed
from synthct.training.pseudo_pairs import PseudoPairs
from synthct.training.unet import UNetRegression, UNetSettings

PSEUDO_PAIRS = "pseudo_pairs"  # in a fold's folder, until the training is complete


@dataclass(frozen=True)
class UNetUnpairedSettings(UNetSettings):
    """Those of ``unet``, and how pseudo-pairs are made."""

    cts_per_mr: int = 8  # other patients' CTs that an MR is shown, those that fit best
    own_cts: bool = False  # a patient with an aligned CT of his own is shown that one

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, cts_per_mr=(1, 1000))


class UNetUnpaired(UNetRegression):
    """Masked L1 on pseudo-pairs; nothing of a patient's own CT is used, unless ``own_cts`` asks for it."""

    Settings = UNetUnpairedSettings
    needs_pairs = False

    def training_slices(
        self, slices: Path, patients: Sequence[str], own: Path, *, disjoint: bool, progress: Progress = quiet
    ) -> tuple[Path, list[str]]:
        """Pseudo-pairs in a folder of their own."""
        pairs = PseudoPairs(
            slices,
            patients,
            self.configuration.preprocessing,
            self.settings.cts_per_mr,
            self.settings.own_cts,
            disjoint,
            self.configuration.training.seed,
        )
        folder = own / PSEUDO_PAIRS
        if self.ranks.leads:
            pairs.write(folder, progress=progress)
        agreed([False], self.ranks)  # the others wait for the first
        return folder, pairs.write(folder)

    def on_train_end(self, own: Path) -> None:
        if self.ranks.leads:
            shutil.rmtree(own / PSEUDO_PAIRS, ignore_errors=True)
