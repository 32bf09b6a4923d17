"""How many patients have both an MR and a CT, for import, verification and plan; and a warning where none has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from synthct.counted import counted, first_of
from synthct.dataset.patient_names import match_names
from synthct.dataset.raw import CaseFiles, RawDataset

logger = logging.getLogger("synthct")
NEED = "The evaluation and paired trainers such as unet need pairs; unet_unpaired and cyclegan do not."


def count_pairs(cases: Iterable[Any]) -> str:
    """``24 patients: 20 pairs, 3 MR only, 1 CT only``.

    Args:
        cases: with ``mr`` and ``ct``, which are empty where there is none.
    """
    kinds = [(bool(case.mr), bool(case.ct)) for case in cases]
    pairs, mr_only, ct_only = (kinds.count(kind) for kind in ((True, True), (True, False), (False, True)))
    return f"{counted(len(kinds), 'patient')}: {counted(pairs, 'pair')}, {mr_only} MR only, {ct_only} CT only"


def lacks_pairs(cases: Iterable[Any]) -> bool:
    """Whether there are MRs and CTs, and no patient has both."""
    kinds = {(bool(case.mr), bool(case.ct)) for case in cases}
    return (True, True) not in kinds and {(True, False), (False, True)} <= kinds


def report_pairs(raw: RawDataset) -> None:
    """Log how many pairs the training and the test set hold, and warn where the names of MRs and CTs do not agree."""
    for which, cases in (("Training", raw.training), ("Test", raw.test)):
        if cases:
            logger.info(f"{which} set of {count_pairs(cases.values())}.")
    for warning in pair_warnings(raw):
        logger.warning(warning)


def pair_warnings(raw: RawDataset) -> list[str]:
    """What is odd about the pairs: none where there are MRs and CTs, or names that would agree without modality."""
    sets = {"Tr": raw.training, "Ts": raw.test}
    return list(filter(None, (_warning(part, list(cases.values()), raw.file_ending) for part, cases in sets.items())))


def _warning(part: str, cases: Sequence[CaseFiles], ending: str) -> str:
    mrs = {case.patient: case.patient for case in cases if case.mr and not case.ct}
    cts = {case.patient: case.patient for case in cases if case.ct and not case.mr}
    if not mrs or not cts:
        return ""
    matched = match_names(mrs, cts)
    images, targets = f"images{part}", f"targets{part}"
    rename = f"rename the files so that {images}/PATIENT_0000{ending} and {targets}/PATIENT{ending} are of one patient"
    if matched.pairs:
        first = matched.pairs[0]
        none = "No patient has both an MR and a CT. " if lacks_pairs(cases) else ""
        more = f"{counted(len(matched.pairs), 'MR')} and as many CTs seem to be of one patient each"
        such = f"such as '{matched.mr[first]}' in {images} and '{matched.ct[first]}' in {targets}"
        return f"{none}{more}, {such}: {rename}."
    if lacks_pairs(cases):
        return (
            f"No patient has both an MR and a CT: the names in {images} ({first_of(sorted(mrs), 3)}) are not those in "
            f"{targets} ({first_of(sorted(cts), 3)}). If they are of the same patients, {rename}. {NEED}"
        )
    return ""
