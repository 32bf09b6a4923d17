"""Pseudo-pairs: the MR of one patient with the CTs of other patients registered to it.

A network that learns from them by L1 finds the median of the CTs that the MR before it may have; no patient needs
both scans, and where one has both, the patient's own CT is not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthct.errors import TrainingError
from synthct.evenly import evenly_spread
from synthct.imaging.planes import Plane
from synthct.parallel import Progress, quiet
from synthct.planning.plan import PreprocessingPlan, voxel_mm
from synthct.preprocessing.cache import cached_path, key_of
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.training.made_slices import made_once, names_of, with_ct
from synthct.training.sampling import disjoint_patients

if TYPE_CHECKING:
    from synthct.imaging.other_patients import Head  # which needs SimpleITK

VERSION = 2  # raise it when the same slices give other pseudo-pairs
MAX_CTS = 24  # patients whose CTs are registered: more take memory and time, and add little
TO_CT = "to_ct"  # in the info of a stack: the affine transform from the MR's slices to the CT's, its parameters
MR_PERCENTS = (0.5, 99.5)  # inside the head; intensities beyond are compared as these
UPRIGHT: Plane = "sagittal"  # slices in which rows run to the feet and cols to the back

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class PseudoPairs:
    """What pseudo-pairs are made from.

    Attributes:
        slices: folder of the patients' cached slices.
        patients: those who train.
        preprocessing: that the slices were made by.
        cts_per_mr: of the registered CTs those that fit an MR best.
        own_cts: a patient who has an aligned CT is shown that, and no other.
        disjoint: patients with both scans give either their MR or their CT, at random by ``seed``.
        threads: registrations at once; they change nothing.
    """

    slices: Path
    patients: Sequence[str]
    preprocessing: PreprocessingPlan
    cts_per_mr: int
    own_cts: bool = False
    disjoint: bool = False
    seed: int = 0
    threads: int = 1

    def write(self, folder: Path, *, progress: Progress = quiet) -> list[str]:
        """Write a stack ``MR_PATIENT~CT_PATIENT.npz`` each; those that are there already are taken as they are.

        Args:
            folder: for them alone.
            progress: a display like ``tqdm``.

        Returns:
            Their names, without the ending.

        Raises:
            TrainingError: there is no MR, or no other patient's CT.
            PlanError: slices are missing or damaged.
        """
        return made_once(folder, f"{self._key}-0", lambda: self._write_affine(folder, progress))

    def write_deformed(
        self,
        folder: Path,
        number: int,
        first: Path,
        sct_of: Callable[[SliceStack], np.ndarray],
        *,
        progress: Progress = quiet,
    ) -> list[str]:
        """Write them anew for a later round: each CT deformed to the sCT of its MR.

        Args:
            folder: for them alone; those of the same round that are there already are taken as they are.
            number: of the round, from 1.
            first: what :meth:`write` has written.
            sct_of: the sCT of a stack with an MR: HU (slices, rows, cols) in the plane of the stack.
            progress: a display like ``tqdm``.

        Returns:
            Their names, without the ending: those of the first round.
        """
        return made_once(
            folder, f"{self._key}-{number}", lambda: _write_deformed(self, first, folder, sct_of, progress)
        )

    def _write_affine(self, folder: Path, progress: Progress) -> list[str]:
        names = [name for group in self._groups() for name in _write_group(self, group, folder, progress)]
        for patient in self._shown_own_ct:
            _stack_of(self.slices, patient).save(folder / f"{patient}~{patient}.npz")
            names.append(f"{patient}~{patient}")
        if not names:
            givers = self._givers
            raise TrainingError(
                f"There is nothing to train on: {len(givers.mr)} training patients give an MR and {len(givers.ct)} a "
                "CT, and an MR needs the CT of another patient; add scans."
            )
        return names

    @cached_property
    def _facts(self) -> Mapping[str, SliceFacts]:
        return {patient: SliceFacts.load(cached_path(self.slices, patient)) for patient in self.patients}

    @property
    def _shown_own_ct(self) -> list[str]:
        return [patient for patient in self._givers.mr if self.own_cts and self._facts[patient].paired]

    @cached_property
    def _key(self) -> str:
        made_from = [key_of(cached_path(self.slices, patient)) for patient in self.patients]
        parts = [VERSION, list(self.patients), made_from, self.cts_per_mr, self.own_cts, self.disjoint, self.seed]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @cached_property
    def _givers(self) -> _Group:
        with_mr = {patient for patient, facts in self._facts.items() if facts.reader.mr_channels}
        with_ct = {patient for patient, facts in self._facts.items() if facts.reader.has_ct}
        if self.disjoint:
            with_mr, with_ct = disjoint_patients(with_mr, with_ct, self.seed)
        return _Group(sorted(with_mr), sorted(with_ct))

    def _groups(self) -> list[_Group]:
        """Patients whose MRs are shown the same patients' CTs, none of which is their own, not even in the median."""
        givers = self._givers
        mr = [patient for patient in givers.mr if patient not in self._shown_own_ct]
        if not set(mr) & set(givers.ct):
            return [_Group(mr, givers.ct)]
        first, second = givers.ct[::2], givers.ct[1::2]
        return [
            _Group([patient for patient in mr if patient not in first], first),
            _Group([patient for patient in mr if patient in first], second),
        ]


