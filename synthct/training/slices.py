"""The slices of the training patients: which can be drawn, and how they are read."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from synthct.errors import TrainingError
from synthct.imaging.coding import MrStatistics
from synthct.parallel import Progress, quiet
from synthct.planning.plan import InputPlan
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, MR_KNOWN, SliceStack
from synthct.training.sampling import SliceKeys, disjoint_patients

MEMORY_BUDGET = 4 * 2**30  # bytes of slices held at once, by all processes that load together
MIN_CONTRAST = 1.0  # grey levels, SD; a flatter slice would make instance norm amplify rounding errors

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class SlicesToDraw:
    """Which slices a training may draw.

    Attributes:
        paired: of patients with both scans, where the head is known in both; else of each modality by itself.
        min_head_fraction: slices with less head than this share of their pixels are left out.
        disjoint: MR and CT from different patients, divided by ``seed``.
    """

    paired: bool
    min_head_fraction: float
    disjoint: bool = False
    seed: int = 0


Held = TypeVar("Held")


class HeldImages:
    """Images that were read, in memory up to a budget of bytes; the first ones stay.

    Draws are shuffled, so that which ones they are does not matter.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self._images: dict[tuple, Any] = {}

    def get(self, key: tuple, read: Callable[[], Held], size: Callable[[Held], int]) -> Held:
        """The image of a key; ``read()`` where it is not held, ``size(image)`` its bytes."""
        held = self._images.get(key)
        if held is None:
            held = read()
            if self.bytes + size(held) <= self.budget:
                self._images[key] = held
                self.bytes += size(held)
        return held

    def __getstate__(self) -> dict:
        """Without the images: a process that does not share memory reads them itself."""
        return {"budget": self.budget, "bytes": 0, "_images": {}}


class PatientSlices:
    """The slices of one patient in the plane of the training, held in memory as far as the budget goes.

    In the plane in which they are cached they are read one at a time. In another plane the whole stack is decoded for
    the first slice, and again for each later one where the budget is used up.
    """

    def __init__(self, facts: SliceFacts, held: HeldImages) -> None:
        self.reader, self.plane, self._held = facts.reader, facts.plane, held
        self.n_slices, self.slice_size = facts.n_slices, facts.slice_size

    @property
    def mr_steps(self) -> Sequence[float]:
        return self.reader.mr_steps

    @property
    def mr_statistics(self) -> Sequence[MrStatistics]:
        return self.reader.mr_statistics

    def mr_slice(self, i: int) -> np.ndarray:
        """int16 (channels, rows, cols), to be read only."""
        return self._slice("mr_slice", i)

    def ct_slice(self, i: int) -> np.ndarray:
        """int16 HU (rows, cols), to be read only."""
        return self._slice("ct_slice", i)

    def regions_slice(self, i: int) -> np.ndarray:
        """uint8 bits (rows, cols), to be read only."""
        return self._slice("regions_slice", i)

    def _slice(self, image: str, i: int) -> np.ndarray:
        path = self.reader.path
        if self.plane == self.reader.plane:
            return self._held.get((path, image, i), partial(getattr(self.reader, image), i), lambda held: held.nbytes)
        stack = self._held.get((path,), lambda: SliceStack.load(path).in_plane(self.plane), lambda held: held.nbytes)
        return getattr(stack, image)(i)


