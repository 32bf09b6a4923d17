"""Images of several folders that are of one patient, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthct.counted import first_of
from synthct.errors import DatasetError
from synthct.imaging.io import FILE_ENDINGS, image_name


def images_by_patient(folder: Path) -> dict[str, Path]:
    """Images by name without ending.

    Raises:
        DatasetError: the folder is missing, or two files have one name.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give a folder of images ({' '.join(FILE_ENDINGS)}).")
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        patient = image_name(path)
        if patient is None or path.name.startswith(".") or not path.is_file():
            continue
        if patient in images:
            raise DatasetError(f"{images[patient]} and {path} are both of patient {patient}; remove one of them.")
        images[patient] = path
    return images


def mrs_of(patients: Sequence[str], folder: Path) -> dict[str, Path]:
    """The MR of every patient, named with or without the number of the first channel.

    Raises:
        DatasetError: the folder is missing, or a patient has no MR or two.
    """
    images = images_by_patient(folder)
    found = {p: [images[name] for name in (p, f"{p}_0000") if name in images] for p in patients}
    if without := [patient for patient, mrs in found.items() if not mrs]:
        raise DatasetError(f"{folder} holds no MR of {first_of(without, 3)}; add it, or evaluate without MRs.")
    if double := [(patient, mrs) for patient, mrs in found.items() if len(mrs) > 1]:
        patient, mrs = double[0]
        raise DatasetError(f"{mrs[0]} and {mrs[1]} are both of patient {patient}; remove one of them.")
    return {patient: mrs[0] for patient, mrs in found.items()}
