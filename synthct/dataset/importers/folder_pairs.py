"""A folder with two subfolders, MRs in one and CTs in the other, perhaps masks in a third; files matched by name."""

from __future__ import annotations

import re
from pathlib import Path

from synthct.dataset.importers.cases import ImportCase, Listing
from synthct.dataset.raw import MHD_DATA
from synthct.errors import DatasetError
from synthct.imaging.io import image_name

FOLDERS = {
    "mr": ("mr", "mri", "mrs", "images", "imagestr", "traina"),
    "ct": ("ct", "cts", "targets", "targetstr", "trainb"),
    "mask": ("mask", "masks", "maskstr"),
}


def list_folder_pairs(folder: Path) -> Listing | None:
    """The patients of two folders of images; None where the folder has no such subfolders.

    A file's name without its ending is the patient's: ``mr/P1.nii.gz`` belongs to ``ct/P1.mha``. An ending ``_0000``
    of an MR, and ``_mr``, ``_ct``, ``_mask`` are left out of it. A name that is in one folder only is a patient with
    only an MR or only a CT.

    Raises:
        DatasetError: two files of one patient in a folder, or several MR channels.
    """
    subfolders = {}
    for path in sorted(folder.iterdir()):
        for kind, names in FOLDERS.items():
            if path.is_dir() and path.name.lower() in names:
                if kind in subfolders:
                    raise DatasetError(f"{folder} has two folders for {kind}, {subfolders[kind].name} and {path.name}; "
                                       "give a folder with one.")  # fmt: skip
                subfolders[kind] = path
    images = {kind: _images(path, kind) for kind, path in subfolders.items()}
    if not images.get("mr") or not images.get("ct"):
        return None
    masks = images.get("mask", {})
    patients = sorted(images["mr"].keys() | images["ct"].keys())
    cases = [
        ImportCase(patient, images["mr"].get(patient), images["ct"].get(patient), masks.get(patient), source=patient)
        for patient in patients
    ]
    remarks = []
    if unused := sorted(masks.keys() - set(patients)):
        remarks.append(f"{len(unused)} masks have the name of no MR or CT and are passed over: {', '.join(unused)}.")
    for kind, path in subfolders.items():
        seen = [one for one in path.iterdir() if not one.name.startswith(".") and one.suffix not in MHD_DATA]
        if others := len(seen) - len(images[kind]):
            remarks.append(f"{others} files in {path.name} are passed over: they do not end as images do.")
    return Listing("pairs", tuple(cases), remarks=tuple(remarks), sources={patient: patient for patient in patients})


def _images(folder: Path, kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = image_name(path)
        if stem is None or path.name.startswith(".") or not path.is_file():
            continue
        channel = re.search(r"_(000[1-9])$", stem)
        if kind == "mr" and channel and (folder / path.name.replace(channel[1], "0000")).exists():
            raise DatasetError(
                f"{path} is a second channel of an MR; several channels are not imported: copy the files into a raw "
                "dataset by hand (documentation/reference.md)."
            )
        patient = re.sub(r"(?i)[_-](mr|mri|ct|mask)$", "", re.sub(r"_0000$", "", stem) if kind == "mr" else stem)
        if patient in found:
            raise DatasetError(f"{path} and {found[patient].name} are both of patient '{patient}'; remove one of them.")
        found[patient] = path
    return found
