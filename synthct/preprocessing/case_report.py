"""A case's part of the preprocessing report: ``report/PATIENT.jpg`` and ``report/PATIENT.json``, made where its slices
are made, and kept while nothing that they show changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.dataset.raw import CaseFiles
from synthct.dataset.registration_record import Registration
from synthct.imaging.coding import MrWindow
from synthct.json_dataclasses import to_plain
from synthct.preprocessing.case_picture import draw_case
from synthct.preprocessing.findings import Findings, findings_of_case, load_findings, save_findings

REPORT_FOLDER = "report"
# Part of the key of every case's part: raise it when the same plan and images give another picture or other findings.
REPORT_VERSION = 1


@dataclass(frozen=True)
class ShownWindows:
    """What pictures and findings are of: the windows that a method will see the images in.

    Attributes:
        mr: one a channel.
        ct_hu: HU.
    """

    mr: tuple[MrWindow, ...]
    ct_hu: tuple[float, float]


@dataclass(frozen=True)
class ReportEntry:
    """A case's part of the report that is to be made: where, in which windows, and the key by which it is known."""

    findings_path: Path
    windows: ShownWindows
    key: str
    registration: Registration | None


def picture_path(folder: Path, patient: str) -> Path:
    """Of a case, in a preprocessed dataset."""
    return Path(folder) / REPORT_FOLDER / f"{patient}.jpg"


def findings_path(folder: Path, patient: str) -> Path:
    """Of a case, in a preprocessed dataset."""
    return Path(folder) / REPORT_FOLDER / f"{patient}.json"


def report_entry(folder: Path, case: CaseFiles, windows: ShownWindows, cache_version: int) -> ReportEntry | None:
    """What is to be made for a case; None where it is there and unchanged.

    The key changes when the files, their registration or a window do, or how the head is found (``cache_version``), not
    when slices alone are planned otherwise.
    """
    shown = json.dumps(to_plain({"mr": windows.mr, "ct": windows.ct_hu}))
    made_from = f"{REPORT_VERSION} {cache_version} {case.key()} {shown}"
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    present = load_findings(findings_path(folder, case.patient))
    if present is not None and present[1] == key and picture_path(folder, case.patient).is_file():
        return None
    return ReportEntry(findings_path(folder, case.patient), windows, key, case.registration)


def report_on_case(images: CaseImages, masks: HeadMasks, entry: ReportEntry, *, heads: HeadMasks | None = None) -> None:
    """Draw a case and write down what was found; the findings come last, so that with them the picture is there.

    Args:
        images: of the case.
        masks: what is trained on; the picture shows their outlines.
        entry: what is to be made.
        heads: found in the images, for the findings; ``masks`` by default.
    """
    picture, window_hu = entry.findings_path.with_suffix(".jpg"), entry.windows.ct_hu
    draw_case(images, masks, picture, window_hu=window_hu)
    findings = findings_of_case(
        images, masks, entry.windows.mr, entry.windows.ct_hu, heads=heads, registration=entry.registration
    )
    save_findings(findings, entry.findings_path, entry.key)


def load_all_findings(folder: Path, patients: Iterable[str]) -> dict[str, Findings]:
    """The findings of those patients who have some, by patient."""
    present = {patient: load_findings(findings_path(folder, patient)) for patient in patients}
    return {patient: loaded[0] for patient, loaded in present.items() if loaded is not None}


def remove_others(folder: Path, patients: Collection[str]) -> None:
    """Remove pictures and findings of patients who are gone."""
    for pattern in ("*.jpg", "*.json"):
        for leftover in (Path(folder) / REPORT_FOLDER).glob(pattern):
            if leftover.stem not in patients:
                leftover.unlink()
