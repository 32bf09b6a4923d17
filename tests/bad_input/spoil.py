"""What goes wrong with files, each as a function of the place that it spoils."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from place import Place

Spoil = Callable[[Place], None]
Where = Callable[[Place], Path]

HTML = b"<!DOCTYPE html><html><body>Please log in to download.</body></html>"


# -- which file: of any stage ----------------------------------------------------------------------------------------


def under(*parts: str) -> Where:
    """A path below the current directory."""
    return lambda place: place.root.joinpath(*parts)


MR: Where = Place.mr
CT: Where = Place.ct
DESCRIPTION: Where = lambda place: place.raw / "dataset.json"  # noqa: E731
PLAN: Where = lambda place: place.preprocessed / "plans.json"  # noqa: E731
FINGERPRINT: Where = lambda place: place.preprocessed / "dataset_fingerprint.json"  # noqa: E731
SPLITS: Where = lambda place: place.preprocessed / "splits_final.json"  # noqa: E731
SLICES: Where = lambda place: place.slices / "P1.npz"  # noqa: E731
FINAL: Where = lambda place: place.fold / "checkpoint_final.pth"  # noqa: E731
LATEST: Where = lambda place: place.fold / "checkpoint_latest.pth"  # noqa: E731
MODEL_PLAN: Where = lambda place: place.model / "plans.json"  # noqa: E731
HELD_OUT: Where = lambda place: place.fold / "validation" / "P3.nii.gz"  # noqa: E731
NEW_MR: Where = under("mrs", "A_0000.nii.gz")


# -- any file --------------------------------------------------------------------------------------------------------


def nothing(place: Place) -> None:
    """The command line alone is wrong."""


def all_of(*spoils: Spoil) -> Spoil:
    """One after the other."""
    return lambda place: [spoil(place) for spoil in spoils] and None


def removed(where: Where) -> Spoil:
    """A file or folder that is gone."""

    def spoil(place: Place) -> None:
        path = where(place)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def holding(where: Where, content: bytes | str) -> Spoil:
    """A file of another content; made where there is none."""

    def spoil(place: Place) -> None:
        where(place).parent.mkdir(parents=True, exist_ok=True)
        where(place).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def a_file_in_place_of(where: Where) -> Spoil:
    """A file where a folder is meant to be."""

    def spoil(place: Place) -> None:
        shutil.rmtree(where(place), ignore_errors=True)
        where(place).write_text("not a folder")

    return spoil


def a_folder_in_place_of(where: Where) -> Spoil:
    """A folder where a file is meant to be."""

    def spoil(place: Place) -> None:
        where(place).unlink(missing_ok=True)
        where(place).mkdir()

    return spoil


def cut_off(where: Where, share: float = 0.6) -> Spoil:
    """The first part of the file, as an interrupted copy leaves it."""

    def spoil(place: Place) -> None:
        content = where(place).read_bytes()
        where(place).write_bytes(content[: int(share * len(content))])

    return spoil


def copied(source: Where, *parts: str) -> Spoil:
    """A second copy of a file under another path."""

    def spoil(place: Place) -> None:
        target = place.root.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source(place), target)

    return spoil


def renamed(where: Where, name: str) -> Spoil:
    """Another name in the same folder."""
    return lambda place: where(place).rename(where(place).with_name(name)) and None


def edited(where: Where, key: str, value: Any) -> Spoil:
    """JSON with another value at a key such as ``configurations.2d.input``; numbers choose from lists."""

    def spoil(place: Place) -> None:
        content = json.loads(where(place).read_text())
        *parents, last = key.split(".")
        table = content
        for name in parents:
            table = table[int(name) if isinstance(table, list) else name]
        table[int(last) if isinstance(table, list) else last] = value
        where(place).write_text(json.dumps(content))

    return spoil


def read_only(where: Where) -> Spoil:
    """A folder that the user, who is not root here, may not write into."""

    def spoil(place: Place) -> None:
        where(place).mkdir(exist_ok=True)
        os.chmod(where(place), 0o555)

    return spoil


# -- images ----------------------------------------------------------------------------------------------------------


def image(where: Where, change: Callable[[sitk.Image], sitk.Image]) -> Spoil:
    """An image file that holds what ``change`` makes of it."""

    def spoil(place: Place) -> None:
        sitk.WriteImage(change(sitk.ReadImage(str(where(place)))), str(where(place)))

    return spoil


def voxels(where: Where, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Other voxels (z, y, x) on the same grid."""

    def with_others(before: sitk.Image) -> sitk.Image:
        after = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(before)))
        after.CopyInformation(before)
        return after

    return image(where, with_others)


