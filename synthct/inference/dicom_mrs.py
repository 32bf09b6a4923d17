"""The DICOM MRs of a folder tree: for each patient the series that the model is to see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from synthct.counted import first_of
from synthct.dataset.importers.cases import numbered
from synthct.dataset.importers.dicom_tree import holds_dicom
from synthct.errors import ImageError
from synthct.imaging.dicom import DicomSeries, PatientsBy, find_series, read_series
from synthct.imaging.dicom.choosing import check_person, choose_series, warn_of_one_id
from synthct.imaging.dicom.stacking import stack_slices
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

__all__ = ["DicomMr", "holds_dicom", "list_dicom_mrs", "output_name"]

THIN_MM = 2.0  # slices of a 3-D acquisition lie closer than this
MAX_SHOWN = 10  # series in a message


@dataclass(frozen=True)
class DicomMr:
    """The MR of one patient.

    Attributes:
        patient: what outputs are called; says nothing about the patient.
        series: one a channel, in the model's order.
    """

    patient: str
    series: tuple[DicomSeries, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.patient} ({', '.join(volume.name for volume in self.series)})"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, those of the first channel first."""
        return tuple(dict.fromkeys(path for volume in self.series for path in volume.files))

    def read(self) -> tuple[sitk.Image, ...]:
        """The channels, in scanner units.

        Raises:
            ImageError: naming the series.
        """
        return tuple(map(read_series, self.series))


def list_dicom_mrs(
    folder: Path,
    n_channels: int,
    mr_series: Sequence[str] = (),
    *,
    patients_by: PatientsBy = "id",
    runner: CaseRunner = IN_THIS_PROCESS,
) -> dict[str, DicomMr]:
    """The MR of every patient below a folder, by output name.

    An output is called ``SCT_`` and ten hexadecimal digits of a hash of PatientID and SeriesInstanceUID: the same MR
    always gets the same name, another MR another one, and the name says nothing about the patient.

    Args:
        folder: any nesting.
        n_channels: of the model.
        mr_series: which series to take, by number, UID or a part of the description. For a model of one channel the
            first of the texts that means any series of the patient chooses; for a model of several they are one a
            channel. Without, the one volume that a patient has is taken; of several the only one with thin slices.
        patients_by: ``id``: by PatientID; ``folder``: by the folder directly below ``folder``, whose name then stands
            for the PatientID.
        runner: its display is shown, and files are read in this process; bad are the patients for whom no MR can be
            chosen.

    Raises:
        ImageError: there is no MR, none can be chosen for a patient, or MRs of one patient are of different persons by
            PatientBirthDate, PatientSex or PatientName; no message names a patient or a path below the folder.
    """
    if n_channels > 1 and len(mr_series) != n_channels:
        raise ImageError(
            f"The model needs {n_channels} MR channels; give --mr_series {n_channels} texts, one a channel in the "
            "model's order, by number or a part of the description."
        )
    texts = [[text] for text in mr_series] if n_channels > 1 else [mr_series]
    root = Path(folder).absolute()
    by_patient: dict[str, list[DicomSeries]] = {}
    mrs = [
        series
        for series in find_series(root, patients_by=patients_by, runner=runner.in_this_process())
        if series.modality == "MR"
    ]
    for series in mrs:
        by_patient.setdefault(series.patient_id, []).append(series)
    if not by_patient:
        raise ImageError(f"{folder} holds DICOM files but no MR images among them; give the folder of the MRs with -i.")
    warn_of_one_id(mrs, root)
    found, problems = {}, {}
    for key, patient in numbered("Patient", by_patient).items():
        try:
            if patients_by == "id" and not mr_series:  # MRs of two persons are not ours to choose from
                check_person((volume for volume in by_patient[key] if not volume.unfit), patients_by)
            chosen = tuple(_chosen(by_patient[key], channel_texts, root) for channel_texts in texts)
            check_person(chosen, patients_by, patient)
        except ImageError as fault:
            problems[patient] = ImageError(f"{folder}, {patient}: {fault}")
            continue
        name = output_name(chosen)
        found[name] = DicomMr(name, chosen)
    if problems and not runner.skips_bad:
        raise ImageError("\n".join(map(str, problems.values())))
    for patient, problem in problems.items():
        runner.reject(patient, problem)
    return dict(sorted(found.items()))


def output_name(series: Sequence[DicomSeries]) -> str:
    """What the sCT of an MR is called, a series a channel."""
    identifiers = [
        (volume.patient_id, volume.series_uid, volume.part) for volume in series
    ]  # copied data may share UIDs
    return f"SCT_{hashlib.sha256(repr(identifiers).encode()).hexdigest()[:10]}"


def _chosen(candidates: Sequence[DicomSeries], wanted: Sequence[str], root: Path) -> DicomSeries:
    if not wanted:
        thin = [
            candidate
            for candidate in candidates
            if not (candidate.unfit or candidate.derived) and candidate.slice_gap_mm <= THIN_MM
        ]
        candidates = thin if len(thin) == 1 else candidates
    series = choose_series(candidates, wanted, root=root)
    if series is None:
        listed = first_of((f"{candidate.name} ({candidate.unfit})" for candidate in candidates), MAX_SHOWN)
        raise ImageError(f"no MR series is a volume of the head: {listed}; choose one with --mr_series, or remove it.")
    stack_slices(series)  # raises where slices are missing, before a network is run
    return series
