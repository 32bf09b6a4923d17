"""Reading cached slices one at a time, in any plane, and what is known of each without reading it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthct.errors import PlanError
from synthct.imaging.coding import MrStatistics
from synthct.imaging.planes import Plane
from synthct.preprocessing.npz_files import opened_npz
from synthct.preprocessing.slice_stack import (
    CT_KNOWN,
    KNOWN,
    MR_KNOWN,
    RAW_DEFLATE,
    SliceStack,
    stack_header,
    unreadable,
)


@dataclass(frozen=True)
class SliceReader:
    """Reads single slices of a cached stack in the plane that it is stored in: a seek and an inflation each.

    Takes some 7 kB for 183 slices of a pair.

    Attributes:
        path: the npz.
        plane: of the slices as they are stored.
        mr_channels: 0 without an MR.
        has_ct: whether there is one.
        slice_size: (rows, cols).
        bounds: where in the file each slice begins and the one before it ends, bytes; int (images, slices + 1). The
            images are the MR's channels, the CT if there is one, and the regions.
        checksums: CRC-32 of each slice's pixels; (images, slices).
        mr_steps, mr_statistics: as of :class:`SliceStack`.
    """

    path: Path
    plane: Plane
    mr_channels: int
    has_ct: bool
    slice_size: tuple[int, int]
    bounds: np.ndarray
    checksums: np.ndarray
    mr_steps: tuple[float, ...]
    mr_statistics: tuple[MrStatistics, ...]

    @property
    def n_slices(self) -> int:
        return self.checksums.shape[1]

    def mr_slice(self, i: int) -> np.ndarray:
        """int16 (channels, rows, cols), to be read only."""
        return np.stack([self._read(channel, i, np.int16) for channel in range(self.mr_channels)])

    def ct_slice(self, i: int) -> np.ndarray:
        """int16 HU (rows, cols), to be read only."""
        return self._read(self.mr_channels, i, np.int16)

    def regions_slice(self, i: int) -> np.ndarray:
        """uint8 bits HEAD, MR_KNOWN, CT_KNOWN (rows, cols), to be read only."""
        return self._read(len(self.bounds) - 1, i, np.uint8)

    def _read(self, image: int, i: int, kind: type[np.generic]) -> np.ndarray:
        begin, end = self.bounds[image, i : i + 2].tolist()
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(begin)
                pixels = zlib.decompressobj(RAW_DEFLATE).decompress(file.read(end - begin))
            if zlib.crc32(pixels) != self.checksums[image, i]:
                raise ValueError("bad CRC-32 of a slice, or the file is another than when it was opened")
        except Exception as fault:
            raise unreadable(self.path, fault) from None
        return np.frombuffer(pixels, kind).reshape(self.slice_size)


@dataclass(frozen=True)
class SliceFacts:
    """What is known of each slice of a patient, in one plane.

    Attributes:
        patient: the case id.
        plane: of the slices.
        slice_size: (rows, cols).
        head_pixels: how many pixels are head and known in the MR, in the CT, in both (KNOWN); int (3, slices).
        contrast: SD of the first MR channel and of the CT in grey levels, 0 where there is none; (2, slices).
        reader: of the slices as they are stored.
    """

    patient: str
    plane: Plane
    slice_size: tuple[int, int]
    head_pixels: np.ndarray
    contrast: np.ndarray
    reader: SliceReader

    @staticmethod
    def load(path: Path, plane: Plane | None = None) -> SliceFacts:
        """Of a cached file, without reading a slice; of the plane that is stored by default.

        Raises:
            PlanError: where the file is missing, damaged or of an earlier version.
        """
        path = Path(path)
        try:
            with opened_npz(path) as arrays:
                if "storage" in arrays:
                    header, storage = stack_header(arrays), arrays["storage"]
                    stored = arrays[f"facts_{header['plane']}"]
                    reader = SliceReader(
                        path,
                        header["plane"],
                        int(storage["mr_channels"]),
                        bool(storage["cts"]),
                        tuple(stored["slice_size"].tolist()),
                        storage["bounds"].copy(),  # a view would keep the whole record
                        storage["checksums"].copy(),
                        header["mr_steps"],
                        header["mr_statistics"],
                    )
                    plane = plane or reader.plane
                    facts = arrays[f"facts_{plane}"]
                    size = tuple(facts["slice_size"].tolist())
                    return SliceFacts(path.stem, plane, size, facts["head_pixels"], facts["contrast"], reader)
        except Exception as fault:
            raise unreadable(path, fault) from None
        raise PlanError(f"{path} is of an earlier version of synthct; run synthct_plan_and_preprocess again.")

    @property
    def n_slices(self) -> int:
        return self.head_pixels.shape[1]

    @property
    def paired(self) -> bool:
        """Whether there are an MR and a CT that show the head in the same places."""
        shared = self.head_pixels[KNOWN.index(MR_KNOWN | CT_KNOWN)]
        return self.reader.mr_channels > 0 and self.reader.has_ct and bool(shared.any())

    def head_fraction(self, known: int) -> np.ndarray:
        """As :meth:`SliceStack.head_fraction`."""
        return self.head_pixels[KNOWN.index(known)] / np.prod(self.slice_size)

    def slices(self) -> SliceReader | SliceStack:
        """The slices in this plane: read one at a time, or, in another plane than the stored one, all at once."""
        if self.plane == self.reader.plane:
            return self.reader
        return SliceStack.load(self.reader.path).in_plane(self.plane)
