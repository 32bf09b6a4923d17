"""The slices of the training patients: which can be drawn, and their grey levels."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from synthct.errors import TrainingError
from synthct.parallel import Progress, quiet
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceFacts, SliceReader, SliceStack
from synthct.training.sampling import Key, SliceKeys, disjoint_patients

MEMORY_BUDGET = 4 * 2**30  # bytes of grey levels held at once, by all processes that load together
LEAST_CONTRAST = 1.0  # grey levels, SD; a flatter slice would make instance norm amplify rounding errors

log = logging.getLogger("synthct")


class TrainingSlices:
    """Drawable slices of the patients, and access to them by key.

    A slice is drawable where the head that the modality knows takes at least ``min_head_fraction`` of it, and where it
    is not flat. Slices are read when they are drawn. The first that take ``budget`` bytes stay in memory: draws are
    shuffled, so that which ones they are does not matter. Beside them a patient takes some 10 kB, 0.1 GB for 10,000.

    Attributes:
        mr: keys (patient, slice) of the drawable MR slices. For paired training ``mr`` and ``ct`` are the same keys,
            of patients that have both, where the head is known in both.
        ct: keys of the drawable CT slices.
    """

    def __init__(
        self,
        folder: Path,
        patients: Sequence[str],
        *,
        mr_channels: int,
        min_head_fraction: float,
        paired: bool,
        disjoint: bool = False,
        seed: int = 0,
        budget: int = MEMORY_BUDGET,
        progress: Progress = quiet,
    ) -> None:
        """Read what the cached files say about their slices, but no slice.

        Raises:
            TrainingError: where no slice of a domain can be drawn, or a stack has another number of MR channels.
            PlanError: where a stack is missing, damaged or of an earlier version.
        """
        if paired and disjoint:
            raise TrainingError("Paired training needs MR and CT of the same patients; leave out --disjoint.")
        self.paired, self.budget = paired, budget
        self._readers: dict[str, SliceReader] = {}
        self._held: dict[tuple[str, Key], np.ndarray] = {}
        self._held_bytes = 0
        mr: dict[str, np.ndarray] = {}
        ct: dict[str, np.ndarray] = {}
        for patient in progress(patients, total=len(patients), desc="listing slices", unit="patient"):
            facts = SliceStack.load_facts(Path(folder) / f"{patient}.npz")
            _check_channels(facts, mr_channels)
            self._readers[patient] = facts.reader
            if paired:
                if facts.paired:
                    mr[patient] = ct[patient] = _drawable(facts, MR_KNOWN | CT_KNOWN, min_head_fraction)
                continue
            if facts.reader.mr_channels:
                mr[patient] = _drawable(facts, MR_KNOWN, min_head_fraction)
            if facts.reader.has_ct:
                ct[patient] = _drawable(facts, CT_KNOWN, min_head_fraction)
        if disjoint:
            giving_mr, giving_ct = disjoint_patients(set(mr), set(ct), seed)
            mr = {patient: indices for patient, indices in mr.items() if patient in giving_mr}
            ct = {patient: indices for patient, indices in ct.items() if patient in giving_ct}
        self.mr, self.ct = SliceKeys(mr), SliceKeys(ct)
        self.mr_patients, self.ct_patients = sorted(mr), sorted(ct)
        self._check_not_empty(len(patients), min_head_fraction)
        self._log_size([(mr, mr_channels), (ct, 2 if paired else 1)])

    def mr_slice(self, key: Key) -> np.ndarray:
        """uint8 grey levels (channels, rows, cols), to be read only."""
        return self._slice("mr", key)

    def ct_slice(self, key: Key) -> np.ndarray:
        """uint8 grey levels (1, rows, cols), to be read only."""
        return self._slice("ct", key)[None]

    def known(self, key: Key) -> np.ndarray:
        """0 where the head lies outside a scan's field of view, else 1; uint8 (1, rows, cols)."""
        regions = self._slice("regions", key)
        both = MR_KNOWN | CT_KNOWN
        return (((regions & HEAD) == 0) | ((regions & both) == both)).astype(np.uint8)[None]

    def __getstate__(self) -> dict:
        """Without the slices: a process that does not share memory reads them itself."""
        return self.__dict__ | {"_held": {}, "_held_bytes": 0}

    def _slice(self, image: str, key: Key) -> np.ndarray:
        """A slice of ``mr``, ``ct`` or ``regions``, as the reader gives it."""
        held = self._held.get((image, key))
        if held is None:
            patient, i = key
            held = getattr(self._readers[patient], image)(i)
            if self._held_bytes + held.nbytes <= self.budget:
                self._held[image, key] = held
                self._held_bytes += held.nbytes
        return held

    def _log_size(self, domains: Sequence[tuple[Mapping[str, np.ndarray], int]]) -> None:
        """Say where not all fits; of each domain its slices by patient, and the images that are read for a slice."""
        total = sum(
            len(indices) * images * math.prod(self._readers[patient].slice_size)
            for slices, images in domains
            for patient, indices in slices.items()
        )
        if total > self.budget:
            log.info(
                "The slices take %.1f GiB; each process that loads them keeps the first %.1f GiB in memory and reads "
                "the others from disk when they are drawn.",
                total / 2**30,
                self.budget / 2**30,
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
            drawable &= contrast >= LEAST_CONTRAST
    return np.flatnonzero(drawable)
