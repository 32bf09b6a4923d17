"""The header of a MetaImage (``.mha``, ``.mhd``), parsed strictly before ITK sees it.

Format: https://itk.org/Wiki/MetaIO/Documentation (``Key = Value`` a line; ElementDataFile is the last key).
"""

from __future__ import annotations

from pathlib import Path

from synthct.imaging.image_header import Declared, HeaderError, check_spacing, real_numbers, shown, whole_numbers

_MOST_HEADER_BYTES = 2**16
_MOST_LINE_BYTES = 1000  # MetaIO reads lines into buffers of a fixed size
_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 8,
    "MET_ULONG": 8, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
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
    for name in ("ElementSpacing", "ElementSize"):
        if name in fields:
            check_spacing(_numbers(fields, name, len(sizes)))
    for name in (*_ORIGINS, "CenterOfRotation"):
        if name in fields:
            _numbers(fields, name, len(sizes))
    for name in _DIRECTIONS:
        if name in fields:
            _numbers(fields, name, len(sizes) ** 2)
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


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Keys and values, and where the header ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        while file.tell() < _MOST_HEADER_BYTES:
            line = file.readline(_MOST_LINE_BYTES + 1)
            text = line.decode("latin-1")
            key, separator, value = (part.strip() for part in text.partition("=" if "=" in text else ":"))
            if len(line) > _MOST_LINE_BYTES or not separator or not key or (line and not line.endswith(b"\n")):
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
        raise HeaderError(f"has {len(words)} numbers in {name}, not {count}; mend its header")
    return real_numbers(words, name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
