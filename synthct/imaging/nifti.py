"""NIfTI files: their headers, checked before ITK sees them, and what ITK passes over in silence, reading and writing.

Format: nifti1.h of the NIfTI-1 standard, which gives the fields' places.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from synthct.imaging.image_header import Declared, HeaderError, check_possible, check_spacing

_HEADER_BYTES, _NIFTI_2_BYTES = 348, 540
_FLOATS = {16: "f4", 64: "f8"}  # data type codes
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64,
         1792: 128, 2304: 32}  # fmt: skip
_CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class _Header:
    order: str  # < or >
    sizes: tuple[int, ...]
    datatype: int
    bits: int
    start: int


def nifti_header(path: Path) -> Declared:
    """What the header of a ``.nii`` or ``.nii.gz`` file promises.

    Raises:
        HeaderError: it is damaged, or of a kind that is not read.
    """
    compressed = path.name.endswith(".gz")
    try:
        with (gzip.open if compressed else open)(path, "rb") as file:
            header = _read_header(file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise HeaderError(f"is cut off or damaged ({str(fault).rstrip('.')}); replace the file") from None
    return Declared(header.sizes, 1, header.bits / 8, path, header.start, compressed)


def nifti_flaw(path: Path) -> str | None:
    """What is wrong with the voxels of a ``.nii`` or ``.nii.gz`` file that ITK has read without complaint.

    ITK fills up what a truncated compressed file lacks and turns NaN and infinite voxels into 0, which is water in a
    CT. So the stored voxels are looked at themselves.

    Returns:
        The problem, to go on after the file's name, or None.
    """
    opened = gzip.open if Path(path).name.endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            header = _read_header(file)
            file.seek(header.start)  # of a compressed file, too
            missing = math.prod(header.sizes) * header.bits // 8
            not_finite = 0
            while missing > 0 and (data := file.read(min(missing, _CHUNK_BYTES))):
                missing -= len(data)
                if header.datatype in _FLOATS:
                    whole = len(data) - len(data) % (header.bits // 8)
                    values = np.frombuffer(data[:whole], header.order + _FLOATS[header.datatype])
                    not_finite += int((~np.isfinite(values)).sum())
            file.read(1)  # the end of a compressed file is where its checksum is compared
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        return f"is cut off or damaged ({str(fault).rstrip('.')}); copy it again"
    if missing > 0:
        return f"ends {missing} bytes too early; copy it again"
    if not_finite:
        return f"holds {not_finite} voxels that are NaN or infinite; replace them by real values"
    return None


def ends_early(path: Path, n_bytes: int) -> bool:
    """Whether a ``.nii`` or ``.nii.gz`` file that ITK has just written without complaint lacks a part of its voxels.

    ITK says nothing of a full disk. The length is that of the file, or the one that a compressed file states in its
    last four bytes, modulo 2^32 (RFC 1952, ISIZE).

    Args:
        path: of the file.
        n_bytes: of all its voxels.
    """
    path = Path(path)
    compressed = path.name.endswith(".gz")
    try:
        with (gzip.open if compressed else open)(path, "rb") as file:
            (start,) = struct.unpack_from("<f", file.read(_HEADER_BYTES), 108)
        if not compressed:
            return path.stat().st_size < start + n_bytes
        with open(path, "rb") as file:
            file.seek(-4, 2)
            return struct.unpack("<I", file.read())[0] != (int(start) + n_bytes) % 2**32
    except (EOFError, OSError, struct.error, zlib.error):
        return True


def _read_header(file: BinaryIO) -> _Header:
    data = file.read(_HEADER_BYTES)
    order = next((order for order in "<>" if data[:4] == struct.pack(f"{order}i", _HEADER_BYTES)), None)
    if data[:4] in (struct.pack("<i", _NIFTI_2_BYTES), struct.pack(">i", _NIFTI_2_BYTES)):
        raise HeaderError("is NIfTI-2; save it as NIfTI-1")
    if order is None or len(data) < _HEADER_BYTES:
        raise HeaderError("has no header of a NIfTI file; replace the file")

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
    check_spacing(values("8f", 76)[1 : 1 + min(n_axes, 3)])
    qform_code, sform_code = values("2h", 252)
    if qform_code > 0:
        check_possible(values("6f", 256), "qform")
    if sform_code > 0:
        check_possible(values("12f", 280), "sform")
    if not (math.isfinite(start) and (start == 0 or start >= _HEADER_BYTES) and start < 2**31):
        raise HeaderError(f"begins its voxels at byte {start:g}; replace the file")
    return _Header(order, tuple(sizes[:n_axes]), datatype, bits, int(start) or _HEADER_BYTES + 4)
