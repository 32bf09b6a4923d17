"""The header of a NIfTI-1 file, parsed strictly before a voxel is read.

Format: nifti1.h of the NIfTI-1 standard (https://nifti.nimh.nih.gov/nifti-1), which gives the fields' places.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from synthct.imaging.image_header import Declared, HeaderError, check_spacing
from synthct.imaging.nifti_place import nifti_place

HEADER_BYTES, _NIFTI_2_BYTES = 348, 540
VOXEL_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64,
         1536: 128, 1792: 128, 2048: 256, 2304: 32}  # fmt: skip
_COMPLEX, _COLOURS = (32, 1792, 2048), {128: 3, 2304: 4}  # data type codes
_WRONG_UNITS = {1: "metres", 3: "micrometres"}  # of xyzt_units; 2 is mm, 0 not said
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI file says of itself.

    Attributes:
        order: ``<`` or ``>``, of its bytes.
        sizes: voxels along each axis; of more than three those of length 1 at the end are left out.
        datatype: its code.
        bits: of a voxel.
        start: byte of the file at which the voxels begin.
        scaling: slope and intercept of the stored values; None where there is no scaling.
        affine: (3, 4), from the index (x, y, z) of a voxel to its point in mm, RAS; None of fewer than three axes.
    """

    order: str
    sizes: tuple[int, ...]
    datatype: int
    bits: int
    start: int
    scaling: tuple[float, float] | None
    affine: np.ndarray | None

    @property
    def flaw(self) -> str | None:
        """Why its voxels are not those of a scalar volume, to go on after the file's name; None where they are."""
        if len(self.sizes) == 5 and self.sizes[3] == 1:
            return f"has {self.sizes[4]} values a voxel (RGB or vector); save scalar grey values"
        if len(self.sizes) != 3:
            return f"is {len(self.sizes)}-D ({' x '.join(map(str, self.sizes))}); save one 3-D volume a file"
        if self.datatype in _COLOURS:
            return f"has {_COLOURS[self.datatype]} values a voxel (RGB or vector); save scalar grey values"
        if self.datatype in _COMPLEX:
            return "holds complex values; save the magnitude image"
        if self.datatype not in VOXEL_TYPES:
            return f"has voxels of {self.bits} bits; save it with 16 or 32 bits a voxel"
        return None


def opened(path: Path) -> BufferedIOBase:
    """A ``.nii`` or ``.nii.gz`` file, uncompressed, to read."""
    return gzip.open(path, "rb") if path.name.endswith(".gz") else open(path, "rb")


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a ``.nii`` or ``.nii.gz`` file.

    Raises:
        HeaderError: it is damaged, of a kind that is not read, or does not say, or in two ways, where the volume lies.
        OSError: the file cannot be opened.
    """
    try:
        with opened(path) as file:
            return _parsed(file.read(HEADER_BYTES))
    except _DAMAGE as fault:
        raise HeaderError(f"is cut off or damaged ({str(fault).rstrip('.')}); replace the file") from None


def nifti_header(path: Path) -> Declared:
    """What the header of a ``.nii`` or ``.nii.gz`` file promises.

    Raises:
        HeaderError: as of :func:`read_nifti_header`.
    """
    header = read_nifti_header(path)
    return Declared(header.sizes, 1, header.bits / 8, path, header.start, path.name.endswith(".gz"))


def _parsed(data: bytes) -> NiftiHeader:
    order = next((order for order in "<>" if data[:4] == struct.pack(f"{order}i", HEADER_BYTES)), None)
    if data[:4] in (struct.pack("<i", _NIFTI_2_BYTES), struct.pack(">i", _NIFTI_2_BYTES)):
        raise HeaderError("is NIfTI-2; save it as NIfTI-1")
    if order is None or len(data) < HEADER_BYTES:
        raise HeaderError("has no header of a NIfTI file; replace the file")
    _check_magic(data[344:348])

    def values(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, data, offset)

    n_axes, *sizes = values("8h", 40)
    datatype, bits = values("2h", 70)
    (start,) = values("f", 108)
    if not 1 <= n_axes <= 7:
        raise HeaderError(f"has {n_axes} axes; save one 3-D volume a file")
    while n_axes > 3 and sizes[n_axes - 1] in (0, 1):
        n_axes -= 1
    if _BITS.get(datatype) != bits:
        raise HeaderError(f"has voxels of the unknown type {datatype} of {bits} bits; replace the file")
    handedness, *spacing = values("8f", 76)
    spacing = spacing[: min(n_axes, 3)]
    check_spacing(spacing)
    if min(spacing) < 0:
        raise HeaderError(f"has a voxel spacing of {' x '.join(f'{v:g}' for v in spacing)} mm; correct its header")
    if unit := _WRONG_UNITS.get(data[123] & 7):
        raise HeaderError(
            f"says that its lengths are {unit}, which some programs follow and others do not; save it in mm"
        )
    qform_code, sform_code = values("2h", 252)
    qform = values("6f", 256) if qform_code > 0 else None
    sform = values("12f", 280) if sform_code > 0 else None
    affine = nifti_place(qform, sform, spacing, handedness, sizes[:3]) if n_axes >= 3 else None
    if not (math.isfinite(start) and (start == 0 or start >= HEADER_BYTES) and start < 2**31):
        raise HeaderError(f"begins its voxels at byte {start:g}; replace the file")
    scaling = _scaling(*values("2f", 112))
    return NiftiHeader(order, tuple(sizes[:n_axes]), datatype, bits, int(start) or HEADER_BYTES + 4, scaling, affine)


def _check_magic(magic: bytes) -> None:
    """Raise :class:`HeaderError` where the header is not that of voxels in the same file."""
    if magic[:3] == b"ni1":
        raise HeaderError("is the header of a NIfTI pair (.hdr and .img); save it as one .nii.gz file")
    if magic != b"n+1\0":
        raise HeaderError(
            "is an ANALYZE 7.5 file, which does not say where the volume lies; convert it from DICOM to NIfTI anew"
        )


def _scaling(slope: float, intercept: float) -> tuple[float, float] | None:
    """Slope and intercept; a slope of 0 means none (nifti1.h), and so does NaN, which nibabel writes."""
    if slope == 0 or not math.isfinite(slope) or (slope, intercept) == (1, 0):
        return None
    if not math.isfinite(intercept):
        raise HeaderError(f"has a scl_inter of {intercept:g}; correct its header")
    return slope, intercept
