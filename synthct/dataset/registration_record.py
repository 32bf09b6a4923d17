"""How a patient's CT lies on the MR, kept as ``registrations/PATIENT.tfm`` and its judgement ``PATIENT.json``."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from synthct.errors import DatasetError
from synthct.files import read_json, write_json, written_whole
from synthct.imaging.alignment import Alignment
from synthct.imaging.io import itk_path
from synthct.json_dataclasses import from_plain, shown, to_plain

FORMAT_VERSION = 1
REGISTRATIONS = "registrations"  # the folder's name in a preprocessed dataset
RegisterMode = Literal["off", "auto", "always", "refine"]  # refine: as auto, and the training CTs are refined locally
RigidMode = Literal["off", "auto", "always"]  # in which the CT is registered rigidly
# registered by mutual information; aligned already, as the scanners have it; failed; given by the user as a .tfm
Status = Literal["registered", "aligned", "failed", "given"]


def rigid_mode(mode: RegisterMode) -> RigidMode:
    """How the CT is registered rigidly in a mode; that does not depend on a refinement."""
    return "auto" if mode == "refine" else mode


@dataclass(frozen=True)
class Registration:
    """A rigid transform, point of the CT = matrix @ point of the MR + offset (LPS, mm), and how it came about.

    Attributes:
        matrix: row-major rotation.
        offset_mm: (x, y, z).
        status: a patient whose registration failed has both scans, but they are not a pair.
        alignment: how the CT lies on the MR under the transform.
        problems_found: what speaks against it, a clause each.
    """

    matrix: tuple[float, float, float, float, float, float, float, float, float]
    offset_mm: tuple[float, float, float]
    status: Status
    alignment: Alignment | None = None
    problems_found: tuple[str, ...] = ()

    @staticmethod
    def of(
        transform: sitk.Transform,
        status: Status,
        alignment: Alignment | None = None,
        problems_found: tuple[str, ...] = (),
    ) -> Registration:
        """The record of a rigid transform of SimpleITK, of any class."""
        offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.subtract(transform.TransformPoint(axis.tolist()), offset) for axis in np.eye(3)]
        return Registration(
            tuple(np.transpose(columns).ravel().tolist()), tuple(offset.tolist()), status, alignment, problems_found
        )

    def mr_to_ct(self) -> sitk.Transform:
        """From points of the MR to points of the CT."""
        transform = sitk.VersorRigid3DTransform()
        transform.SetMatrix(self.matrix, 1e-6)
        transform.SetTranslation(self.offset_mm)
        return transform

    def moves_as(self, transform: sitk.Transform) -> bool:
        """Whether both move the points of a head alike, within a micrometre or so."""
        corners = np.array([np.array(pick) * 400.0 - 200.0 for pick in np.ndindex(2, 2, 2)])
        here = corners @ np.reshape(self.matrix, (3, 3)).T + self.offset_mm
        there = np.array([transform.TransformPoint(corner.tolist()) for corner in corners])
        return bool(np.abs(here - there).max() < 1e-3)


@dataclass(frozen=True)
class RegistrationRecord:
    """``PATIENT.json``: the registration, and what it was made from."""

    format_version: int
    mode: RigidMode
    files_key: str
    registration: Registration

    @staticmethod
    def load(path: Path) -> RegistrationRecord:
        """Read it.

        Raises:
            DatasetError: it is missing, damaged or of another version.
        """
        record = from_plain(RegistrationRecord, read_json(path, DatasetError), str(path), error=DatasetError)
        if record.format_version != FORMAT_VERSION:
            raise DatasetError(
                f"{path} is of version {shown(record.format_version)}, and this synthct reads {FORMAT_VERSION}."
            )
        if not _is_rotation(record.registration.matrix, 1e-6) or max(map(abs, record.registration.offset_mm)) > 1e6:
            raise DatasetError(f"{path} holds no rotation and shift; remove it to register anew.")
        return record

    def save(self, path: Path) -> None:
        """Write ``PATIENT.json``, and ``PATIENT.tfm`` unless that is the user's own or the registration failed.

        In an order in which, whenever it is broken off, no transform of ours is taken for one of the user's.
        """
        transform_path, status = path.with_suffix(".tfm"), self.registration.status
        if status != "given":
            transform_path.unlink(missing_ok=True)
        write_json(to_plain(self), path)
        if status in ("registered", "aligned"):
            with written_whole(transform_path) as temporary:
                sitk.WriteTransform(self.registration.mr_to_ct(), itk_path(temporary))
                if not _holds(temporary, self.registration):  # ITK says nothing of a full disk
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(transform_path))


def _holds(path: Path, registration: Registration) -> bool:
    try:
        return registration.moves_as(sitk.ReadTransform(itk_path(path)))
    except RuntimeError:
        return False


def load_transform(path: Path) -> sitk.Transform:
    """Read a rigid transform in any of ITK's file formats.

    Raises:
        DatasetError: it cannot be read, or is not rigid.
    """
    try:
        transform = sitk.ReadTransform(itk_path(path))
    except RuntimeError:
        raise DatasetError(
            f"{path} is not a transform that ITK reads; fix it, or remove it to register anew."
        ) from None
    found = Registration.of(transform, "given")
    if not _is_rotation(found.matrix) or not found.moves_as(transform):
        raise DatasetError(f"{path} is not rigid; give rotation and shift only, from points of the MR to the CT's.")
    return transform


def _is_rotation(matrix: tuple[float, ...], tolerance: float = 1e-4) -> bool:
    axes = np.reshape(matrix, (3, 3))
    if not np.abs(axes).max() <= 2:  # NaN, and what would overflow
        return False
    return bool(np.allclose(axes @ axes.T, np.eye(3), rtol=0, atol=tolerance) and np.linalg.det(axes) > 0)
