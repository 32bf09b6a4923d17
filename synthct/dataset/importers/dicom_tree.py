"""DICOM files in any nesting: one MR and one CT series of each patient, and no name of any patient.

Patients are called NAME_001, NAME_002, ... by the order of a hash of their PatientID: the same tree gives the same
names, and the names tell nothing. Messages name the patient so, a series by its number and description, and no path
below the folder that the user gave, because folders and files are often named after patients.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from synthct.dataset.importers.cases import ImportCase, Listing, numbered
from synthct.errors import ImageError
from synthct.imaging.dicom import DicomSeries, find_series
from synthct.imaging.dicom.beginning import looks_like_dicom
from synthct.imaging.dicom.stacking import stack_slices
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

PatientsBy = Literal["id", "folder"]
_UID = re.compile(r"\d+(\.\d+){3,}")


def holds_dicom(folder: Path) -> bool:
    """Whether any file below a folder begins as DICOM does."""
    return any(
        _begins_as_dicom(Path(parent, name))
        for parent, _, files in os.walk(folder, followlinks=True)
        for name in sorted(files)
    )


def _begins_as_dicom(path: Path) -> bool:
    try:
        return looks_like_dicom(path)
    except OSError:  # a link to nowhere, or a file of somebody else
        return False


def list_dicom(
    folder: Path,
    *,
    name: str,
    mr_series: Sequence[str] = (),
    ct_series: Sequence[str] = (),
    patients_by: PatientsBy = "id",
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Listing:
    """Patients and the series chosen for each; those for whom none can be chosen are in ``problems``.

    Args:
        folder: the tree.
        name: what patients are called.
        mr_series, ct_series: which series to take, see :func:`choose_series`.
        patients_by: ``id``: by PatientID; ``folder``: by the folder directly below ``folder``, for trees without
            PatientIDs, or with other ones in the MR than in the CT.
        runner: how the files are read.
    """
    folder = Path(folder)
    by_patient: dict[str, list[DicomSeries]] = {}
    for series in find_series(folder, runner=runner):
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


def choose_series(candidates: Sequence[DicomSeries], wanted: Sequence[str] = ()) -> DicomSeries | None:
    """The one volume among the series of one modality.

    Args:
        candidates: the series of one patient and modality.
        wanted: texts, of which the first that means any series chooses: a label (``4`` or ``4.2``), a number, a UID
            or, case aside, a part of the description. UIDs of other patients' series are passed over. Without
            ``wanted``, the only proper volume is chosen: acquired rather than derived where there are both.

    Returns:
        None where nothing is a proper volume and nothing is wanted.

    Raises:
        ImageError: none is meant, or several are left; it lists them and says how to choose.
    """
    if not candidates:
        return None
    modality = candidates[0].modality
    wanted = [text for text in wanted if not _UID.fullmatch(text) or text in {one.series_uid for one in candidates}]
    if wanted:
        meant = next(filter(None, (_meant(candidates, text) for text in wanted)), [])
        if not meant:
            texts = " or ".join(f"'{text}'" for text in wanted)
            raise ImageError(
                f"no {modality} series is meant by {texts}. There are\n" + "\n".join(describe(candidates)) + "\n"
                f"Add to --{modality.lower()}_series the number of one, or a part of its description."
            )
        left = [series for series in meant if not series.unfit] or meant
    else:
        fit = [series for series in candidates if not series.unfit]
        left = [series for series in fit if not series.derived] or fit
    if len(left) > 1:
        raise ImageError(
            f"there are {len(left)} {modality} volumes to choose from:\n" + "\n".join(describe(left)) + "\n"
            f"Choose with --{modality.lower()}_series, by number, UID or a part of the description."
        )
    return left[0] if left else None


def describe(series: Sequence[DicomSeries]) -> list[str]:
    """A line a series: number, modality, slices x rows x columns, spacing, description, why it is no volume to train
    on; and its UID where two have one number."""
    labels = [(one.modality, one.label) for one in series]
    return [_described(one, labels.count((one.modality, one.label)) > 1) for one in series]


def _described(series: DicomSeries, with_uid: bool) -> str:
    rows, columns = series.pixel_spacing_mm
    size = f"{len(series.slices)} x {series.rows} x {series.columns}"
    spacing = f"{series.slice_gap_mm:.2f} x {rows:.2f} x {columns:.2f} mm"
    what = series.description + (f" ({series.split})" if series.split else "")
    note = series.unfit or ("derived" if series.derived else "")
    line = f"  {series.label:>6}  {series.modality}  {size:>16}  {spacing:>22}  {what}"
    return line + f"  [{note}]" * bool(note) + f"  UID {series.series_uid}" * with_uid


def _meant(candidates: Sequence[DicomSeries], text: str) -> list[DicomSeries]:
    """By the strictest of label, number or UID, and description that any series fits."""
    wanted = text.strip().lower()
    by_label = [series for series in candidates if wanted == series.label]
    by_number = [series for series in candidates if wanted in (str(series.number), series.series_uid)]
    by_words = [series for series in candidates if wanted in f"{series.description} {series.split}".lower()]
    return by_label or by_number or by_words


def _case(patient: str, series: Sequence[DicomSeries], wanted: Mapping[str, Sequence[str]], source: str) -> ImportCase:
    chosen = {
        modality: choose_series([one for one in series if one.modality == modality], texts)
        for modality, texts in wanted.items()
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
