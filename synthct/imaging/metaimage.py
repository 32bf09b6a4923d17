"""The header of a MetaImage (``.mha``, ``.mhd``), parsed strictly before ITK sees it.

Format: https://itk.org/Wiki/MetaIO/Documentation (``Key = Value`` a line; ElementDataFile is the last key).
"""

from __future__ import annotations

import math
from pathlib import Path

from synthct.imaging.image_header import Declared, HeaderError, check_spacing, real_numbers, shown, whole_numbers
from synthct.imaging.planes import body_axes

_MAX_HEADER_BYTES = 2**16
_MAX_LINE_BYTES = 1000  # MetaIO reads lines into buffers of a fixed size
_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 8,
    "MET_ULONG": 8, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
_ALONG = 0.9  # cosine to the body axis that an axis is named after, where no other can be meant
_SPACINGS = ("ElementSpacing", "ElementSize")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_ORIGINS = ("Offset", "Position", "Origin")


def metaimage_header(path: Path) -> Declared:
    """What a MetaImage's header promises.

    Raises:
        HeaderError: it is damaged, or of a kind that is not read.
    """
    fields, start = _fields(path)
    if "NDims" not in fields or "DimSize" not in fields:
        raise HeaderError("has no NDims or DimSize in its header; replace the file")
    n_axes = whole_numbers(fields["NDims"], "number of axes")
    sizes = whole_numbers(fields["DimSize"], "size")
    if n_axes != (len(sizes),):
        raise HeaderError(f"has NDims {shown(fields['NDims'])} but {len(sizes)} numbers in DimSize; replace the file")
    _check_geometry(fields, len(sizes))
    element_type = fields.get("ElementType", "")
    if element_type not in _BYTES:
        raise HeaderError(f"has the ElementType {shown(element_type) or 'of nothing'}; save scalar grey values")
    if fields.get("BinaryData", "True")[:1].upper() not in ("T", "1"):
        raise HeaderError("holds its voxels as text; save them binary")
    compressed = fields.get("CompressedData", "False")[:1].upper() in ("T", "1")
    data_file = fields["ElementDataFile"]
    if data_file.split()[0] == "LIST" or "%" in data_file:
        raise HeaderError("names several files of voxels; save it as one .mha file")
    stored_in = path if data_file.upper() == "LOCAL" else path.parent / data_file
    channels = whole_numbers(fields.get("ElementNumberOfChannels", "1"), "values a voxel")
    skipped = whole_numbers(fields.get("HeaderSize", "0"), "HeaderSize")
    size_when_compressed = whole_numbers(fields.get("CompressedDataSize", "0"), "CompressedDataSize")
    if len(channels) != 1 or len(skipped) != 1 or len(size_when_compressed) != 1:
        raise HeaderError("has a key with several values where its header gives one; replace the file")
    if skipped[0] < -1 or not 0 <= size_when_compressed[0] <= (_size(stored_in) if compressed else 2**62):
        raise HeaderError("says more of its data than there is of them; copy it again")
    start = start if stored_in == path else max(skipped[0], 0)
    return Declared(sizes, channels[0], _BYTES[element_type], stored_in, start, compressed)


def _check_geometry(fields: dict[str, str], n_axes: int) -> None:
    """Spacing, origin and directions: possible, and of a volume all there.

    ITK reads a file that lacks them as voxels of 1 mm along the patient's axes at the scanner's origin, and passes over
    AnatomicalOrientation.
    """
    for name in _SPACINGS:
        if name in fields:
            check_spacing(_numbers(fields, name, n_axes))
    for name in (*_ORIGINS, "CenterOfRotation"):
        if name in fields:
            _numbers(fields, name, n_axes)
    matrix: tuple[float, ...] = ()
    for name in _DIRECTIONS:
        if name in fields:
            matrix = _numbers(fields, name, n_axes**2)
    unit = fields.get("DistanceUnits", "mm")
    if unit.lower() not in ("mm", "?"):
        raise HeaderError(f"has the DistanceUnits {shown(unit)}; save it in mm")
    if n_axes < 3:
        return
    for names, what in ((_DIRECTIONS, "how it is oriented"), (_ORIGINS, "where it lies"), (_SPACINGS, "its spacing")):
        if not any(name in fields for name in names):
            raise HeaderError(
                f"has no {names[0]} and so does not say {what}; save it from a program that knows it, or, where you "
                "do, write it into its header"
            )
    letters = fields.get("AnatomicalOrientation", "").upper()
    if n_axes == len(letters) == 3 and set(letters) <= set("LRAPSI") and not _named_after(matrix, letters):
        raise HeaderError(
            f"has the AnatomicalOrientation {letters} but a {_DIRECTIONS[0]} of other axes; find out which is right "
            "and correct its header"
        )


def _named_after(matrix: tuple[float, ...], letters: str) -> bool:
    """Whether a matrix (a row an axis, LPS) can have been named so: after the sides that axes come from or run to.

    Programs name the axes of a very oblique volume by rules of their own; those are not compared.
    """
    along = []
    for letter, body_axis, axis in zip(letters, body_axes(letters), (matrix[:3], matrix[3:6], matrix[6:])):
        length = max(math.hypot(*axis), 1e-9)
        if max(map(abs, axis)) / length < _ALONG:
            return True
        along.append(axis[body_axis] * (1 if letter in "LPS" else -1) / length)
    return all(value >= _ALONG for value in along) or all(value <= -_ALONG for value in along)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Keys and values, and where the header ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        while file.tell() < _MAX_HEADER_BYTES:
            line = file.readline(_MAX_LINE_BYTES + 1)
            text = line.decode("latin-1")
            key, separator, value = (part.strip() for part in text.partition("=" if "=" in text else ":"))
            if len(line) > _MAX_LINE_BYTES or not separator or not key or (line and not line.endswith(b"\n")):
                break
            if key in fields or "\0" in text:
                break
            fields[key] = value
            if key == "ElementDataFile" and value:
                return fields, file.tell()
    raise HeaderError("has no header of a MetaImage; replace the file")


def _numbers(fields: dict[str, str], name: str, count: int) -> tuple[float, ...]:
    words = fields[name].split()
    if len(words) != count:
        raise HeaderError(f"has {len(words)} numbers in {name}, not {count}; correct its header")
    return real_numbers(words, name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
