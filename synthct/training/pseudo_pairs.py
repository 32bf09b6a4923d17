"""Pseudo-pairs: the MR of one patient with the CTs of other patients registered to it.

A network that learns from them by L1 finds the median of the CTs that the MR before it may have; no patient needs
both scans, and where one has both, his own CT is not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from synthct.errors import TrainingError
from synthct.evenly import evenly_spread
from synthct.files import read_json, write_json
from synthct.parallel import Progress, quiet
from synthct.planning.plan import PreprocessingPlan, voxel_mm
from synthct.preprocessing.cache import cached_path, key_of
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack
from synthct.training.sampling import disjoint_patients

VERSION = 1  # raise it when the same slices give other pseudo-pairs
MAX_CTS = 24  # patients whose CTs are registered: more take memory and time, and add little
RECORD = "pseudo_pairs.json"
UPRIGHT = "sagittal"  # slices in which rows run to the feet and cols to the back

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class PseudoPairs:
    """What pseudo-pairs are made from.

    Attributes:
        slices: folder of the patients' cached slices.
        patients: those who train.
        preprocessing: that the slices were made by.
        cts_per_mr: of the registered CTs those that fit an MR best.
        own_cts: a patient who has an aligned CT of his own is shown that, and no other.
        disjoint: patients with both scans give either their MR or their CT, at random by ``seed``.
    """

    slices: Path
    patients: Sequence[str]
    preprocessing: PreprocessingPlan
    cts_per_mr: int
    own_cts: bool = False
    disjoint: bool = False
    seed: int = 0

    def write(self, folder: Path, *, progress: Progress = quiet) -> list[str]:
        """Write a stack ``MR_PATIENT~CT_PATIENT.npz`` each; those that are there already are taken as they are.

        Returns:
            Their names, without the ending.

        Raises:
            TrainingError: there is no MR, or no other patient's CT.
            PlanError: slices are missing or damaged.
        """
        record = folder / RECORD
        if record.is_file() and (known := read_json(record, TrainingError)).get("key") == self._key:
            return known["names"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
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
        write_json({"key": self._key, "names": names}, record)
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
        """Patients whose MRs are shown the same patients' CTs; none of them is his own, not even in their median."""
        givers = self._givers
        mr = [patient for patient in givers.mr if patient not in self._shown_own_ct]
        if not set(mr) & set(givers.ct):
            return [_Group(mr, givers.ct)]
        first, second = givers.ct[::2], givers.ct[1::2]
        return [
            _Group([one for one in mr if one not in first], first),
            _Group([one for one in mr if one in first], second),
        ]


@dataclass(frozen=True)
class _Group:
    """Patients who give their MRs, and those who give their CTs."""

    mr: Sequence[str]
    ct: Sequence[str]


def _write_group(what: PseudoPairs, group: _Group, folder: Path, progress: Progress) -> list[str]:
    # SimpleITK is imported where images are registered: a training on pseudo-pairs that are there needs none.
    from synthct.imaging.other_patients import (
        CT_RANGE_HU,
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
    cts = []
    for patient in chosen:
        stack = _stack_of(what.slices, patient).in_plane(UPRIGHT)
        ct = stack.ct[stack.info.get("mr_slices", 0) :]  # of scans that are not aligned, the MR's slices come first
        cts.append(Head.of(ct, ct != OUTSIDE, spacing, CT_RANGE_HU[0]))
    median = median_ct(cts, progress=progress)
    fine = [ct.at(FINE_MM) for ct in cts]
    names = []
    for patient in progress(group.mr, total=len(group.mr), desc="Pseudo-pairs", unit="MR"):
        stack = _mr_alone(_stack_of(what.slices, patient).in_plane(UPRIGHT))
        seen = stack.mr[0] != OUTSIDE
        low, high = (stack.mr_statistics[0].percentile(percent) for percent in (0.5, 99.5))
        values = np.clip(stack.mr[0] * np.float32(stack.mr_steps[0]), low, high)
        mr = Head.of(values, seen, spacing, low)
        to_ct = through_median(median, affine_to_mr(mr, median.head))
        for i in best_fitting(mr.at(FINE_MM), fine, to_ct, what.cts_per_mr):
            hu, inside = laid(cts[i], to_ct[i], mr.image)
            name = f"{patient}~{chosen[i]}"
            _pseudo_pair(stack, name, hu.reshape(seen.shape), inside.reshape(seen.shape)).save(folder / f"{name}.npz")
            names.append(name)
    return names


def _pseudo_pair(mr: SliceStack, name: str, hu: np.ndarray, inside: np.ndarray) -> SliceStack:
    """The MR with a CT that is known in the MR's head where it shows a head, too; air around it is known."""
    head = mr.mr[0] != OUTSIDE
    regions = mr.regions & MR_KNOWN | np.where(head, HEAD, 0) | np.where(inside | ~head, CT_KNOWN, 0)
    ct = np.where(head & inside, np.rint(hu), OUTSIDE).astype(np.int16)
    return SliceStack(name, mr.mr, ct, regions.astype(np.uint8), mr.plane, mr.mr_steps, mr.mr_statistics, mr.info)


def _mr_alone(stack: SliceStack) -> SliceStack:
    n_mr = stack.info.get("mr_slices", stack.n_slices)
    info = {key: value for key, value in stack.info.items() if key != "mr_slices"}
    return SliceStack(
        stack.patient,
        stack.mr[:, :n_mr],
        None,
        stack.regions[:n_mr],
        stack.plane,
        stack.mr_steps,
        stack.mr_statistics,
        info,
    )


def _stack_of(slices: Path, patient: str) -> SliceStack:
    return SliceStack.load(cached_path(slices, patient))
