"""A quick look during training: MAE on slices of held-out patients, and an example to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from synthct.imaging.intensity import from_grey_levels, from_network, to_network
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceFacts, SliceStack
from synthct.training.trainer import Trainer

N_SLICES = 12


@dataclass(frozen=True)
class ExampleSlice:
    """A slice with what is needed to judge its sCT."""

    patient: str
    mr: np.ndarray  # uint8 grey levels (channels, rows, cols)
    ct: np.ndarray | None  # uint8 grey levels (rows, cols)
    inside: np.ndarray  # bool (rows, cols): head, known in both


@dataclass(frozen=True)
class Validation:
    """Slices of held-out patients that have both, evenly spread; and one example, of any patient with an MR."""

    slices: list[ExampleSlice]
    example: ExampleSlice | None
    preprocessing: PreprocessingPlan

    @staticmethod
    def read(folder: Path, held_out: Sequence[str], training: Sequence[str], plan: PreprocessingPlan) -> Validation:
        """Read these few slices of the held-out patients; of a training patient only where none of them has both.

        Args:
            folder: of the configuration's stacks.
            held_out, training: patient ids.
        """
        paths = [folder / f"{patient}.npz" for patient in held_out]
        facts = [SliceStack.load_facts(path) for path in paths if path.is_file()]
        pairs = [one for one in facts if one.paired]
        showing_head = [np.flatnonzero(one.head_fraction(MR_KNOWN | CT_KNOWN) > 0) for one in pairs]
        ends = np.cumsum([len(indices) for indices in showing_head], dtype=int)  # of each patient's, in one long list
        n_candidates = int(ends[-1]) if pairs else 0
        n = min(N_SLICES, n_candidates)
        slices = []
        for place in ((np.arange(n) + 0.5) * n_candidates / max(n, 1)).astype(int).tolist():
            number = int(np.searchsorted(ends, place, side="right"))
            slices.append(_example(pairs[number], int(showing_head[number][place - ends[number]])))
        shown = pairs[0] if slices else _best_of(folder, training)
        return Validation(slices, None if shown is None else _fullest(shown), plan)

    def mae_hu(self, trainer: Trainer) -> float | None:
        """MAE in HU (eq. 4) inside the head, where MR and CT are known, over all slices; None without slices.

        The reference is the cached CT, and so clipped to the window.
        """
        total, voxels = 0.0, 0
        for one in self.slices:
            sct, ct = self.sct_hu(trainer, one), self._hu(one.ct)
            total += float(np.abs(sct - ct)[one.inside].sum(dtype=np.float64))
            voxels += int(one.inside.sum())
        return total / voxels if voxels else None

    def sct_hu(self, trainer: Trainer, one: ExampleSlice) -> np.ndarray:
        """The slice's sCT, HU (rows, cols)."""
        rows, cols = one.mr.shape[1:]
        # The generator halves the slice twice.
        mr = np.pad(one.mr, ((0, 0), (0, -rows % 4), (0, -cols % 4)))
        levels = self.preprocessing.grey_levels
        sct = trainer.synthesize(torch.from_numpy(to_network(mr, levels))[None])[0, 0, :rows, :cols]
        return self._hu(from_network(sct.cpu().numpy(), levels))

    def ct_hu(self, one: ExampleSlice) -> np.ndarray | None:
        """The slice's CT, HU (rows, cols)."""
        return None if one.ct is None else self._hu(one.ct)

    def _hu(self, grey: np.ndarray) -> np.ndarray:
        return from_grey_levels(grey, self.preprocessing.ct_window_hu, self.preprocessing.grey_levels)


def _best_of(folder: Path, patients: Sequence[str]) -> SliceFacts | None:
    """The first patient with both scans, else the first with an MR; None where nobody has one."""
    with_mr = None
    for patient in patients:
        facts = SliceStack.load_facts(folder / f"{patient}.npz")
        if facts.paired:
            return facts
        if with_mr is None and facts.reader.mr_channels:
            with_mr = facts
    return with_mr


def _example(facts: SliceFacts, i: int) -> ExampleSlice:
    reader, wanted = facts.reader, HEAD | MR_KNOWN | CT_KNOWN
    ct = reader.ct(i) if reader.has_ct else None
    return ExampleSlice(facts.patient, reader.mr(i), ct, (reader.regions(i) & wanted) == wanted)


def _fullest(facts: SliceFacts) -> ExampleSlice:
    return _example(facts, int(facts.head_fraction(MR_KNOWN).argmax()))
