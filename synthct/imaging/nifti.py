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

from synthct.imaging.image_header import SKEW, Declared, HeaderError, check_possible, check_spacing

_HEADER_BYTES, _NIFTI_2_BYTES = 348, 540
_FLOATS = {16: "f4", 64: "f8"}  # data type codes
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64,
         1792: 128, 2304: 32}  # fmt: skip
_CHUNK_BYTES = 2**24
AGREEMENT_MM = 1.0  # of qform and sform: rounding of both, and no shift that matters to a plan


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
    handedness, *spacing = values("8f", 76)
    spacing = spacing[: min(n_axes, 3)]
    check_spacing(spacing)
    if min(spacing) < 0:
        raise HeaderError(f"has a voxel spacing of {' x '.join(f'{v:g}' for v in spacing)} mm; mend its header")
    qform_code, sform_code = values("2h", 252)
    if qform_code > 0:
        check_possible(values("6f", 256), "qform")
    if sform_code > 0:
        check_possible(values("12f", 280), "sform")
    if n_axes >= 3 and sform_code > 0:
        sform = np.reshape(values("12f", 280), (3, 4))
        if qform_code > 0:
            _check_agreement(_qform(values("6f", 256), spacing, handedness), sform, sizes[:3])
        _check_square(sform)
    if not (math.isfinite(start) and (start == 0 or start >= _HEADER_BYTES) and start < 2**31):
        raise HeaderError(f"begins its voxels at byte {start:g}; replace the file")
    return _Header(order, tuple(sizes[:n_axes]), datatype, bits, int(start) or _HEADER_BYTES + 4)


def _qform(numbers: tuple[float, ...], spacing_mm: list[float], handedness: float) -> np.ndarray:
    """The matrix (3, 4) of a quaternion (b, c, d) and an offset; nifti1.h, method 2."""
    b, c, d, *offset = numbers
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    axes = rotation * spacing_mm * (1, 1, -1 if handedness < 0 else 1)
    return np.column_stack([axes, offset])


def _check_agreement(qform: np.ndarray, sform: np.ndarray, sizes: list[int]) -> None:
    """Raise :class:`HeaderError` where qform and sform put a corner of the volume at places that differ.

    Programs choose one or the other, so an MR and a CT that one of them shows on each other would lie apart here.
    """
    corners = np.array([(*np.multiply(pick, np.subtract(sizes, 1)), 1) for pick in np.ndindex(2, 2, 2)])
    apart_mm = float(np.linalg.norm(corners @ (qform - sform).T, axis=1).max())
    if not apart_mm <= AGREEMENT_MM:
        raise HeaderError(
            f"says in its qform and its sform two places that are {apart_mm:.3g} mm apart; find out which is right and "
            "copy it over the other, such as with fslorient -copyqform2sform"
        )


def _check_square(sform: np.ndarray) -> None:
    """Raise :class:`HeaderError` where the axes are not perpendicular, as in a scan with a tilted gantry."""
    lengths = np.linalg.norm(sform[:, :3], axis=0)
    axes = sform[:, :3] / np.where(lengths > 0, lengths, 1)
    if not np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=SKEW):
        raise HeaderError("has axes that are not perpendicular; resample it to a grid whose axes are")
