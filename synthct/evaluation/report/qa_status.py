"""What quality assurance said of the predicted patients, from the files beside the sCTs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthct.errors import ModelError
from synthct.evaluation.compared import Candidate
from synthct.files import read_json
from synthct.imaging.io import image_name

log = logging.getLogger("synthct")

WORDS = ("pass", "check", "fail")


@dataclass(frozen=True)
class QaStatus:
    """Of one sCT: ``pass``, ``check`` or ``fail``, and why."""

    word: str
    reasons: tuple[str, ...]


def read_statuses(
    candidates: Mapping[str, Mapping[str, Candidate]], labels: Sequence[str]
) -> dict[tuple[str, str], QaStatus]:
    """By (model, patient), of those sCTs that have one; a file that is none of ours is left out with a warning.

    Args:
        candidates: by patient and model label.
        labels: of the models that count.
    """
    statuses: dict[tuple[str, str], QaStatus] = {}
    for patient, by_label in candidates.items():
        for label in labels:
            sct = by_label[label].sct if label in by_label else None
            path = _qa_file(sct) if isinstance(sct, Path) else None
            status = None if path is None else _read(path)
            if status is not None:
                statuses[label, patient] = status
    return statuses


def _qa_file(sct: Path) -> Path | None:
    """In the folder ``qa`` among predictions, in ``validation_qa`` beside the held-out ones of a training."""
    name = f"{image_name(sct)}.json"
    places = (sct.parent / "qa" / name, sct.parent.with_name(f"{sct.parent.name}_qa") / name)
    return next((path for path in places if path.is_file()), None)


def _read(path: Path) -> QaStatus | None:
    try:
        found = read_json(path, ModelError)
    except ModelError as fault:
        log.warning(f"The report does without a QA status: {fault}")
        return None
    word = found.get("status") if isinstance(found, dict) else None
    if word not in WORDS:
        log.warning(f"{path} holds no QA status ({', '.join(WORDS)}); the report does without it.")
        return None
    return QaStatus(word, tuple(str(reason) for reason in found.get("reasons") or ()))
