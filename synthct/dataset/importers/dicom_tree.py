"""DICOM files in any nesting: one MR and one CT series of each patient, and no name of any patient.

Patients are called NAME_001, NAME_002, ... by the order of a hash of their PatientID: the same tree gives the same
names, and the names say nothing. Messages name the patient so, a series by its number and description, and no path
below the folder that the user gave, because folders and files are often named after patients.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthct.dataset.importers.cases import ImportCase, Listing, numbered
from synthct.errors import ImageError
from synthct.imaging.dicom import DicomSeries, PatientsBy, find_series
from synthct.imaging.dicom.beginning import looks_like_dicom
from synthct.imaging.dicom.choosing import check_person, choose_series, describe, warn_of_one_id
from synthct.imaging.dicom.stacking import stack_slices
from synthct.parallel import IN_THIS_PROCESS, CaseRunner


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
        patients_by: ``id``: by PatientID; ``folder``: by the folder directly below ``folder``, for trees with one
            PatientID for all patients, or with another one in the MR than in the CT.
        runner: how the files are read.
    """
    folder = Path(folder)
    by_patient: dict[str, list[DicomSeries]] = {}
    found = find_series(folder, patients_by=patients_by, runner=runner)
    warn_of_one_id(found, folder)
    for series in found:
        by_patient.setdefault(series.patient_id, []).append(series)
    names = numbered(name, by_patient)
    cases, problems, table = [], {}, []
    wanted = {"MR": mr_series, "CT": ct_series}
    for key, patient in sorted(names.items(), key=lambda item: item[1]):
        table += [f"{patient}:", *describe(by_patient[key])]
        try:
            cases.append(_case(patient, by_patient[key], wanted, patients_by, folder))
        except ImageError as fault:
            problems[patient] = f"{patient}: {fault}"
    sources = {names[key]: f"{key} in {_common_folder(by_patient[key], folder)}" for key in by_patient}
    return Listing("dicom", tuple(cases), problems, (), tuple(table), dict(sorted(sources.items())))


def _case(
    patient: str,
    series: Sequence[DicomSeries],
    wanted: Mapping[str, Sequence[str]],
    patients_by: PatientsBy,
    root: Path,
) -> ImportCase:
    of = {modality: [volume for volume in series if volume.modality == modality] for modality in wanted}
    if patients_by == "id":  # volumes of two persons are not ours to choose from
        unasked = [
            volume for modality, texts in wanted.items() if not texts for volume in of[modality] if not volume.unfit
        ]
        check_person(unasked, patients_by, patient)
    chosen = {modality: choose_series(of[modality], texts, root=root) for modality, texts in wanted.items()}
    check_person(chosen.values(), patients_by, patient)
    if not any(chosen.values()):
        listed = "\n".join(describe(series))
        raise ImageError(
            f"none of the series is a volume of the head:\n{listed}\nRemove the patient or use --skip_bad."
        )
    for volume in filter(None, chosen.values()):
        stack_slices(volume)  # raises where slices are missing, before any voxel is read
    return ImportCase(patient, chosen["MR"], chosen["CT"], None, source=series[0].patient_id)


def _common_folder(series: Sequence[DicomSeries], root: Path) -> str:
    common = os.path.commonpath([path.parent for volume in series for path in volume.files])
    return Path(common).relative_to(root).as_posix()