@dataclass(frozen=True)
class _Group:
    """Patients who give their MRs, and those who give their CTs."""

    mr: Sequence[str]
    ct: Sequence[str]


def _write_group(what: PseudoPairs, group: _Group, folder: Path, progress: Progress) -> list[str]:
    # SimpleITK is imported where images are registered: a training on pseudo-pairs that are there needs none.
    from synthct.imaging.other_patients import (
        FINE_MM,
        Head,
        affine_to_mr,
        best_fitting,
        laid,
        median_ct,
        through_median,
    )

    if not group.mr or not group.ct:
        return []
    spacing = voxel_mm(what.preprocessing, UPRIGHT)
    chosen = evenly_spread(group.ct, MAX_CTS)
    cts = [_ct_head(what, patient) for patient in chosen]
    median = median_ct(cts, threads=what.threads, progress=progress)
    fine = [ct.at(FINE_MM) for ct in cts]

    def write(patient: str) -> list[str]:
        stack = _mr_alone(_stack_of(what.slices, patient).in_plane(UPRIGHT))
        seen = stack.the_mr[0] != OUTSIDE
        low, high = (stack.mr_statistics[0].percentile(percent) for percent in MR_PERCENTS)
        values = np.clip(stack.the_mr[0] * np.float32(stack.mr_steps[0]), low, high)
        mr = Head.of(values, seen, spacing, low)
        to_ct = through_median(median, affine_to_mr(mr, median.head))
        names = []
        for i in best_fitting(mr.at(FINE_MM), fine, to_ct, what.cts_per_mr):
            hu, inside = laid(cts[i], to_ct[i], mr.image)
            names.append(f"{patient}~{chosen[i]}")
            named = replace(stack, patient=names[-1], info=stack.info | {TO_CT: list(to_ct[i].GetParameters())})
            pair = with_ct(named, hu.reshape(seen.shape), inside.reshape(seen.shape))
            pair.save(folder / f"{names[-1]}.npz")
        return names

    with ThreadPoolExecutor(what.threads) as pool:
        written = progress(pool.map(write, group.mr), total=len(group.mr), desc="Pseudo-pairs", unit="MR")
        return [name for names in written for name in names]


def _write_deformed(
    what: PseudoPairs, first: Path, folder: Path, sct_of: Callable[[SliceStack], np.ndarray], progress: Progress
) -> list[str]:
    """Each CT deformed to the sCT of its MR, from the CT's own slices: it is interpolated once in all."""
    import SimpleITK as sitk

    from synthct.imaging.other_patients import CT_RANGE_HU, Head, deformed_to, laid

    spacing = voxel_mm(what.preprocessing, UPRIGHT)
    names = names_of(first)
    by_mr: dict[str, list[str]] = {}
    for name in names:
        by_mr.setdefault(name.partition("~")[0], []).append(name)
    ct_head = lru_cache(MAX_CTS)(partial(_ct_head, what))

    def write(name: str, sct: Head) -> None:
        pair = SliceStack.load(cached_path(first, name))
        if TO_CT in pair.info:  # else it is the patient's own
            field = deformed_to(sct, Head.of(pair.the_ct, pair.the_ct != OUTSIDE, spacing, CT_RANGE_HU[0]))
            affine = sitk.AffineTransform(sct.image.GetDimension())
            affine.SetParameters(pair.info[TO_CT])
            to_ct = sitk.CompositeTransform([affine, field])  # of which the last is applied first
            hu, inside = laid(ct_head(name.partition("~")[2]), to_ct, sct.image)
            pair = with_ct(pair, hu.reshape(pair.the_ct.shape), inside.reshape(pair.the_ct.shape))
        pair.save(cached_path(folder, name))

    with ThreadPoolExecutor(what.threads) as pool:
        for mr_names in progress(by_mr.values(), total=len(by_mr), desc="Deforming CTs", unit="MR"):
            pair = SliceStack.load(cached_path(first, mr_names[0]))
            sct = Head.of(sct_of(pair), pair.the_mr[0] != OUTSIDE, spacing, CT_RANGE_HU[0])
            list(pool.map(partial(write, sct=sct), mr_names))
    return names


def _ct_head(what: PseudoPairs, patient: str) -> Head:
    from synthct.imaging.other_patients import CT_RANGE_HU, Head

    stack = _stack_of(what.slices, patient).in_plane(UPRIGHT)
    ct = stack.the_ct[stack.info.get("mr_slices", 0) :]  # of scans that are not aligned, the MR's slices come first
    return Head.of(ct, ct != OUTSIDE, voxel_mm(what.preprocessing, UPRIGHT), CT_RANGE_HU[0])


def _mr_alone(stack: SliceStack) -> SliceStack:
    n_mr = stack.info.get("mr_slices", stack.n_slices)
    info = {key: value for key, value in stack.info.items() if key != "mr_slices"}
    return replace(stack, mr=stack.the_mr[:, :n_mr], ct=None, regions=stack.regions[:n_mr], info=info)


def _stack_of(slices: Path, patient: str) -> SliceStack:
    return SliceStack.load(cached_path(slices, patient))
