"""Which sCTs of a folder an earlier prediction of the same model has finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthct.errors import ImageError
from synthct.files import read_json
from synthct.inference.predict_file import QaSettings
from synthct.qa.qa_report import qa_path


def done_before(written: Mapping[str, Path], model_hash: str, settings: QaSettings) -> list[str]:
    """The patients whose sCT is there, and is of this model as far as its report says.

    Args:
        written: where the sCT of each patient goes.
        model_hash: of the model.
        settings: with quality assurance, an sCT without a report is not finished: the report is written last.
    """
    return [patient for patient, path in written.items() if path.exists() and _is_done(path, model_hash, settings)]


def _is_done(path: Path, model_hash: str, settings: QaSettings) -> bool:
    report = qa_path(path)
    if not report.exists():
        return settings.level == "off"
    try:
        content = read_json(report, ImageError)
    except ImageError:  # damaged
        return False
    return isinstance(content, dict) and content.get("model") == model_hash
