"""DICOM files in any nesting: one MR and one CT series of each patient, and no name of any patient.

Patients are called NAME_001, NAME_002, ... by the order of a hash of their PatientID: the same tree gives the same
names, and the names tell nothing. Messages name the patient so, a series by its number and description, and no path
below the folder that the user gave, because folders and files are often named after patients.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from synthct.dataset.importers.cases import ImportCase, Listing, numbered
from synthct.errors import ImageError
from synthct.imaging.dicom import DicomSeries, find_series
from synthct.imaging.dicom.headers import looks_like_dicom
from synthct.imaging.dicom.stacking import stack_slices
from synthct.parallel import Progress, quiet

PatientsBy = Literal["id", "folder"]


def holds_dicom(folder: Path) -> bool:
    """Whether any file below a folder begins as DICOM does."""
    return any(
        looks_like_dicom(Path(parent, name))
        for parent, _, files in os.walk(folder, followlinks=True)
        for name in sorted(files)
    )


def list_dicom(
    folder: Path,
    *,
    name: str,
    mr_series: str | None = None,
    ct_series: str | None = None,
    patients_by: PatientsBy = "id",
    progress: Progress = quiet,
) -> Listing:
    """Patients and the series chosen for each; those for whom none can be chosen are in ``problems``.

    Args:
        folder: the tree.
        name: what patients are called.
        mr_series, ct_series: which series to take, see :func:`choose_series`.
        patients_by: ``id``: by PatientID; ``folder``: by the folder directly below ``folder``, for trees without
            PatientIDs, or with other ones in the MR than in the CT.
        progress: a display like ``tqdm``.
    """
    folder = Path(folder)
    by_patient: dict[str, list[DicomSeries]] = {}
    for series in find_series(folder, progress):
        by_patient.setdefault(_patient_key(series, folder, patients_by), []).append(series)
    names = numbered(name, by_patient)
    cases, problems, table = [], {}, []
    for key, patient in sorted(names.items(), key=lambda item: item[1]):
        table += [f"{patient}:", *describe(by_patient[key])]
        try:
            cases.append(_case(patient, by_patient[key], {"MR": mr_series, "CT": ct_series}, key))
        except ImageError as fault:
            problems[patient] = f"{patient}: {fault}"
    sources = {names[key]: f"{key} in {_common_folder(by_patient[key], folder)}" for key in by_patient}
    return Listing("dicom", tuple(cases), problems, (), tuple(table), dict(sorted(sources.items())))


def choose_series(candidates: Sequence[DicomSeries], text: str | None = None) -> DicomSeries | None:
    """The one volume among the series of one modality.

    With ``text``, the series that it means: its label (``4`` or ``4.2``), number, UID or, case aside, a part of its
    description. Without, the only proper volume: acquired rather than derived where there are both.

    Returns:
        None where nothing is a proper volume and ``text`` is not given.

    Raises:
        ImageError: none is meant by ``text``, or several are left; it lists them and says how to choose.
    """
    if not candidates:
        return None
    modality = candidates[0].modality
    if text is None:
        fit = [series for series in candidates if not series.unfit]
        left = [series for series in fit if not series.derived] or fit
        if not left:
            return None
    else:
        meant = _meant(candidates, text)
        if not meant:
            listed = "\n".join(describe(candidates))
            raise ImageError(
                f"no {modality} series is meant by '{text}'. There are\n{listed}\n"
                f"Give --{modality.lower()}_series the number of one, or a part of its description."
            )
        left = [series for series in meant if not series.unfit] or meant
    if len(left) > 1:
        listed = "\n".join(describe(left))
        raise ImageError(
            f"there are {len(left)} {modality} volumes to choose from:\n{listed}\n"
            f"Choose with --{modality.lower()}_series, by number or a part of the description."
        )
    return left[0]


def describe(series: Sequence[DicomSeries]) -> list[str]:
    """A line a series: number, modality, slices, spacing, description, and why it is no volume to train on."""
    return [_described(one) for one in series]


def _described(series: DicomSeries) -> str:
    rows, columns = series.pixel_spacing_mm
    size = f"{len(series.slices)} x {series.rows} x {series.columns}"
    spacing = f"{series.slice_gap_mm:.2f} x {rows:.2f} x {columns:.2f} mm"
    what = series.description + (f" ({series.split})" if series.split else "")
    note = series.unfit or ("derived" if series.derived else "")
    return f"  {series.label:>6}  {series.modality}  {size:>16}  {spacing:>22}  {what}" + (
        f"  [{note}]" if note else ""
    )


def _meant(candidates: Sequence[DicomSeries], text: str) -> list[DicomSeries]:
    """By the strictest of label, number or UID, and description that any series fits."""
    wanted = text.strip().lower()
    by_label = [series for series in candidates if wanted == series.label]
    by_number = [series for series in candidates if wanted in (str(series.number), series.series_uid)]
    by_words = [series for series in candidates if wanted in f"{series.description} {series.split}".lower()]
    return by_label or by_number or by_words


def _case(patient: str, series: Sequence[DicomSeries], wanted: Mapping[str, str | None], source: str) -> ImportCase:
    chosen = {
        modality: choose_series([one for one in series if one.modality == modality], text)
        for modality, text in wanted.items()
    }
    if not any(chosen.values()):
        listed = "\n".join(describe(series))
        raise ImageError(
            f"none of the series is a volume of the head:\n{listed}\nRemove the patient or use --skip_bad."
        )
    for one in filter(None, chosen.values()):
        stack_slices(one)  # raises where slices are missing, before any voxel is read
    return ImportCase(patient, chosen["MR"], chosen["CT"], None, source)


def _patient_key(series: DicomSeries, root: Path, patients_by: PatientsBy) -> str:
    if patients_by == "id":
        return series.patient_id
    parts = series.files[0].relative_to(root).parts
    return parts[0] if len(parts) > 1 else "."


def _common_folder(series: Sequence[DicomSeries], root: Path) -> str:
    common = os.path.commonpath([path.parent for one in series for path in one.files])
    return Path(common).relative_to(root).as_posix()
