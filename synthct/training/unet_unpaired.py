"""The U-Net of ``unet`` without pairs: it learns from pseudo-pairs, MRs with the CTs of other patients on them.

An adversarial loss finds the right HU, but for long not where they belong; position finds that at once. CTs of other
patients, registered to an MR, are its own CT moved at random by some millimetres, and L1 bears with that: its optimum
is the median of the CTs that the image before it may have, which is sharp where the MR shows an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from synthct.json_dataclasses import added_later, check_ranges
from synthct.parallel import Progress
from synthct.training.pseudo_pairs import PseudoPairs
from synthct.training.rounds import RoundFolders
from synthct.training.trainer import CachedSlices
from synthct.training.unet import UNetRegression, UNetSettings


@dataclass(frozen=True)
class UNetUnpairedSettings(UNetSettings):
    """Those of ``unet``, and how pseudo-pairs are made."""

    cts_per_mr: int = 8  # other patients' CTs that an MR is shown, those that fit best
    own_cts: bool = False  # a patient with an aligned CT is shown that one
    rounds: int = added_later(2)  # after each but the last the CTs are deformed to the sCTs of the network so far

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, cts_per_mr=(1, 1000))


class UNetUnpaired(UNetRegression):
    """Masked L1 on pseudo-pairs; nothing of a patient's own CT is used, unless ``own_cts`` asks for it."""

    Settings = UNetUnpairedSettings
    needs_pairs = False
    made = "pseudo_pairs"
    makes_first_round = True

    def make_slices(self, cached: CachedSlices, folders: RoundFolders, number: int, progress: Progress) -> None:
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
        pairs.write(folders.of(0), progress=progress)
        if number:
            pairs.write_deformed(folders.of(number), number, folders.of(0), self.stack_sct_hu, progress=progress)
