"""Which MR and CT series a folder holds, however its files are named and nested."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom

from synthct.errors import ImageError
from synthct.imaging.dicom.headers import ImageHeader, looks_like_dicom, read_headers
from synthct.imaging.dicom.series import DicomSeries
from synthct.imaging.dicom.volumes import volumes_of
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

logger = logging.getLogger(__name__)
BATCH = 100  # files that a process reads at a time
BATCHES_FOR_WORKERS = 30  # processes take a second or two to start


def find_series(folder: Path, *, runner: CaseRunner = IN_THIS_PROCESS) -> tuple[DicomSeries, ...]:
    """The MR and CT volumes of all DICOM files below a folder, whatever their names; no voxel is read.

    Files are told apart by PatientID, study, series and Modality; other files, DICOMDIR and second copies of an image
    (the same SOPInstanceUID) are passed over. A series with several images at a position (echoes, time points,
    magnitude and phase) becomes several volumes, one of several orientations (a localizer) too. Files without a
    PatientID belong to the patient of their folder directly below ``folder``.

    Args:
        folder: any tree; links to folders are followed.
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
    batches = {str(start): (paths[start : start + BATCH],) for start in range(0, len(paths), BATCH)}
    if len(batches) < BATCHES_FOR_WORKERS:
        runner = runner.in_this_process()
    read = runner.strict().run(_headers_of, batches, describe="Reading headers", unit=f" x {BATCH} files")
    found: dict[tuple[str, ...], dict[tuple[str, int], ImageHeader]] = {}
    for headers, _ in read.values():
        for image in headers:
            patient, *series = image.series
            key = (patient or _folder_of(image.slice.path, folder), *series)
            found.setdefault(key, {}).setdefault((image.sop_uid or str(image.slice.path), image.slice.frame), image)
    if damaged := sum(count for _, count in read.values()):
        logger.warning("%d DICOM files are damaged or do not say where they lie; they are left out.", damaged)
    volumes = [volume for key, images in found.items() for volume in volumes_of(key, list(images.values()))]
    volumes.sort(key=lambda one: (one.patient_id, one.modality, one.number, one.series_uid, one.part))
    return tuple(volumes)


def _headers_of(paths: list[Path]) -> tuple[list[ImageHeader], int]:
    """The images in some files, and how many of the files are damaged."""
    headers, damaged = [], 0
    # Messages of pydicom hold values of the file, which may be names.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        for path in paths:
            try:
                headers += read_headers(path) if looks_like_dicom(path) else []
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


def _folder_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts
    return f"folder:{parts[0] if len(parts) > 1 else ''}"