def set_to(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """One voxel in the middle of the head of another value."""

    def change(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        values[tuple(np.array(values.shape) // 2)] = value
        return values

    return change


def moved(where: Where, by_mm: float) -> Spoil:
    """An image that lies elsewhere in space."""

    def change(before: sitk.Image) -> sitk.Image:
        before.SetOrigin([value + by_mm for value in before.GetOrigin()])
        return before

    return image(where, change)


def spaced(where: Where, *spacing_mm: float) -> Spoil:
    """Another voxel spacing."""

    def change(before: sitk.Image) -> sitk.Image:
        before.SetSpacing(spacing_mm)
        return before

    return image(where, change)


def header(where: Where, *fields: tuple[int, str, Any]) -> Spoil:
    """NIfTI-1 header fields by their offsets and formats, as ``nifti1.h`` has them."""

    def spoil(place: Place) -> None:
        content = bytearray(gzip.decompress(where(place).read_bytes()))
        for offset, form, value in fields:
            struct.pack_into("<" + form, content, offset, *(value if isinstance(value, tuple) else (value,)))
        where(place).write_bytes(gzip.compress(bytes(content)))

    return spoil


def a_mask(values: Callable[[np.ndarray], np.ndarray], by_mm: float = 0.0) -> Spoil:
    """A head mask of P1 made of the CT's voxels, moved in space."""

    def spoil(place: Place) -> None:
        ct = sitk.ReadImage(str(place.ct()))
        mask = sitk.GetImageFromArray(values(sitk.GetArrayFromImage(ct)).astype(np.uint8))
        mask.CopyInformation(ct)
        mask.SetOrigin([value + by_mm for value in ct.GetOrigin()])
        (place.raw / "masksTr").mkdir()
        sitk.WriteImage(mask, str(place.raw / "masksTr" / "P1.nii.gz"))

    return spoil


def mr_and_ct_exchanged(place: Place) -> None:
    """P1's scans in each other's place."""
    mr, ct = place.mr().read_bytes(), place.ct().read_bytes()
    place.mr().write_bytes(ct)
    place.ct().write_bytes(mr)


# -- slices and checkpoints ------------------------------------------------------------------------------------------


def checkpoint(where: Where, **changes: Any) -> Spoil:
    """A checkpoint with other values; None removes one."""

    def spoil(place: Place) -> None:
        import torch

        content = torch.load(where(place), weights_only=True) | changes
        torch.save({key: value for key, value in content.items() if value is not None}, where(place))

    return spoil


def pickled(where: Where) -> Spoil:
    """A pickle that leaves a file behind when it is loaded without care."""

    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
            return Path.touch, (Path("the payload ran"),)

    def spoil(place: Place) -> None:
        import torch

        torch.save({"format_version": 1, "payload": Payload()}, where(place))

    return spoil


def without_pairs(place: Place) -> None:
    """Of each patient one scan only, and the dataset preprocessed again."""
    from synthct.commands import plan_and_preprocess

    for path in (place.ct("P1"), place.mr("P2"), place.ct("P3")):
        path.unlink()
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1", "--clean"]) == 0


def exported(place: Place) -> None:
    """The trained model as ``model.zip``."""
    from synthct.commands import export_model

    assert export_model.main(["-o", "model.zip"]) == 0
