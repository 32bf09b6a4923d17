"""A folder with two subfolders, MRs in one and CTs in the other, perhaps masks in a third; files matched by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthct.counted import counted
from synthct.dataset.importers.cases import ImportCase, Listing
from synthct.dataset.patient_names import (
    WAYS,
    Matched,
    key_of,
    match_by_pattern,
    match_names,
    patient_by_pattern,
    patient_of,
)
from synthct.dataset.raw import MHD_DATA
from synthct.errors import DatasetError
from synthct.imaging.io import image_name

FOLDERS = {
    "mr": ("mr", "mri", "mrs", "images", "imagestr", "traina"),
    "ct": ("ct", "cts", "targets", "targetstr", "trainb"),
    "mask": ("mask", "masks", "maskstr"),
}


def list_folder_pairs(folder: Path, pattern: re.Pattern[str] | None = None) -> Listing | None:
    """The patients of two folders of images; None where the folder has no such subfolders.

    Files of one name, whatever their endings, are of one patient, and so are files whose names differ in words of
    modality alone; see :mod:`synthct.dataset.patient_names`. What has no partner is a patient with only an MR or only a
    CT.

    Args:
        folder: with two or three subfolders.
        pattern: finds the patient in file names in place of that, see :func:`match_by_pattern`.

    Raises:
        DatasetError: two files of one patient in a folder, several MR channels, or a name without ``pattern``.
    """
    subfolders: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        for kind, names in FOLDERS.items():
            if path.is_dir() and path.name.lower() in names:
                if kind in subfolders:
                    raise DatasetError(f"{folder} has two folders for {kind}, {subfolders[kind].name} and {path.name}; "
                                       "give a folder with one.")  # fmt: skip
                subfolders[kind] = path
    images = {kind: _images(path) for kind, path in subfolders.items()}
    if not images.get("mr") or not images.get("ct"):
        return None
    mr, ct = images["mr"], images["ct"]
    matched = match_by_pattern(mr, ct, pattern) if pattern else match_names(mr, ct)
    _check_channels(matched, mr)
    for patient, files in matched.ambiguous.items():
        _refuse(patient, files)
    masks, unused = _masks(images.get("mask", {}), matched, mr | ct, pattern)
    cases = [
        ImportCase(patient, matched.mr.get(patient), matched.ct.get(patient), masks.get(patient), source=patient)
        for patient in sorted(matched.mr.keys() | matched.ct.keys())
    ]
    remarks = []
    if matched.renamed:
        patient = matched.renamed[0]
        remarks.append(
            f"{counted(len(matched.renamed), 'pair')} matched by the names without words of modality, such as "
            f"{matched.mr[patient].name} and {matched.ct[patient].name}, which are patient '{patient}'."
        )
    if unused:
        have = "mask has" if len(unused) == 1 else "masks have"
        are = "is" if len(unused) == 1 else "are"
        listed = ", ".join(sorted(unused))
        remarks.append(f"{len(unused)} {have} the name of no MR or CT and {are} passed over: {listed}.")
    for kind, path in subfolders.items():
        seen = [entry for entry in path.iterdir() if not entry.name.startswith(".") and entry.suffix not in MHD_DATA]
        if others := len(seen) - len(images[kind]):
            passed_over = "is passed over: it does" if others == 1 else "are passed over: they do"
            remarks.append(f"{counted(others, 'file')} in {path.name} {passed_over} not end as images do.")
    return Listing(
        "pairs", tuple(cases), remarks=tuple(remarks), sources={case.patient: case.patient for case in cases}
    )


def _images(folder: Path) -> dict[Path, str]:
    """The name without ending of every image file."""
    names = {path: image_name(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return {path: name for path, name in names.items() if name is not None and not path.name.startswith(".")}


def _check_channels(matched: Matched[Path], mrs: Mapping[Path, str]) -> None:
    """Whether no file that has no partner is a further channel of an MR, which could as well be a numbered patient."""
    names = set(mrs.values())
    for patient, path in matched.mr.items():
        number = re.fullmatch(r"(.+)_(000[1-9])", mrs[path])
        if number and patient not in matched.ct and f"{number[1]}_0000" in names:
            raise DatasetError(
                f"{path} is a second channel of an MR; several channels are not imported: copy the files into a raw "
                "dataset by hand (documentation/reference.md). Or, if patients are numbered so, name the CTs likewise."
            )


def _refuse(patient: str, files: Sequence[Path]) -> None:
    first, *others = files
    names = " and ".join(path.name for path in others)
    raise DatasetError(
        f"{first} and {names} are both of patient '{patient}'; remove one of them, rename them so that each MR has the "
        "name of its CT, or give a --patient_pattern that tells them apart."
    )


def _masks(
    masks: Mapping[Path, str], matched: Matched[Path], names: Mapping[Path, str], pattern: re.Pattern[str] | None
) -> tuple[dict[str, Path], list[str]]:
    """The mask of each patient, and the names of those that belong to none."""
    patients: dict[str, str] = {}
    for way in reversed(range(WAYS)):  # the stricter way comes last, and stays
        for files in (matched.ct, matched.mr):
            patients |= {key_of(patient_of(names[path], way)): patient for patient, path in files.items()}
    found: dict[str, Path] = {}
    unused: list[str] = []
    for path, name in masks.items():
        patient: str | None
        if pattern:
            named = patient_by_pattern(path, name, pattern)
            patient = named if named in matched.mr or named in matched.ct else None
        else:
            keys = [key_of(patient_of(name, way)) for way in range(WAYS)]
            patient = next((patients[key] for key in keys if key in patients), None)
        if patient is None:
            unused.append(name)
        elif patient in found:
            _refuse(patient, [found[patient], path])
        else:
            found[patient] = path
    return found, unused
