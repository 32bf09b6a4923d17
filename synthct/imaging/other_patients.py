"""Registration of different patients' heads: by the extents of the heads, then affine; and the median of many CTs.

All images here show heads upright: cols run to the back, rows to the feet and slices, where there are several, across.
An image of a single slice is one of two dimensions. Transforms map points of the fixed image to the moving one (mm).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import block_means, image_like
from synthct.parallel import Progress, quiet

UPPER_HEAD_MM = 88.0  # from the vertex: the cranium, whose extents no field of view cuts
CT_RANGE_HU = (-1000.0, 1400.0)
COARSE_MM, FINE_MM = 6.0, 3.0  # voxels that are compared
AROUND_HEAD_MM = 8.0  # of air around the fixed head is compared too, for the outline of the skin
HISTOGRAM_BINS = 32
SAMPLED = 0.3  # share of the voxels that are compared
SEED = 1  # of where in these voxels; 0 would be the clock
ITERATIONS = 60
DEMONS = ((COARSE_MM, 30), (FINE_MM, 6))  # voxels, iterations
DEMONS_RANGE_HU = (-600.0, 1400.0)
FIELD_SD_VOXELS = 1.5
MISPLACED_HU = 500.0  # counted for a voxel of the MR's head where a CT shows none
ROUNDS = 3  # of a median and the registrations to it


@dataclass(frozen=True, eq=False)
class Head:
    """An MR or a CT in HU, and the head in it; float32 and uint8 images on one grid, of 2 or 3 dimensions."""

    image: sitk.Image
    mask: sitk.Image

    @staticmethod
    def of(values: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float], outside: float) -> Head:
        """From slices (slices, rows, cols) of heads upright, a single one becomes an image of two dimensions.

        Args:
            values: scanner units or HU.
            mask: bool.
            spacing_mm: (slices, rows, cols).
            outside: value that is given to what is not head.
        """
        if len(values) == 1:
            values, mask, spacing_mm = values[0], mask[0], spacing_mm[1:]
        image = sitk.GetImageFromArray(np.where(mask, values, outside).astype(np.float32))
        image.SetSpacing([float(mm) for mm in reversed(spacing_mm)])
        return Head(image, image_like(image, mask.astype(np.uint8)))

    def at(self, spacing_mm: float) -> Head:
        """In voxels of about this size, means of blocks."""
        return Head(
            block_means(self.image, spacing_mm), sitk.Cast(block_means(self.mask, spacing_mm) > 0.5, sitk.sitkUInt8)
        )


@dataclass(frozen=True)
class Extents:
    """Of the upper head, in mm and the order of the image's axes (cols, rows[, slices]).

    Attributes:
        centre: the middles across, and the vertex along the rows.
        size: across; along the rows, which the field of view may cut, the geometric mean of the others.
    """

    centre: np.ndarray
    size: np.ndarray

    @staticmethod
    def of(mask: sitk.Image) -> Extents:
        """Raises ValueError where the mask is empty."""
        inside = sitk.GetArrayViewFromImage(mask) > 0
        if not inside.any():
            raise ValueError("the head mask is empty")
        rows_axis, spacing = inside.ndim - 2, np.array(mask.GetSpacing())
        occupied = [
            np.flatnonzero(inside.any(axis=tuple(set(range(inside.ndim)) - {axis}))) for axis in range(inside.ndim)
        ]
        top = int(occupied[rows_axis][0])
        bottom = min(top + max(1, round(UPPER_HEAD_MM / spacing[1])), inside.shape[rows_axis])
        upper = np.take(inside, range(top, bottom), rows_axis)
        centre, size = [], []
        for axis in reversed(range(inside.ndim)):  # in the order of the image's axes
            ends = np.flatnonzero(upper.any(axis=tuple(set(range(inside.ndim)) - {axis})))[[0, -1]]
            centre.append(float(top) if axis == rows_axis else ends.mean())
            size.append(float(ends[1] - ends[0] + 1))
        size = np.array(size) * spacing
        size[1] = np.prod(np.delete(size, 1)) ** (1 / (len(size) - 1))
        return Extents(np.array(centre) * spacing, size)


def by_extents(fixed: Head, moving: Head) -> sitk.AffineTransform:
    """Vertex on vertex, middle on middle, each axis scaled to the other head's."""
    to, of = Extents.of(fixed.mask), Extents.of(moving.mask)
    scale = of.size / to.size
    transform = sitk.AffineTransform(len(scale))
    transform.SetMatrix(np.diag(scale).ravel().tolist())
    transform.SetTranslation((of.centre - scale * to.centre).tolist())
    return transform


