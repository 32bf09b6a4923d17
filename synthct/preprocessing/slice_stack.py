"""The cached, network-ready slices of one case: ``<configuration>/<patient>.npz``, read whole or a slice at a time."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthct.errors import PlanError
from synthct.files import written_whole

# The bits of ``SliceStack.regions``.
HEAD = 1  # inside the head
MR_KNOWN = 2  # inside the MR's field of view
CT_KNOWN = 4  # inside the CT's field of view

KNOWN = (MR_KNOWN, CT_KNOWN, MR_KNOWN | CT_KNOWN)  # for which the file states how much head a slice shows
RAW_DEFLATE = -zlib.MAX_WBITS  # as in a zip, without zlib's own header


@dataclass(frozen=True)
class SliceStack:
    """Slices of one patient on one grid, both modalities in the same place where there are both.

    Where MR and CT are not aligned, the slices of the MR come first and those of the CT after them; none shows both.

    Attributes:
        patient: the case id.
        mr: uint8 grey levels (channels, slices, rows, cols), 0 outside the head; None without an MR.
        ct: uint8 grey levels (slices, rows, cols), 0 outside the head; None without a CT.
        regions: uint8 bits HEAD, MR_KNOWN, CT_KNOWN (slices, rows, cols).
        info: plain values for JSON: the slice grid, the windows in force, what the slices were made from.
    """

    patient: str
    mr: np.ndarray | None
    ct: np.ndarray | None
    regions: np.ndarray
    info: dict[str, Any]

    def head_fraction(self, known: int) -> np.ndarray:
        """Share of each slice's pixels that are head and ``known`` (MR_KNOWN or CT_KNOWN); float (slices,)."""
        return self._head_pixels(known) / self.regions[0].size

    def save(self, path: Path) -> None:
        """Write a compressed npz, whole or not at all; each slice can be inflated without those before it."""
        images = {"mr": self.mr, "ct": self.ct, "regions": self.regions}
        with written_whole(path) as temporary:
            with open(temporary, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                _write_array(archive, "info", np.frombuffer(json.dumps(self.info).encode(), np.uint8))
                bounds = [_write_slices(archive, name, array) for name, array in images.items() if array is not None]
                _write_array(archive, "facts", self._facts(np.concatenate(bounds)))

    def _facts(self, bounds: np.ndarray) -> np.ndarray:
        """What reading single slices takes, and choosing them without reading them; a record (), see SliceFacts."""
        n_slices, *slice_size = self.regions.shape
        channels = 0 if self.mr is None else len(self.mr)
        images = [] if self.mr is None else [*self.mr]
        images += [image for image in (self.ct, self.regions) if image is not None]
        contrast = [_contrast(None if self.mr is None else self.mr[0], n_slices), _contrast(self.ct, n_slices)]
        fields = {
            "mr_channels": np.int32(channels),
            "cts": np.int32(self.ct is not None),
            "slice_size": np.array(slice_size, np.int32),
            "head_pixels": np.array([self._head_pixels(known) for known in KNOWN], np.int32),
            "contrast": np.array(contrast, np.float32),
            "bounds": bounds,
            "checksums": np.array([[zlib.crc32(one) for one in np.ascontiguousarray(i)] for i in images], np.uint32),
        }
        return np.array(
            tuple(fields.values()), np.dtype([(name, field.dtype, field.shape) for name, field in fields.items()])
        )

    def _head_pixels(self, known: int) -> np.ndarray:
        wanted = HEAD | known
        return np.count_nonzero((self.regions & wanted) == wanted, axis=(1, 2))

    @staticmethod
    def load(path: Path) -> SliceStack:
        """Read a stack.

        Raises:
            PlanError: where the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return SliceStack(
                    patient=Path(path).stem,
                    mr=arrays["mr"] if "mr" in arrays else None,
                    ct=arrays["ct"] if "ct" in arrays else None,
                    regions=arrays["regions"],
                    info=json.loads(arrays["info"].tobytes()),
                )
        except Exception as fault:  # numpy, zipfile and zlib raise half a dozen kinds, by the place of the damage
            raise _unreadable(path, fault) from None

    @staticmethod
    def load_facts(path: Path) -> SliceFacts:
        """What is known of each slice, without reading any.

        Raises:
            PlanError: where the file is missing, damaged or of a version that did not state it.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                facts = arrays["facts"] if "facts" in arrays else None
                if facts is not None:
                    reader = SliceReader(
                        path=Path(path),
                        mr_channels=int(facts["mr_channels"]),
                        has_ct=bool(facts["cts"]),
                        slice_size=tuple(facts["slice_size"].tolist()),
                        bounds=facts["bounds"].copy(),  # a view would keep the whole record
                        checksums=facts["checksums"].copy(),
                    )
                    return SliceFacts(Path(path).stem, facts["head_pixels"], facts["contrast"], reader)
        except Exception as fault:
            raise _unreadable(path, fault) from None
        raise PlanError(
            f"{path} is of an earlier version of synthct, which could not read single slices; "
            f"run synthct_plan_and_preprocess again for the configuration {Path(path).parent.name}."
        )

    @staticmethod
    def load_info(path: Path) -> dict[str, Any] | None:
        """The ``info`` alone, without reading the slices; None where there is no readable file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return json.loads(arrays["info"].tobytes())
        except Exception:  # missing, or damaged anywhere
            return None


@dataclass(frozen=True)
class SliceReader:
    """Reads single slices of a cached stack: a seek and an inflation each. Takes some 7 kB for 183 slices of a pair.

    Attributes:
        path: the npz.
        mr_channels: 0 without an MR.
        has_ct: whether there is one.
        slice_size: (rows, cols).
        bounds: where in the file each slice begins and the one before it ends, bytes; int (images, slices + 1). The
            images are the MR's channels, the CT if there is one, and the regions.
        checksums: CRC-32 of each slice's pixels; (images, slices).
    """

    path: Path
    mr_channels: int
    has_ct: bool
    slice_size: tuple[int, int]
    bounds: np.ndarray
    checksums: np.ndarray

    def mr(self, i: int) -> np.ndarray:
        """uint8 grey levels (channels, rows, cols), to be read only."""
        return np.stack([self._read(channel, i) for channel in range(self.mr_channels)])

    def ct(self, i: int) -> np.ndarray:
        """uint8 grey levels (rows, cols), to be read only."""
        return self._read(self.mr_channels, i)

    def regions(self, i: int) -> np.ndarray:
        """uint8 bits HEAD, MR_KNOWN, CT_KNOWN (rows, cols), to be read only."""
        return self._read(len(self.bounds) - 1, i)

    def _read(self, image: int, i: int) -> np.ndarray:
        begin, end = self.bounds[image, i : i + 2].tolist()
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(begin)
                pixels = zlib.decompressobj(RAW_DEFLATE).decompress(file.read(end - begin))
            if zlib.crc32(pixels) != self.checksums[image, i]:
                raise ValueError("bad CRC-32 of a slice, or the file is another than when it was opened")
        except Exception as fault:
            raise _unreadable(self.path, fault) from None
        return np.frombuffer(pixels, np.uint8).reshape(self.slice_size)


@dataclass(frozen=True)
class SliceFacts:
    """What is known of each slice of a patient.

    Attributes:
        patient: the case id.
        head_pixels: how many pixels are head and known in the MR, in the CT, in both (KNOWN); int (3, slices).
        contrast: SD of the grey levels of the first MR channel and of the CT, 0 where there is none; (2, slices).
        reader: of the slices.
    """

    patient: str
    head_pixels: np.ndarray
    contrast: np.ndarray
    reader: SliceReader

    @property
    def paired(self) -> bool:
        """Whether there are an MR and a CT that show the head in the same places."""
        shared = self.head_pixels[KNOWN.index(MR_KNOWN | CT_KNOWN)]
        return self.reader.mr_channels > 0 and self.reader.has_ct and bool(shared.any())

    def head_fraction(self, known: int) -> np.ndarray:
        """As :meth:`SliceStack.head_fraction`."""
        return self.head_pixels[KNOWN.index(known)] / np.prod(self.reader.slice_size)


class _FlushedDeflate:
    """A compressor that forgets what came before each call, so that inflating can begin there."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(wbits=RAW_DEFLATE)

    def compress(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_FULL_FLUSH)

    def flush(self) -> bytes:
        return self._deflate.flush()


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _write_slices(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> np.ndarray:
    """Write (..., slices, rows, cols), a slice after the other; returns their bounds, int64 (..., slices + 1)."""
    array = np.ascontiguousarray(array)
    images = array.reshape(-1, *array.shape[-3:])
    bounds = np.empty((len(images), images.shape[1] + 1), np.int64)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        member._compressor = _FlushedDeflate()  # zipfile has no public way to flush; a test would tell
        np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
        for image, bound in zip(images, bounds):
            bound[0] = archive.fp.tell()
            for i, one in enumerate(image):
                member.write(one)
                bound[i + 1] = archive.fp.tell()
    return bounds


def _contrast(image: np.ndarray | None, n_slices: int) -> np.ndarray:
    return np.zeros(n_slices) if image is None else np.array([one.std() for one in image])


def _unreadable(path: Path, fault: Exception) -> PlanError:
    """The fault of a cached file in a sentence with the remedy."""
    if isinstance(fault, FileNotFoundError):
        return PlanError(
            f"{path} is missing; run synthct_plan_and_preprocess for the configuration {Path(path).parent.name}."
        )
    reason = (str(fault).splitlines() or [type(fault).__name__])[0]
    return PlanError(f"{path} is damaged ({reason}); delete it and run synthct_plan_and_preprocess again.")
