"""Pairs whose CTs are moved onto the sCTs of their MRs.

What a registration has left, of the head or of the jaw alone, differs from patient to patient, and a network averages
over it: its sCT lies nearer to the MR than the CT it was trained on (RegGAN, Kong et al. 2021, learns the same motion
by a network). A CT is moved in HU, where an MR would need mutual information; the patients' cached slices stay as they
are, and with them what an sCT is compared with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthct.parallel import Progress, quiet
from synthct.planning.plan import PreprocessingPlan, voxel_mm
from synthct.preprocessing.cache import cached_path, key_of
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.training.made_slices import made_once, with_ct
from synthct.training.pseudo_pairs import UPRIGHT
from synthct.training.trainer import CachedSlices

VERSION = 1  # raise it when the same slices give other pairs
MAX_MM = 12.0  # that a CT is moved anywhere


@dataclass(frozen=True)
class MovedPairs:
    """What they are made from.

    Attributes:
        cached: slices of the patients who train; those without a pair are left out.
        preprocessing: that the slices were made by.
    """

    cached: CachedSlices
    preprocessing: PreprocessingPlan

    def write(
        self, folder: Path, number: int, sct_of: Callable[[SliceStack], np.ndarray], *, progress: Progress = quiet
    ) -> list[str]:
        """Write a stack for each pair.

        Args:
            folder: for them alone; those of the same round that are there already are taken as they are.
            number: of the round, from 1.
            sct_of: the sCT of a stack: HU (slices, rows, cols) in the plane of the stack.
            progress: a display like ``tqdm``.

        Returns:
            Names of the stacks: the patients'.

        Raises:
            PlanError: slices are missing or damaged.
        """
        paths = {patient: cached_path(self.cached.folder, patient) for patient in self.cached.patients}
        parts = [VERSION, number, list(paths), [key_of(path) for path in paths.values()]]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

        def make() -> list[str]:
            pairs = [patient for patient, path in paths.items() if SliceFacts.load(path).paired]
            for patient in progress(pairs, desc="Moving CTs onto sCTs", unit="patient"):
                stack = SliceStack.load(paths[patient]).in_plane(UPRIGHT)
                self._moved(stack, sct_of(stack)).save(cached_path(folder, patient))
            return pairs

        return made_once(folder, key, make)

    def _moved(self, stack: SliceStack, sct_hu: np.ndarray) -> SliceStack:
        # SimpleITK is imported where images are registered.
        from synthct.imaging.other_patients import CT_RANGE_HU, Head, deformed_to, laid

        spacing, air = voxel_mm(self.preprocessing, UPRIGHT), CT_RANGE_HU[0]
        sct = Head.of(sct_hu, stack.the_mr[0] != OUTSIDE, spacing, air)
        ct = Head.of(stack.the_ct, stack.the_ct != OUTSIDE, spacing, air)
        hu, inside = laid(ct, deformed_to(sct, ct, max_mm=MAX_MM), sct.image)
        return with_ct(stack, hu.reshape(stack.the_ct.shape), inside.reshape(stack.the_ct.shape))
