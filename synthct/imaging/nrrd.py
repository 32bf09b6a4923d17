"""The header of an NRRD file, parsed strictly before ITK sees it.

Format: https://teem.sourceforge.net/nrrd/format.html (``field: value`` a line, ``key:=value``, ``# comment``; an empty
line ends the header).
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from synthct.imaging.image_header import Declared, HeaderError, check_spacing, real_numbers, shown, whole_numbers

_MAX_HEADER_BYTES = 2**20  # keys and values of a scanner may be long
_MAX_FIELD_BYTES = 250  # the library that ITK reads with puts fields into buffers of a fixed size
_VECTORS = ("space directions", "space origin", "measurement frame")  # parsed here, or as long by nature
_BYTES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: ("short", "short int", "signed short", "signed short int", "int16", "int16_t", "ushort", "unsigned short",
        "unsigned short int", "uint16", "uint16_t"),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"),
    8: ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t",
        "ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"),
}  # fmt: skip
_BYTES_OF_TYPE = {name: size for size, names in _BYTES.items() for name in names}
_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_SPACES = (
    "left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las",
)  # fmt: skip


def nrrd_header(path: Path) -> Declared:
    """What an NRRD file's header promises.

    Raises:
        HeaderError: it is damaged, or of a kind that is not read.
    """
    fields, start = _fields(path)
    for name in ("dimension", "sizes", "type", "encoding"):
        if name not in fields:
            raise HeaderError(f"has no {name} in its header; replace the file")
    sizes = whole_numbers(fields["sizes"], "sizes")
    if whole_numbers(fields["dimension"], "dimension") != (len(sizes),):
        raise HeaderError(f"has dimension {shown(fields['dimension'])} but {len(sizes)} sizes; replace the file")
    if fields["type"].lower() not in _BYTES_OF_TYPE:
        raise HeaderError(f"has voxels of type {shown(fields['type'])}; save scalar grey values")
    if fields["encoding"].lower() not in _ENCODINGS:
        raise HeaderError(f"has the encoding {shown(fields['encoding'])}; save it as raw or gzip")
    _check_geometry(fields, len(sizes))
    skips = [whole_numbers(fields.get(name, "0"), name) for name in ("lineskip", "byteskip")]
    if not all(len(skip) == 1 and -1 <= skip[0] for skip in skips):
        raise HeaderError("skips no number of lines or bytes in its header; replace the file")
    compressed = _ENCODINGS[fields["encoding"].lower()]
    data_file = fields.get("datafile")
    if data_file is None:
        stored_in = path
    elif data_file.split()[:1] in ([], ["LIST"]) or "%" in data_file:
        raise HeaderError("names several files of voxels; save it as one .nrrd file")
    else:
        stored_in, start = path.parent / data_file, 0
    start += max(skips[1][0], 0)
    return Declared(sizes, 1, _BYTES_OF_TYPE[fields["type"].lower()], stored_in, start, compressed)


def _check_geometry(fields: dict[str, str], n_axes: int) -> None:
    """Origin, directions and spacings: possible, and of a volume all there.

    ITK reads a file that lacks them as if it lay along the patient's axes at the scanner's origin.
    """
    space = fields.get("space", "").lower()
    if space and space not in _SPACES:
        raise HeaderError(f"lies in the space {shown(space)}, not in a patient's; save it in left-posterior-superior")
    (n_space,) = whole_numbers(fields.get("space dimension", "3"), "space dimension")[:1] or (0,)
    lengths: list[float] = []
    if "spacings" in fields:
        words = fields["spacings"].split()
        if len(words) != n_axes:
            raise HeaderError(f"has {len(words)} spacings for {n_axes} axes; correct its header")
        lengths = list(real_numbers([word for word in words if word.lower() != "nan"], "spacings"))
        check_spacing(lengths)
    if "space origin" in fields:
        real_numbers(_vectors(fields["space origin"], "space origin", 1, n_space)[0], "space origin")
    if "measurement frame" in fields:
        for vector in _vectors(fields["measurement frame"], "measurement frame", n_space, n_space):
            real_numbers(vector, "measurement frame")
    directions: list[tuple[float, ...]] = []
    if "space directions" in fields:
        for vector in _vectors(fields["space directions"], "space directions", n_axes, n_space):
            numbers = real_numbers(vector, "space directions")
            if vector and not any(numbers):
                raise HeaderError("has a voxel spacing of 0 mm; correct its header")
            directions += [numbers] if vector else []
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if any(unit.strip().lower() not in ("mm", "millimeter", "millimetre", "") for unit in units[:3]):
        raise HeaderError(f"has the space units {shown(' '.join(units))}; save it in mm")
    if n_axes < 3:
        return
    # ITK names no space of a 4-D file, such as one that holds a single volume.
    if not space and not (n_axes == n_space == 4):
        raise HeaderError(
            "does not say in which space it lies; save it from a program that knows the patient's axes, or, where you "
            'know that they are the patient\'s, write "space: left-posterior-superior" into its header'
        )
    if len(directions) < 3 or "space origin" not in fields:
        lacking = "space origin" if len(directions) >= 3 else "space directions"
        raise HeaderError(
            f"has no {lacking} and so does not say where it lies; save it with space directions and origin"
        )
    if lengths:
        raise HeaderError(
            f"has spacings of {' x '.join(f'{v:.4g}' for v in lengths)} mm and space directions of "
            f"{' x '.join(f'{math.hypot(*v):.4g}' for v in directions)} mm, of which one is allowed; remove the "
            "spacings from its header, if the directions are right"
        )


def _vectors(text: str, name: str, count: int, length: int) -> list[list[str]]:
    """``(1,0,0) none (0,1,0)``, vectors of ``length``, as lists of words; ``none`` is an empty one."""
    found = re.findall(r"\(([^()]*)\)|\b(none)\b", text)
    rest = re.sub(r"\([^()]*\)|\bnone\b", "", text).strip()
    vectors = [[] if none else [word.strip() for word in inner.split(",")] for inner, none in found]
    if rest or len(vectors) != count or not all(len(vector) in (0, length) for vector in vectors):
        raise HeaderError(f"has {shown(text)} as {name}; correct its header")
    return vectors


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields, their names without spaces where NRRD allows both, and where the header ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        if not re.fullmatch(rb"NRRD000[1-5]\r?\n", file.readline(16)):
            raise HeaderError("has no header of an NRRD file; replace the file")
        while file.tell() < _MAX_HEADER_BYTES:
            line = file.readline(_MAX_HEADER_BYTES)
            text = line.decode("latin-1").strip()
            if not text and (line or "datafile" in fields):
                return fields, file.tell()
            if text.startswith("#") or re.match(r"[^:]*:=", text):
                continue
            name, separator, value = text.partition(": ")
            name = {"data file": "datafile", "line skip": "lineskip", "byte skip": "byteskip"}.get(
                name.lower(), name.lower()
            )
            too_long = len(text) > _MAX_FIELD_BYTES * (4 if name in _VECTORS else 1)
            if not separator or name in fields or "\0" in text or too_long:
                break
            fields[name] = value.strip()
    raise HeaderError("has a damaged header; replace the file")
