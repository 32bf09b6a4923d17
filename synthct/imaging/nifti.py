"""Voxels of NIfTI files, and what is added to files that ITK has written.

The voxels are read here, not by ITK: it refuses axes that are slightly skewed, takes the spacing from pixdim alone,
fills up what a truncated compressed file lacks, and turns NaN and infinite voxels into 0, which is water in a CT.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.imaging.image_header import HeaderError
from synthct.imaging.nifti_header import HEADER_BYTES, VOXEL_TYPES, NiftiHeader, opened, read_nifti_header

_RAS_TO_LPS = np.array([[-1.0], [-1.0], [1.0]])
_CHUNK_BYTES = 2**24
# Fields that say where a volume lies, nifti1.h: pixdim[0..3]; codes, quaternion, offsets and the rows of the sform.
_PLACE_FIELDS = ((76, "4f"), (252, "2h"), (256, "18f"))


def read_nifti(path: Path) -> sitk.Image:
    """The scalar volume of a ``.nii`` or ``.nii.gz`` file where its header says that it lies (mm, LPS).

    Slope and intercept are applied, in float32 (float64 of voxels of 32 bits and more); otherwise the voxels keep their
    type. Axes may be skewed as in the file.

    Raises:
        HeaderError: the header cannot be used, the file is not a scalar volume, or it is cut off or damaged.
        OSError: the file cannot be read.
    """
    header = read_nifti_header(path)
    if header.flaw:
        raise HeaderError(header.flaw)
    values = _voxels(path, header)
    if header.scaling:
        slope, intercept = header.scaling
        kind = np.float32 if header.bits <= 16 or header.datatype == 16 else np.float64
        values = (values * np.float64(slope) + intercept).astype(kind)
    image = sitk.GetImageFromArray(values)
    affine = header.affine * _RAS_TO_LPS
    spacing = np.linalg.norm(affine[:, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:, 3].tolist())
    return image


def _voxels(path: Path, header: NiftiHeader) -> np.ndarray:
    """As stored, in this machine's byte order; (z, y, x)."""
    n_bytes = math.prod(header.sizes) * header.bits // 8
    try:
        with opened(path) as file:
            file.seek(header.start)
            data = file.read(n_bytes)
            while path.name.endswith(".gz") and file.read(_CHUNK_BYTES):  # the checksum is compared at the end
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise HeaderError(f"is cut off or damaged ({str(fault).rstrip('.')}); copy it again") from None
    if len(data) < n_bytes:
        raise HeaderError(f"ends {n_bytes - len(data)} bytes too early; copy it again")
    stored = np.frombuffer(data, header.order + VOXEL_TYPES[header.datatype]).reshape(header.sizes[::-1])
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def copy_place(source: Path, written: Path) -> None:
    """Say in a NIfTI file where it lies with the very numbers and codes of another one of the same grid.

    ITK writes qform and sform with code 1 whatever its source had; programs that choose between them by their codes
    would show the two files at different places.

    Args:
        source: ``.nii`` or ``.nii.gz``, in either byte order.
        written: ``.nii`` that ITK has written; changed in place.

    Raises:
        HeaderError: the header of ``source`` cannot be used.
        OSError: a file cannot be read or written.
    """
    order = read_nifti_header(source).order
    with opened(source) as file:
        source_header = file.read(HEADER_BYTES)
    with open(written, "r+b") as file:
        for offset, form in _PLACE_FIELDS:
            file.seek(offset)
            file.write(struct.pack(f"<{form}", *struct.unpack_from(order + form, source_header, offset)))


def ends_early(path: Path, n_bytes: int) -> bool:
    """Whether a ``.nii`` or ``.nii.gz`` file that ITK has just written without complaint lacks a part of its voxels.

    ITK says nothing of a full disk. The length is that of the file, or the one that a compressed file states in its
    last four bytes, modulo 2^32 (RFC 1952, ISIZE).

    Args:
        path: of the file.
        n_bytes: of all its voxels.
    """
    path = Path(path)
    try:
        with opened(path) as file:
            (start,) = struct.unpack_from("<f", file.read(HEADER_BYTES), 108)
        if not path.name.endswith(".gz"):
            return path.stat().st_size < start + n_bytes
        with open(path, "rb") as file:
            file.seek(-4, 2)
            return struct.unpack("<I", file.read())[0] != (int(start) + n_bytes) % 2**32
    except (EOFError, OSError, struct.error, zlib.error):
        return True