def affine_to_mr(mr: Head, ct: Head) -> sitk.AffineTransform:
    """A CT's affine registration to another patient's MR by mutual information (Mattes et al. 2003)."""
    start = by_extents(mr, ct)
    for spacing_mm in (COARSE_MM, FINE_MM):
        method = _method(mr.at(spacing_mm))
        method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
        start = _optimised(method, mr.at(spacing_mm), ct.at(spacing_mm), start)
    return start


def affine_to_ct(fixed: Head, moving: Head, start: sitk.Transform, spacing_mm: float) -> sitk.AffineTransform:
    """A CT's affine registration to another CT by correlation, from a start."""
    method = _method(fixed.at(spacing_mm))
    method.SetMetricAsCorrelation()
    return _optimised(method, fixed.at(spacing_mm), moving.at(spacing_mm), start)


def _method(fixed: Head) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # of several the sums, and so the transforms, would differ from run to run
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, SEED)
    radius = [max(1, round(AROUND_HEAD_MM / mm)) for mm in fixed.mask.GetSpacing()]
    method.SetMetricFixedMask(sitk.BinaryDilate(fixed.mask, radius))
    method.SetInterpolator(sitk.sitkLinear)
    # Gradients that are smoothed beforehand point away from the optimum where the skull is a few voxels thick.
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(False)
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0, 0.02, ITERATIONS, relaxationFactor=0.7, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _optimised(
    method: sitk.ImageRegistrationMethod, fixed: Head, moving: Head, start: sitk.Transform
) -> sitk.AffineTransform:
    """The nearest optimum; the start where it is no better."""
    transform = sitk.AffineTransform(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        before = method.MetricEvaluate(fixed.image, moving.image)
        method.Execute(fixed.image, moving.image)
    except RuntimeError:  # the heads do not meet
        return sitk.AffineTransform(start)
    return transform if method.GetMetricValue() <= before else sitk.AffineTransform(start)


def deformed_to(fixed: Head, moving: Head, *, max_mm: float = math.inf) -> sitk.Transform:
    """Deformation of a CT on the grid of another, or of an sCT, onto it; from points of the fixed one (mm).

    Demons with symmetric forces (Vercauteren et al. 2009), from coarse to fine, the field smoothed
    at every iteration; displacements longer than ``max_mm`` are shortened to that.
    """
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetStandardDeviations(FIELD_SD_VOXELS)
    demons.SetSmoothDisplacementField(True)
    field: sitk.Image | None = None
    for spacing_mm, iterations in DEMONS:
        images = [sitk.Clamp(head.at(spacing_mm).image, sitk.sitkFloat32, *DEMONS_RANGE_HU) for head in (fixed, moving)]
        demons.SetNumberOfIterations(iterations)
        field = demons.Execute(*images, *([] if field is None else [sitk.Resample(field, images[0])]))
    assert field is not None
    vectors = sitk.GetArrayFromImage(field).astype(np.float64)  # (slices, rows, cols, axes)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    bounded = sitk.GetImageFromArray(vectors * np.minimum(1.0, max_mm / np.maximum(length, 1e-9)), isVector=True)
    bounded.CopyInformation(field)
    return sitk.DisplacementFieldTransform(bounded)


def laid(ct: Head, transform: sitk.Transform, grid: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """A CT on the grid of an image, interpolated once.

    Returns:
        float32 HU and bool, where the CT's head is: (slices, rows, cols), or (rows, cols) in two dimensions.
    """
    hu = sitk.Resample(ct.image, grid, transform, sitk.sitkLinear, CT_RANGE_HU[0])
    inside = sitk.Resample(sitk.Cast(ct.mask, sitk.sitkFloat32), grid, transform, sitk.sitkLinear, 0.0)
    return sitk.GetArrayFromImage(hu), sitk.GetArrayFromImage(inside) > 0.5


@dataclass(frozen=True, eq=False)
class MedianCt:
    """The voxel-wise median of several patients' CTs.

    Attributes:
        head: the median HU, where most of the heads are.
        transforms: from its points to those of each patient's CT, in their order.
    """

    head: Head
    transforms: tuple[sitk.Transform, ...]


def median_ct(cts: Sequence[Head], *, threads: int = 1, progress: Progress = quiet) -> MedianCt:
    """Register CTs of different patients to their median, again and again, in the frame of one of medium size.

    Args:
        cts: of at least one patient.
        threads: registrations at once; the result does not depend on it.
        progress: a display like ``tqdm``.
    """
    fine = [ct.at(FINE_MM) for ct in cts]
    by_size = sorted(range(len(fine)), key=lambda i: np.prod(Extents.of(fine[i].mask).size))
    frame = fine[by_size[len(fine) // 2]]
    transforms = [by_extents(frame, ct) for ct in fine]
    median = _median(fine, transforms, frame.image)
    spacings = (COARSE_MM,) * (ROUNDS - 1) + (FINE_MM,)
    ticks = iter(progress(range(ROUNDS * len(fine)), total=ROUNDS * len(fine), desc="Median CT", unit="CT"))
    with ThreadPoolExecutor(threads) as pool:
        for spacing_mm in spacings:
            found = pool.map(partial(affine_to_ct, median, spacing_mm=spacing_mm), fine, transforms)
            transforms = [transform for transform, _ in zip(found, ticks)]
            median = _median(fine, transforms, frame.image)
    next(ticks, None)  # lets the display finish
    return MedianCt(median, tuple(transforms))


def through_median(median: MedianCt, to_median: sitk.Transform) -> list[sitk.AffineTransform]:
    """From an MR that is registered to the median: to each patient's CT."""
    return [_as_affine(sitk.CompositeTransform([transform, to_median])) for transform in median.transforms]


def _as_affine(transform: sitk.Transform) -> sitk.AffineTransform:
    n = transform.GetDimension()
    offset = np.array(transform.TransformPoint((0.0,) * n))
    columns = [np.subtract(transform.TransformPoint(axis.tolist()), offset) for axis in np.eye(n)]
    return sitk.AffineTransform(np.transpose(columns).ravel().tolist(), offset.tolist())


def best_fitting(mr: Head, cts: Sequence[Head], transforms: Sequence[sitk.Transform], count: int) -> list[int]:
    """Numbers of the CTs that are nearest to the median of all of them inside the MR's head, the best first."""
    head = sitk.GetArrayViewFromImage(mr.mask) > 0
    of_each = [laid(ct, transform, mr.image) for ct, transform in zip(cts, transforms)]
    hu = np.stack([hu[head] for hu, _ in of_each])
    inside = np.stack([inside[head] for _, inside in of_each])
    median = np.ma.median(np.ma.masked_array(hu, ~inside), axis=0).filled(0.0)
    distance = np.where(inside, np.abs(hu - median), MISPLACED_HU).mean(axis=1)
    return np.argsort(distance, kind="stable")[:count].tolist()


def _median(cts: Sequence[Head], transforms: Sequence[sitk.Transform], grid: sitk.Image) -> Head:
    of_each = [laid(ct, transform, grid) for ct, transform in zip(cts, transforms)]
    heads = np.stack([np.where(inside, hu, np.nan) for hu, inside in of_each])
    mask = np.mean([inside for _, inside in of_each], axis=0) >= 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of voxels where there is no head
        hu = np.nanmedian(heads, axis=0)
    median = image_like(grid, np.where(mask, hu, CT_RANGE_HU[0]).astype(np.float32))
    return Head(median, image_like(grid, mask.astype(np.uint8)))
