"""The cached slices of one case, ``PATIENT.npz``: HU and MR intensities in 16 bits, read whole or a slice at a time."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthct.errors import PlanError
from synthct.files import written_whole
from synthct.imaging.coding import MrStatistics
from synthct.imaging.intensity import to_grey_levels
from synthct.imaging.planes import PLANE_AXES, Plane, turned
from synthct.preprocessing.npz_files import opened_npz

# The bits of ``SliceStack.regions``.
HEAD = 1  # inside the head
MR_KNOWN = 2  # inside the MR's field of view
CT_KNOWN = 4  # inside the CT's field of view

KNOWN = (MR_KNOWN, CT_KNOWN, MR_KNOWN | CT_KNOWN)  # for which the file states how much head a slice shows
OUTSIDE = -32768  # of MR and CT: outside the head or the field of view
RAW_DEFLATE = -zlib.MAX_WBITS  # as in a zip, without zlib's own header
LEVEL = 1  # of compression; noise in 16 bits gains 2 % by the default level, which takes twice the time
CT_CONTRAST_WINDOW_HU = (-600.0, 1400.0)
MR_CONTRAST_PERCENTS = (0.5, 99.5)


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices of one patient on one grid, both modalities in the same place where there are both.

    Where MR and CT are not aligned, the slices of the MR come first and those of the CT after them; none shows both.

    Attributes:
        patient: the case id.
        mr: int16 (channels, slices, rows, cols), scanner units in multiples of ``mr_steps``; OUTSIDE where it shows
            nothing of the head. None without an MR.
        ct: int16 HU (slices, rows, cols), OUTSIDE likewise. None without a CT.
        regions: uint8 bits HEAD, MR_KNOWN, CT_KNOWN (slices, rows, cols).
        plane: of the slices.
        mr_steps: scanner units of one unit of ``mr``, one a channel.
        mr_statistics: of the MR's intensities inside the head, one a channel.
        info: plain values for JSON: the slice grid, what the slices were made from.
    """

    patient: str
    mr: np.ndarray | None
    ct: np.ndarray | None
    regions: np.ndarray
    plane: Plane = "sagittal"
    mr_steps: tuple[float, ...] = ()
    mr_statistics: tuple[MrStatistics, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def n_slices(self) -> int:
        return len(self.regions)

    @property
    def nbytes(self) -> int:
        """Of all images."""
        return sum(image.nbytes for image in (self.mr, self.ct, self.regions) if image is not None)

    @property
    def the_mr(self) -> np.ndarray:
        """``mr`` of a stack that has one."""
        assert self.mr is not None
        return self.mr

    @property
    def the_ct(self) -> np.ndarray:
        """``ct`` of a stack that has one."""
        assert self.ct is not None
        return self.ct

    def mr_slice(self, i: int) -> np.ndarray:
        """int16 (channels, rows, cols), to be read only."""
        return self.the_mr[:, i]

    def ct_slice(self, i: int) -> np.ndarray:
        """int16 (rows, cols), to be read only."""
        return self.the_ct[i]

    def regions_slice(self, i: int) -> np.ndarray:
        """uint8 (rows, cols), to be read only."""
        return self.regions[i]

    def in_plane(self, plane: Plane) -> SliceStack:
        """The same voxels as slices of another plane: views, nothing is copied or interpolated.

        ``info`` stays that of the cached plane; :func:`turned` brings an array back. Scans that are not aligned are
        turned each by itself, and copied.
        """
        if plane == self.plane:
            return self
        n_mr = self.info.get("mr_slices")  # of scans that are not aligned, and so lie one after the other
        if n_mr is None:
            return self._turned(plane)
        mr_part = replace(self, mr=self.the_mr[:, :n_mr], ct=None, regions=self.regions[:n_mr])
        ct_part = replace(self, mr=None, ct=self.the_ct[n_mr:], regions=self.regions[n_mr:])
        return one_after_the_other(mr_part._turned(plane), ct_part._turned(plane))

    def _turned(self, plane: Plane) -> SliceStack:
        return replace(
            self,
            plane=plane,
            mr=None if self.mr is None else turned(self.mr, self.plane, plane),
            ct=None if self.ct is None else turned(self.ct, self.plane, plane),
            regions=turned(self.regions, self.plane, plane),
        )

    def head_fraction(self, known: int) -> np.ndarray:
        """Share of each slice's pixels that are head and ``known`` (MR_KNOWN or CT_KNOWN); float (slices,)."""
        return self._head_pixels(known) / self.regions[0].size

    def save(self, path: Path) -> None:
        """Write a compressed npz atomically; each slice can be inflated without those before it."""
        images = {"mr": self.mr, "ct": self.ct, "regions": self.regions}
        header = {
            "plane": self.plane,
            "mr_steps": self.mr_steps,
            "mr_statistics": [[statistics.mean, statistics.sd] for statistics in self.mr_statistics],
            "info": self.info,
        }
        with written_whole(path) as temporary:
            with open(temporary, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                _write_array(archive, "info", np.frombuffer(json.dumps(header).encode(), np.uint8))
                percentiles = np.array([statistics.percentiles for statistics in self.mr_statistics], np.float64)
                _write_array(archive, "mr_percentiles", percentiles)
                bounds = [_write_slices(archive, name, array) for name, array in images.items() if array is not None]
                for plane in PLANE_AXES:
                    _write_array(archive, f"facts_{plane}", self.in_plane(plane)._facts())
                _write_array(archive, "storage", self._storage(np.concatenate(bounds)))

    def _facts(self) -> np.ndarray:
        """What choosing slices takes, without reading them; a record (), see SliceFacts."""
        fields = {
            "slice_size": np.array(self.regions.shape[1:], np.int32),
            "head_pixels": np.array([self._head_pixels(known) for known in KNOWN], np.int32),
            "contrast": np.array([self._mr_contrast(), self._ct_contrast()], np.float32),
        }
        return _record(fields)

    def _storage(self, bounds: np.ndarray) -> np.ndarray:
        """What reading single slices takes; a record (), see SliceReader."""
        images = [] if self.mr is None else [*self.mr]
        images += [image for image in (self.ct, self.regions) if image is not None]
        fields = {
            "mr_channels": np.int32(0 if self.mr is None else len(self.mr)),
            "cts": np.int32(self.ct is not None),
            "bounds": bounds,
            "checksums": np.array(
                [[zlib.crc32(image) for image in np.ascontiguousarray(stack)] for stack in images], np.uint32
            ),
        }
        return _record(fields)

    def _head_pixels(self, known: int) -> np.ndarray:
        wanted = HEAD | known
        return np.count_nonzero((self.regions & wanted) == wanted, axis=(1, 2))

    def _ct_contrast(self) -> np.ndarray:
        """SD of each slice in 256 levels of a window; 0 without a CT."""
        if self.ct is None:
            return np.zeros(self.n_slices)
        return np.array([_contrast(ct, ct, CT_CONTRAST_WINDOW_HU) for ct in self.ct])

    def _mr_contrast(self) -> np.ndarray:
        """Likewise of the first channel, the window being that of the case's own head."""
        if self.mr is None:
            return np.zeros(self.n_slices)
        low, high = (self.mr_statistics[0].percentile(percent) for percent in MR_CONTRAST_PERCENTS)
        window, step = (low, max(high, low + 1e-6)), np.float32(self.mr_steps[0])
        return np.array([_contrast(mr, mr * step, window) for mr in self.mr[0]])

    @staticmethod
    def load(path: Path) -> SliceStack:
        """Read a stack.

        Raises:
            PlanError: where the file is missing or damaged.
        """
        try:
            with opened_npz(path) as arrays:
                return SliceStack(
                    patient=Path(path).stem,
                    mr=arrays["mr"] if "mr" in arrays else None,
                    ct=arrays["ct"] if "ct" in arrays else None,
                    regions=arrays["regions"],
                    **stack_header(arrays),
                )
        except Exception as fault:  # numpy, zipfile and zlib raise half a dozen kinds, by the place of the damage
            raise unreadable(path, fault) from None

    @staticmethod
    def load_info(path: Path) -> dict[str, Any] | None:
        """The ``info`` alone, without reading the slices; None where there is no readable file."""
        try:
            with opened_npz(path) as arrays:
                return stack_header(arrays)["info"]
        except Exception:  # missing, damaged anywhere, or of an earlier version
            return None


def one_after_the_other(mr_alone: SliceStack, ct_alone: SliceStack) -> SliceStack:
    """One stack of a patient whose MR and CT are not aligned; ``info`` is the MR's, and says how many slices it has."""
    n_mr, n_ct = mr_alone.n_slices, ct_alone.n_slices
    size = np.maximum(mr_alone.regions.shape[1:], ct_alone.regions.shape[1:])

    def fitted(image: np.ndarray, before: int, after: int, empty: int) -> np.ndarray:
        """(..., slices, rows, cols) with empty slices before and after, and every slice grown to the common size."""
        rows, cols = size - image.shape[-2:]
        # The top of the head stays where it is; the first rows of sagittal and coronal slices are the uppermost.
        above = rows // 2 if mr_alone.plane == "axial" else 0
        margins = ((before, after), (above, rows - above), (cols // 2, cols - cols // 2))
        return np.pad(image, ((0, 0),) * (image.ndim - 3) + margins, constant_values=empty)

    return replace(
        mr_alone,
        mr=fitted(mr_alone.the_mr, 0, n_ct, OUTSIDE),
        ct=fitted(ct_alone.the_ct, n_mr, 0, OUTSIDE),
        regions=fitted(mr_alone.regions, 0, n_ct, 0) | fitted(ct_alone.regions, n_mr, 0, 0),
        info=mr_alone.info | {"mr_slices": n_mr},
    )


def unreadable(path: Path, fault: Exception) -> PlanError:
    """The fault of a cached file in a sentence with the remedy."""
    if isinstance(fault, FileNotFoundError):
        return PlanError(f"{path} is missing; run synthct_plan_and_preprocess.")
    reason = (str(fault).splitlines() or [type(fault).__name__])[0]
    return PlanError(f"{path} is damaged ({reason}); delete it and run synthct_plan_and_preprocess again.")


class _FlushedDeflate:
    """A compressor that forgets what came before each call, so that inflating can begin there."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, wbits=RAW_DEFLATE)

    def compress(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_FULL_FLUSH)

    def flush(self) -> bytes:
        return self._deflate.flush()


def _record(fields: dict[str, Any]) -> np.ndarray:
    fields = {name: np.asarray(value) for name, value in fields.items()}
    return np.array(
        tuple(fields.values()), np.dtype([(name, values.dtype, values.shape) for name, values in fields.items()])
    )


def stack_header(arrays: Any) -> dict[str, Any]:
    """What of a stack is not an image."""
    header, percentiles = json.loads(arrays["info"].tobytes()), arrays["mr_percentiles"]
    return {
        "plane": header["plane"],
        "mr_steps": tuple(header["mr_steps"]),
        "mr_statistics": tuple(
            MrStatistics(of_channel, mean, sd) for of_channel, (mean, sd) in zip(percentiles, header["mr_statistics"])
        ),
        "info": header["info"],
    }


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _write_slices(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> np.ndarray:
    """Write (..., slices, rows, cols), a slice after the other; returns their bounds, int64 (..., slices + 1)."""
    array = np.ascontiguousarray(array)
    images = array.reshape(-1, *array.shape[-3:])
    bounds = np.empty((len(images), images.shape[1] + 1), np.int64)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        # zipfile has no public way to flush; a test would tell.
        member._compressor = _FlushedDeflate()  # type: ignore[attr-defined]
        assert archive.fp is not None
        np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
        for image, bound in zip(images, bounds):
            bound[0] = archive.fp.tell()
            for i, image_slice in enumerate(image):
                member.write(image_slice)
                bound[i + 1] = archive.fp.tell()
    return bounds


def _contrast(stored: np.ndarray, values: np.ndarray, window: tuple[float, float]) -> float:
    grey = to_grey_levels(values, window)
    grey[stored == OUTSIDE] = 0
    return float(grey.std())
