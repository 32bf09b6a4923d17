"""What ITK's NIfTI reader and writer pass over in silence: files that end too early, and voxels that are no numbers."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

_HEADER_BYTES = 348
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI-1's data type codes
_CHUNK_BYTES = 2**24


def nifti_flaw(path: Path) -> str | None:
    """What is wrong with the voxels of a ``.nii`` or ``.nii.gz`` file that ITK has read without complaint.

    ITK fills up what a truncated compressed file lacks and turns NaN and infinite voxels into 0, which is water in a
    CT. So the stored voxels are looked at themselves (NIfTI-1 header: nifti1.h, fields dim, datatype, bitpix and
    vox_offset).

    Returns:
        The problem, to go on after the file's name, or None.
    """
    opened = gzip.open if Path(path).name.endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
            order = next((o for o in "<>" if header[:4] == struct.pack(f"{o}i", _HEADER_BYTES)), None)
            if order is None:
                return None  # not NIfTI-1: nothing is known about its layout
            n_axes, *sizes = struct.unpack_from(f"{order}8h", header, 40)
            datatype, bits = struct.unpack_from(f"{order}2h", header, 70)
            (start,) = struct.unpack_from(f"{order}f", header, 108)
            file.read(max(int(start) - _HEADER_BYTES, 0))
            missing = int(np.prod(sizes[:n_axes], dtype=np.int64)) * bits // 8
            not_finite = 0
            while missing > 0 and (data := file.read(min(missing, _CHUNK_BYTES))):
                missing -= len(data)
                if datatype in _FLOATS:
                    whole = len(data) - len(data) % (bits // 8)
                    values = np.frombuffer(data[:whole], order + _FLOATS[datatype])
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
