"""``qa/PATIENT.json``: the QA status of one prediction as a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthct import __version__
from synthct.errors import ImageError
from synthct.files import read_json, write_json
from synthct.imaging.io import image_name
from synthct.json_dataclasses import to_plain
from synthct.qa.check import Check
from synthct.qa.judge import Judgement
from synthct.qa.measure_sct import Measurements

FORMAT_VERSION = 2  # 1 said verdict in place of status
QA_FOLDER = "qa"  # in a folder of sCTs


@dataclass(frozen=True)
class QaReport:
    """The quality assurance of one prediction.

    Attributes:
        measured: all numbers.
        judgement: what they were compared with.
        model: the model's hash.
        n_folds: that were combined.
    """

    measured: Measurements
    judgement: Judgement
    model: str
    n_folds: int

    @property
    def status(self) -> str:
        """``pass``, ``check`` or ``fail``."""
        return self.judgement.status

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence each."""
        return self.judgement.reasons

    def to_plain(self, patient: str) -> dict[str, Any]:
        """What the file holds. The silhouette, a small picture, is left out of the measurements."""
        measurements = to_plain(self.measured)
        del measurements["mr"]["silhouette"]
        return {
            "format_version": FORMAT_VERSION,
            "synthct_version": __version__,
            "patient": patient,
            "model": self.model,
            "n_folds": self.n_folds,
            "status": self.status,
            "reasons": list(self.reasons),
            "notes": list(self.judgement.notes),
            "checks": [_plain_check(check) for check in self.judgement.checks],
            "measurements": measurements,
        }

    def save(self, path: Path, patient: str) -> None:
        """Write the file, atomically."""
        write_json(self.to_plain(patient), path)


def qa_path(sct: Path) -> Path:
    """Where the report of an sCT, a file or the folder of a series, lies: its patient's name is the file's stem."""
    sct = Path(sct)
    return sct.parent / QA_FOLDER / f"{image_name(sct) or sct.name}.json"


def read_status(path: Path) -> tuple[str, list[str]]:
    """QA status and reasons of a report.

    Raises:
        ImageError: the file is missing or no report.
    """
    content = read_json(path, ImageError)
    known = isinstance(content, dict) and content.get("status") in ("pass", "check", "fail")
    reasons = content.get("reasons") if known else None
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise ImageError(f"{path} is not a report of a prediction; predict again.")
    return content["status"], reasons


def _plain_check(check: Check) -> dict[str, Any]:
    def finite(value: float) -> float | None:
        return float(f"{value:.4g}") if math.isfinite(value) else None

    return {
        "name": check.name,
        "value": finite(check.value),
        "unit": check.unit,
        "low": finite(check.limits.low),
        "high": finite(check.limits.high),
        "n_patients": check.limits.n_patients,
        "status": check.status,
    }