class TrainingSlices:
    """Drawable slices of the patients, and access to them by patient.

    A slice is drawable where the head that the modality knows takes at least ``min_head_fraction`` of it, and where it
    is not flat. Slices are read when they are drawn. Beside those that are held in memory a patient takes some 10 kB,
    0.1 GB for 10,000.

    Attributes:
        mr: keys (patient, slice) of the drawable MR slices. For paired training ``mr`` and ``ct`` are the same keys,
            of patients that have both, where the head is known in both.
        ct: keys of the drawable CT slices.
    """

    def __init__(
        self,
        folder: Path,
        patients: Sequence[str],
        plan: InputPlan,
        wanted: SlicesToDraw,
        *,
        budget: int = MEMORY_BUDGET,
        progress: Progress = quiet,
    ) -> None:
        """Read what the cached files say about their slices, but no slice.

        Raises:
            TrainingError: where no slice of a domain can be drawn, or a stack has another number of MR channels.
            PlanError: where a stack is missing, damaged or of an earlier version.
        """
        if wanted.paired and wanted.disjoint:
            raise TrainingError("Paired training needs MR and CT of the same patients; leave out --disjoint.")
        self.paired = wanted.paired
        self.held = HeldImages(budget)
        self._patients: dict[str, PatientSlices] = {}
        min_head_fraction = wanted.min_head_fraction
        mr: dict[str, np.ndarray] = {}
        ct: dict[str, np.ndarray] = {}
        for patient in progress(patients, total=len(patients), desc="listing slices", unit="patient"):
            facts = SliceFacts.load(Path(folder) / f"{patient}.npz", plan.plane)
            _check_channels(facts, plan.mr_channels)
            self._patients[patient] = PatientSlices(facts, self.held)
            if wanted.paired:
                if facts.paired:
                    mr[patient] = ct[patient] = _drawable(facts, MR_KNOWN | CT_KNOWN, min_head_fraction)
                continue
            if facts.reader.mr_channels:
                mr[patient] = _drawable(facts, MR_KNOWN, min_head_fraction)
            if facts.reader.has_ct:
                ct[patient] = _drawable(facts, CT_KNOWN, min_head_fraction)
        if wanted.disjoint:
            giving_mr, giving_ct = disjoint_patients(set(mr), set(ct), wanted.seed)
            mr = {patient: indices for patient, indices in mr.items() if patient in giving_mr}
            ct = {patient: indices for patient, indices in ct.items() if patient in giving_ct}
        self.mr, self.ct = SliceKeys(mr), SliceKeys(ct)
        self.mr_patients, self.ct_patients = sorted(mr), sorted(ct)
        self._check_not_empty(len(patients), min_head_fraction)
        self._log_size([(mr, 2 * plan.mr_channels), (ct, 3 if wanted.paired else 2)])

    def __getitem__(self, patient: str) -> PatientSlices:
        """The slices of a patient."""
        return self._patients[patient]

    def _log_size(self, domains: Sequence[tuple[Mapping[str, np.ndarray], int]]) -> None:
        """Say where not all fits; of each domain its slices by patient, and the bytes of a pixel that are read."""
        total = sum(
            len(indices) * pixel_bytes * math.prod(self._patients[patient].slice_size)
            for slices, pixel_bytes in domains
            for patient, indices in slices.items()
        )
        if total > self.held.budget:
            log.info(
                "The slices take %.1f GiB; each process that loads them keeps the first %.1f GiB in memory and reads "
                "the others from disk when they are drawn.",
                total / 2**30,
                self.held.budget / 2**30,
            )

    def _check_not_empty(self, n_patients: int, min_head_fraction: float) -> None:
        reason = f"with at least {min_head_fraction:.0%} head in them"
        if self.paired and not self.mr:
            raise TrainingError(
                f"There is no slice to train on: of {n_patients} training patients {len(self.mr_patients)} have both "
                f"an MR and a CT, and paired training needs slices {reason} in both; use cyclegan, or add pairs."
            )
        for modality, keys, patients in (("MR", self.mr, self.mr_patients), ("CT", self.ct, self.ct_patients)):
            if not keys:
                raise TrainingError(
                    f"There is no {modality} slice to train on: of {n_patients} training patients {len(patients)} "
                    f"give {'an' if modality == 'MR' else 'a'} {modality}, and none of their slices is one {reason}; "
                    f"add {modality} scans, or check the head masks."
                )


def _check_channels(facts: SliceFacts, mr_channels: int) -> None:
    if facts.reader.mr_channels not in (0, mr_channels):
        raise TrainingError(
            f"The slices of {facts.patient} have {facts.reader.mr_channels} MR channels but the plan has "
            f"{mr_channels}; run synthct_plan_and_preprocess again."
        )


def _drawable(facts: SliceFacts, known: int, min_head_fraction: float) -> np.ndarray:
    """Numbers of the slices that can be drawn from the modalities that are to be ``known``."""
    drawable = facts.head_fraction(known) >= min_head_fraction
    for modality, contrast in zip((MR_KNOWN, CT_KNOWN), facts.contrast):
        if known & modality:
            drawable &= contrast >= MIN_CONTRAST
    return np.flatnonzero(drawable)
