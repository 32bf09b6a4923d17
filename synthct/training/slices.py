"""The slices of the training patients: which can be drawn, and their grey levels."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthct.errors import TrainingError
from synthct.parallel import Progress, quiet
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack
from synthct.training.sampling import Key, disjoint_patients

MEMORY_BUDGET = 4 * 2**30  # bytes of grey levels held at once
LEAST_CONTRAST = 1.0  # grey levels, SD; a flatter slice would make instance norm amplify rounding errors

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class _Case:
    """What training needs of a patient's stack; uint8."""

    mr: np.ndarray | None  # (channels, slices, rows, cols)
    ct: np.ndarray | None  # (slices, rows, cols)
    known: np.ndarray | None  # (slices, rows, cols), 0 or 1

    @property
    def size(self) -> int:
        return sum(array.nbytes for array in (self.mr, self.ct, self.known) if array is not None)


class TrainingSlices:
    """Drawable slices of the patients, and access to them by key.

    A slice is drawable where the head that the modality knows takes at least ``min_head_fraction`` of it, and where it
    is not flat. Stacks are held in memory up to ``budget`` bytes; beyond it, those used last.

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
        """Read every stack once.

        Raises:
            TrainingError: where no slice of a domain can be drawn, or a stack has another number of MR channels.
            PlanError: where a stack is missing or damaged.
        """
        if paired and disjoint:
            raise TrainingError("Paired training needs MR and CT of the same patients; leave out --disjoint.")
        self.folder, self.paired, self.budget = Path(folder), paired, budget
        self._cases: OrderedDict[str, _Case] = OrderedDict()
        mr: dict[str, list[Key]] = {}
        ct: dict[str, list[Key]] = {}
        total_bytes = 0
        for patient in progress(patients, total=len(patients), desc="reading slices", unit="patient"):
            stack = SliceStack.load(self.folder / f"{patient}.npz")
            _check_channels(stack, mr_channels)
            if paired:
                if stack.mr is None or stack.ct is None:
                    continue
                drawable = _drawable(stack, MR_KNOWN | CT_KNOWN, min_head_fraction)
                mr[patient] = ct[patient] = drawable
            else:
                if stack.mr is not None:
                    mr[patient] = _drawable(stack, MR_KNOWN, min_head_fraction)
                if stack.ct is not None:
                    ct[patient] = _drawable(stack, CT_KNOWN, min_head_fraction)
            total_bytes += self._keep(stack).size
        if disjoint:
            giving_mr, giving_ct = disjoint_patients(set(mr), set(ct), seed)
            mr = {patient: keys for patient, keys in mr.items() if patient in giving_mr}
            ct = {patient: keys for patient, keys in ct.items() if patient in giving_ct}
        self.mr: list[Key] = [key for keys in mr.values() for key in keys]
        self.ct: list[Key] = [key for keys in ct.values() for key in keys]
        self.mr_patients, self.ct_patients = sorted(mr), sorted(ct)
        self._check_not_empty(len(patients), min_head_fraction)
        if total_bytes > budget:
            log.warning(
                "The slices take %.1f GiB, more than the %.1f GiB that may be held in memory; "
                "they are read again from disk as needed, which is slower.",
                total_bytes / 2**30,
                budget / 2**30,
            )

    def mr_slice(self, key: Key) -> np.ndarray:
        """uint8 grey levels (channels, rows, cols)."""
        return self._case(key[0]).mr[:, key[1]]

    def ct_slice(self, key: Key) -> np.ndarray:
        """uint8 grey levels (1, rows, cols)."""
        return self._case(key[0]).ct[None, key[1]]

    def known(self, key: Key) -> np.ndarray:
        """0 where the head lies outside a scan's field of view, else 1; uint8 (1, rows, cols); paired training only."""
        return self._case(key[0]).known[None, key[1]]

    def __getstate__(self) -> dict:
        """Without the stacks: a process that does not share memory reads them itself."""
        return self.__dict__ | {"_cases": OrderedDict()}

    def _case(self, patient: str) -> _Case:
        if patient not in self._cases:
            return self._keep(SliceStack.load(self.folder / f"{patient}.npz"))
        self._cases.move_to_end(patient)
        return self._cases[patient]

    def _keep(self, stack: SliceStack) -> _Case:
        known = None
        if self.paired:
            head, both = (stack.regions & HEAD) > 0, MR_KNOWN | CT_KNOWN
            known = (~head | ((stack.regions & both) == both)).astype(np.uint8)
        case = self._cases[stack.patient] = _Case(stack.mr, stack.ct, known)
        while len(self._cases) > 1 and sum(one.size for one in self._cases.values()) > self.budget:
            self._cases.popitem(last=False)
        return case

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


def _check_channels(stack: SliceStack, mr_channels: int) -> None:
    if stack.mr is not None and stack.mr.shape[0] != mr_channels:
        raise TrainingError(
            f"The slices of {stack.patient} have {stack.mr.shape[0]} MR channels but the plan has {mr_channels}; "
            "run synthct_plan_and_preprocess again."
        )


def _drawable(stack: SliceStack, known: int, min_head_fraction: float) -> list[Key]:
    fraction = stack.head_fraction(known)
    images = [stack.mr[0]] if known & MR_KNOWN else []
    images += [stack.ct] if known & CT_KNOWN else []
    return [
        (stack.patient, i)
        for i in np.flatnonzero(fraction >= min_head_fraction).tolist()
        if all(image[i].std() >= LEAST_CONTRAST for image in images)
    ]
