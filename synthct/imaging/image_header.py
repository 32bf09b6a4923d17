"""What an image file says about itself, checked before ITK reads it.

ITK believes headers: one that claims 30000 voxels an axis makes it ask for all memory there is, some with impossible
numbers make it crash, and spacings or directions that are not numbers it replaces in silence by 1. So the header is
parsed here first, strictly, and only what can be an image of a head goes on to ITK.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
PLAUSIBLE_SPACING_MM = (0.05, 20.0)
SKEW = 1e-2  # largest cosine between two axes: rounding of directions
MAX_MM = 1e5  # an origin beyond it is a damaged header, and large numbers in directions make ITK hang
MAX_VOXELS = 2**30  # 1024 along each axis: finer than any scanner sees a head
MAX_AXES = 5  # x, y, z, and those of length 1 or of vectors, which are refused by name later
MAX_PER_BYTE = 1032  # deflate makes at most so many bytes out of one
_MAX_SHOWN = 60  # characters of a header's value in a message


class HeaderError(ValueError):
    """What is wrong with a header, to go on after the file's name, with the remedy."""


@dataclass(frozen=True)
class Declared:
    """What a header promises.

    Attributes:
        sizes: voxels along each axis of the file.
        values_per_voxel: 1 of a scalar image.
        bytes_per_value: in memory.
        stored_in: the file of the voxels, often the image file itself.
        start: where in it the voxels may begin, bytes.
        compressed: whether they are.
    """

    sizes: tuple[int, ...]
    values_per_voxel: int
    bytes_per_value: float
    stored_in: Path
    start: int
    compressed: bool

    def check(self) -> None:
        """Whether the file can hold what its header promises.

        Raises:
            HeaderError: it cannot, or it would be no image of a head.
        """
        size = " x ".join(map(str, self.sizes))
        if not 1 <= len(self.sizes) <= MAX_AXES:
            raise HeaderError(f"has {len(self.sizes)} axes; save one 3-D volume a file")
        if min(self.sizes) < 1 or self.values_per_voxel < 1:
            raise HeaderError(f"claims a size of {shown(size)} voxels in its header; replace the file")
        voxels = math.prod(self.sizes) * self.values_per_voxel
        if voxels > MAX_VOXELS:
            raise HeaderError(f"claims {shown(size)} voxels in its header, more than a scan has; replace the file")
        if not self.stored_in.is_file():
            raise HeaderError(f"keeps its voxels in {shown(self.stored_in.name)}, which is missing; put it beside")
        there = self.stored_in.stat().st_size - (0 if self.compressed else self.start)
        missing = voxels * self.bytes_per_value - there * (MAX_PER_BYTE if self.compressed else 1)
        if missing > 0:
            raise HeaderError(f"ends too early for the {shown(size)} voxels of its header; copy it again")


def whole_numbers(words: str | Sequence[str], what: str) -> tuple[int, ...]:
    """Decimal whole numbers of at most 18 digits.

    Raises:
        HeaderError: one is none.
    """
    found = words.split() if isinstance(words, str) else words
    for word in found:
        if not word.lstrip("+-").isdecimal() or not word.isascii() or len(word) > 18:
            raise HeaderError(f"says {shown(word)} where its header gives the {what}; replace the file")
    return tuple(map(int, found))


def real_numbers(words: Sequence[str], what: str) -> tuple[float, ...]:
    """Numbers of the geometry, as text in a header.

    Raises:
        HeaderError: one is none.
    """
    try:
        values = tuple(map(float, words))
    except ValueError:
        raise HeaderError(
            f"says {shown(' '.join(words))} where its header gives the {what}; correct its header"
        ) from None
    check_possible(values, what)
    return values


def check_possible(values: Iterable[float], what: str) -> None:
    """Raise :class:`HeaderError` where a number of the geometry is NaN, infinite or beyond any scanner."""
    values = list(values)
    if not all(abs(value) <= MAX_MM for value in values):
        raise HeaderError(f"has a {what} of {', '.join(f'{value:g}' for value in values)}; correct its header")


def check_spacing(spacing_mm: Iterable[float]) -> None:
    """Raise :class:`HeaderError` where a spacing is zero or no number; its sign says nothing in some formats."""
    values = list(spacing_mm)
    check_possible(values, "voxel spacing")
    if not all(values):
        raise HeaderError(f"has a voxel spacing of {' x '.join(f'{v:g}' for v in values)} mm; correct its header")


def shown(text: str) -> str:
    """A header's text as it may stand in a sentence: printable, on one line and short."""
    clean = text.encode("ascii", "backslashreplace").decode()
    clean = "".join(character if character.isprintable() else "?" for character in clean)
    return clean if len(clean) <= _MAX_SHOWN else f"{clean[:_MAX_SHOWN]}..."
