"""Whether a file is DICOM, by its first bytes: files of archives, and those that a program left without their preamble.

A DICOM file begins with 128 bytes of any content and ``DICM`` (PS3.10, 7.1). Old files and those of some anonymisers
begin with the first data element at once, most often of group 2 (file meta information) or 8: (0008,0000) group
length, (0008,0005) SpecificCharacterSet, (0008,0008) ImageType, (0008,0016) SOPClassUID, ...
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PREAMBLE = 128
_FIRST_GROUPS = (0x0002, 0x0008)
_READ = 4096  # bytes; a first element longer than this is taken for damage
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # two bytes of nothing, then a length of four


class _Element(NamedTuple):
    tag: tuple[int, int]
    end: int  # where the next one begins


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does: with a preamble and ``DICM``, or with data elements of group 2 or 8.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(_READ)
    if start[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    encodings = (("<", True), ("<", False), (">", True))  # byte order, explicit VR
    return any(_begins_with_elements(start, order, explicit) for order, explicit in encodings)


def _begins_with_elements(start: bytes, order: str, explicit: bool) -> bool:
    """Whether two elements stand there, the second one with the greater tag, or one that the file ends with."""
    elements = list(_elements(start, order, explicit))
    if not elements or elements[0].tag[0] not in _FIRST_GROUPS:
        return False
    if len(elements) == 1:
        return elements[0].end == len(start)
    first, second = elements
    return first.tag < second.tag and second.tag[0] - first.tag[0] < 0x100  # a patient or an image comes soon


def _elements(start: bytes, order: str, explicit: bool) -> Iterator[_Element]:
    """The first two data elements, as far as these bytes can be read as such (PS3.5, 7.1)."""
    place = 0
    for _ in range(2):
        if len(start) < place + 8:
            return
        tag = struct.unpack_from(f"{order}HH", start, place)
        if not explicit:
            head, (length,) = 8, struct.unpack_from(f"{order}I", start, place + 4)
        else:
            vr = start[place + 4 : place + 6]
            if vr not in _VRS:
                return
            if vr in _LONG_VRS:
                if len(start) < place + 12:
                    return
                head, (length,) = 12, struct.unpack_from(f"{order}I", start, place + 8)
            else:
                head, (length,) = 8, struct.unpack_from(f"{order}H", start, place + 6)
        place += head + length
        yield _Element(tag, place)
