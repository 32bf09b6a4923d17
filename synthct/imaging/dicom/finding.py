"""Which MR and CT series a folder holds, however its files are named and nested."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pydicom

from synthct.errors import ImageError
from synthct.imaging.dicom.beginning import looks_like_dicom
from synthct.imaging.dicom.copies import without_second_files
from synthct.imaging.dicom.headers import ImageHeader, SeriesKey, read_headers
from synthct.imaging.dicom.one_image_series import join_series
from synthct.imaging.dicom.series import DicomSeries
from synthct.imaging.dicom.volumes import volumes_of
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

logger = logging.getLogger(__name__)
PatientsBy = Literal["id", "folder"]
BATCH = 100  # files that a process reads at a time
BATCHES_FOR_WORKERS = 30  # processes take a second or two to start


def find_series(
    folder: Path, *, patients_by: PatientsBy = "id", runner: CaseRunner = IN_THIS_PROCESS
) -> tuple[DicomSeries, ...]:
    """The MR and CT volumes of all DICOM files below a folder, whatever their names.

    Files are distinguished by PatientID, study, series and Modality; other files and DICOMDIR are passed over, and an
    image counts once: of files with one SOPInstanceUID (0008,0018), and of identical images at one place, the first.
    A series with several images at a position (echoes, time points, magnitude and phase) becomes several volumes, one
    of several orientations (a localizer) too. Files without a PatientID belong to the patient of their folder directly
    below ``folder``. Voxels are read only of images at one place that their headers do not tell apart.

    Args:
        folder: any tree; links to folders are followed.
        patients_by: ``id``: by PatientID; ``folder``: by the folder directly below ``folder``, for trees with one
            PatientID for all patients, or with others in the MR than in the CT.
        runner: how files are read, some at a time; several processes are for large trees alone, since a file takes
            about a millisecond.

    Returns:
        Volumes ordered by patient, modality, series number, UID and part. :attr:`DicomSeries.unfit` says which are no
        volumes to train on.

    Raises:
        ImageError: the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; give the folder of the DICOM files.")
    paths = list(_files_below(folder))
    key = secrets.token_bytes(16)
    batches = {str(start): (paths[start : start + BATCH], key) for start in range(0, len(paths), BATCH)}
    if len(batches) < BATCHES_FOR_WORKERS:
        runner = runner.in_this_process()
    read = runner.strict().run(_headers_of, batches, describe="Reading headers", unit=f" x {BATCH} files")
    found: dict[SeriesKey, list[ImageHeader]] = {}
    for headers, _ in read.values():
        for image in headers:
            patient, study, series, modality = image.series
            if patients_by == "folder":
                patient = folder_below(folder, image.slice.path) or "."
            elif not patient:
                patient = f"folder:{folder_below(folder, image.slice.path)}"
            found.setdefault((patient, study, series, modality), []).append(image)
    if damaged := sum(count for _, count in read.values()):
        single = "1 DICOM file is damaged or does not say where it lies; it is left out."
        several = f"{damaged} DICOM files are damaged or do not say where they lie; they are left out."
        logger.warning(single if damaged == 1 else several)
    joined = join_series({series: without_second_files(images) for series, images in found.items()})
    volumes = [volume for series, images in joined.items() for volume in volumes_of(series, images)]
    volumes.sort(key=lambda volume: (volume.patient_id, volume.modality, volume.number, volume.series_uid, volume.part))
    return tuple(volumes)


def _headers_of(paths: list[Path], key: bytes) -> tuple[list[ImageHeader], int]:
    """The images in some files, and how many of the files are damaged."""
    headers, damaged = [], 0
    # Messages of pydicom hold values of the file, which may be names.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        for path in paths:
            try:
                headers += read_headers(path, key) if looks_like_dicom(path) else []
            except (ValueError, OSError):
                damaged += 1
    return headers, damaged


def _files_below(folder: Path) -> Iterator[Path]:
    """All files of a tree in a fixed order; a folder that several links lead to is walked once."""
    walked = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(parent)
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        yield from (Path(parent, name) for name in sorted(files) if name != "DICOMDIR")


def folder_below(root: Path, path: Path) -> str:
    """The folder directly below ``root`` that a file lies in; empty for a file in ``root`` itself."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else ""
