"""A series as a volume: voxels decoded by GDCM, values in HU or scanner units, on a regular grid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from synthct.errors import ImageError
from synthct.imaging.dicom.decoding import decode
from synthct.imaging.dicom.series import DicomSeries, DicomSlice
from synthct.imaging.dicom.stacking import Stacking, stack_slices

LOWEST_HU = -1024.0  # what a CT holds outside its field of view; lower values are padding and no HU
INT16 = np.iinfo(np.int16)
PixelType = type[np.int16] | type[np.float32]
_SITK_TYPES: dict[PixelType, int] = {np.int16: sitk.sitkInt16, np.float32: sitk.sitkFloat32}


def read_series(series: DicomSeries) -> sitk.Image:
    """Read a series as one 3-D image.

    RescaleSlope and RescaleIntercept of every slice are applied. Geometry is that of :func:`stack_slices`: slices of a
    tilted gantry are put straight, small gaps interpolated over (linearly). In a CT, padding below -1024 and what lies
    outside its slices become -1024; outside the slices of an MR is 0. Takes memory for the volume and two slices (for
    a multi-frame file, twice the volume).

    Returns:
        int16 where every value that the file can hold is a whole number in its range, and for every CT with a whole
        slope and intercept; else float32. HU for a CT, scanner units for an MR. No header of the files goes along.

    Raises:
        ImageError: a gap is too wide, or the voxels cannot be decoded; it names the series, not the patient or a path.
    """
    stacking = stack_slices(series)
    is_ct = series.modality == "CT"
    outside = LOWEST_HU if is_ct else 0.0
    pixel_type = _pixel_type(series)
    volume = sitk.Image(stacking.grid.size_xyz, _SITK_TYPES[pixel_type])  # filled in place: no second volume
    volume.SetSpacing(stacking.grid.spacing_mm_xyz)
    volume.SetOrigin(stacking.grid.origin_mm)
    volume.SetDirection(stacking.grid.direction)
    with _quiet_itk(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, which hold values of the file
        decoder = _Decoder(series)
        for index, plane in enumerate(_planes(decoder, stacking, outside)):
            if is_ct:
                plane = np.clip(plane, LOWEST_HU, INT16.max)
            if pixel_type is np.int16 and plane.dtype.kind == "f":
                plane = np.rint(plane)
            volume[:, :, index] = sitk.GetImageFromArray(plane.astype(pixel_type))
    return volume


def _planes(decoder: _Decoder, stacking: Stacking, outside: float) -> Iterator[np.ndarray]:
    """The output's slices in order; at most two input slices are held."""
    if stacking.straight and (stacking.below == np.arange(len(stacking.below))).all():
        for index in range(len(stacking.below)):
            yield decoder.slice(index)
        return
    held: dict[int, np.ndarray] = {}

    def placed(index: int) -> np.ndarray:
        if index not in held:
            values, (rows, columns) = decoder.slice(index).astype(np.float32), stacking.shift_px[index]
            if outside == LOWEST_HU:
                values = np.maximum(values, LOWEST_HU)  # padding must not be mixed with tissue
            held[index] = ndimage.affine_transform(
                values,
                (1.0, 1.0),
                (rows, columns),
                output_shape=stacking.grid.array_shape[1:],
                order=1,
                mode="constant",
                cval=outside,
            )
        return held[index]

    for below, weight in zip(map(int, stacking.below), map(float, stacking.weight)):
        for index in [index for index in held if index < below]:
            del held[index]
        yield placed(below) if weight == 0 else (1 - weight) * placed(below) + weight * placed(below + 1)


class _Decoder:
    """Decodes slices one at a time; the frames of a multi-frame file, which GDCM decodes all at once, are kept."""

    def __init__(self, series: DicomSeries) -> None:
        self.series = series
        self.multi_frame = len(series.files) < len(series.slices) or any(image.frame for image in series.slices)
        self.path: Path | None = None
        self.frames = np.empty(0)
        if self.multi_frame and len({image.rescale for image in series.slices}) > 1:
            raise ImageError(
                f"{series.name}: the frames of a multi-frame file have rescale slopes of their own each, which is not "
                "supported; export the series as one file a slice."
            )

    def slice(self, index: int) -> np.ndarray:
        """(rows, columns), rescaled."""
        image = self.series.slices[index]
        if self.path != image.path:
            self.frames = self._decode(image)
            self.path = image.path
        if image.frame >= len(self.frames):
            raise ImageError(f"{self._image_name(image)} is missing in its file; export the series again.")
        return self.frames[image.frame]

    def _decode(self, image: DicomSlice) -> np.ndarray:
        try:
            decoded = decode(image.path)
        except Exception:  # whatever a damaged file leads to; its text holds the path, which may hold a name
            raise ImageError(f"{self._image_name(image)} cannot be decoded; export the series again.") from None
        values = sitk.GetArrayFromImage(decoded)
        if decoded.GetNumberOfComponentsPerPixel() != 1 or values.shape[1:] != (self.series.rows, self.series.columns):
            raise ImageError(
                f"{self._image_name(image)} holds other voxels than its header says; export the series again."
            )
        return values

    def _image_name(self, image: DicomSlice) -> str:
        return f"{self.series.name}: image {image.instance}"


def _pixel_type(series: DicomSeries) -> PixelType:
    rescales = {image.rescale for image in series.slices}
    if not all(value.is_integer() for rescale in rescales for value in rescale):
        return np.float32
    ends = [stored * slope + intercept for slope, intercept in rescales for stored in series.stored_range]
    fits = INT16.min <= min(ends) and max(ends) <= INT16.max
    return np.int16 if fits or series.modality == "CT" else np.float32


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Without ITK's warnings, which name files."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
