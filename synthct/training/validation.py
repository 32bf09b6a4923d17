"""A quick look during training: MAE on slices of held-out patients, and an example to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from synthct.imaging.intensity import from_grey_levels, from_network, to_network
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack
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
        """Read the held-out patients that there are; a training patient only where none of them has both.

        Args:
            folder: of the configuration's stacks.
            held_out, training: patient ids.
        """
        slices: list[ExampleSlice] = []
        paths = [folder / f"{patient}.npz" for patient in held_out]
        stacks = [stack for stack in map(SliceStack.load, filter(Path.is_file, paths)) if stack.mr is not None]
        pairs = [stack for stack in stacks if stack.ct is not None]
        candidates = [
            (stack, i) for stack in pairs for i in np.flatnonzero(stack.head_fraction(MR_KNOWN | CT_KNOWN) > 0).tolist()
        ]
        if candidates:
            n = min(N_SLICES, len(candidates))
            chosen = ((np.arange(n) + 0.5) * len(candidates) / n).astype(int)
            slices = [_example(*candidates[i]) for i in chosen]
            example = _fullest(pairs[0])
        else:
            example = None
            for patient in training:
                stack = SliceStack.load(folder / f"{patient}.npz")
                if stack.mr is not None and (example is None or stack.ct is not None):
                    example = _fullest(stack)
                    if stack.ct is not None:
                        break
        return Validation(slices, example, plan)

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


def _example(stack: SliceStack, i: int) -> ExampleSlice:
    wanted = HEAD | MR_KNOWN | CT_KNOWN
    ct = None if stack.ct is None else stack.ct[i].copy()
    return ExampleSlice(stack.patient, stack.mr[:, i].copy(), ct, (stack.regions[i] & wanted) == wanted)


def _fullest(stack: SliceStack) -> ExampleSlice:
    return _example(stack, int(stack.head_fraction(MR_KNOWN).argmax()))
