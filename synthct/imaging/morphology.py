"""Masks on a working grid of about 2 mm, and balls in mm on it.

Balls of a radius in mm are distance thresholds, so that anisotropic voxels and any spacing behave alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from synthct.imaging.geometry import bounding_box, image_like

MIN_FOR_GAUSSIAN = 4  # voxels along an axis
WORKING_SPACING_MM = 2.0  # fine enough for the skin, coarse enough for a second a head


def at_working_spacing(image: sitk.Image) -> sitk.Image:
    """Float image over the same extent whose voxels are means of whole blocks of voxels, about 2 mm wide."""
    factors = [max(1, round(WORKING_SPACING_MM / spacing)) for spacing in image.GetSpacing()]
    remainder = [-size % factor for size, factor in zip(image.GetSize(), factors)]
    # The last block is filled up with its own border, so that a neck cut by the field of view stays in.
    padded = sitk.ZeroFluxNeumannPad(image, [0, 0, 0], remainder)
    return sitk.Cast(sitk.BinShrink(padded, factors), sitk.sitkFloat32)


def smoothed(image: sitk.Image, sigma_mm: float) -> sitk.Image:
    """Gaussian smoothing of an image of any size; a border goes on outside with its own values.

    The recursive filter needs four voxels along each axis, so thin volumes are enlarged by their borders for it.
    """
    lacking = [max(0, MIN_FOR_GAUSSIAN - size) for size in image.GetSize()]
    before = [lack // 2 for lack in lacking]
    after = [lack - first for lack, first in zip(lacking, before)]
    enlarged = sitk.ZeroFluxNeumannPad(image, before, after) if any(lacking) else image
    return sitk.Crop(sitk.SmoothingRecursiveGaussian(enlarged, sigma_mm), before, after)


def on_grid_of(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """The working mask on the image's own grid.

    Distances are interpolated, not the mask, so that the border lies between the working voxels without steps.
    """
    result = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    result.CopyInformation(image)
    part, _ = _part_with(mask, 2.0 * max(mask.GetSpacing()))
    if part is None:
        return result
    # The axes are the image's, so that two corners show where the part lies in it; elsewhere there is no head.
    size = np.array(part.GetSize())
    corners = [
        image.TransformPhysicalPointToContinuousIndex(part.TransformContinuousIndexToPhysicalPoint(corner.tolist()))
        for corner in (np.full(3, -0.5), size - 0.5)
    ]
    start = np.maximum(np.floor(corners[0]), 0).astype(int)
    stop = np.minimum(np.ceil(corners[1]) + 1, image.GetSize()).astype(int)
    here = sitk.RegionOfInterest(result, (stop - start).tolist(), start.tolist())
    far_mm = 1e3
    distance = sitk.Resample(distance_mm(part), here, sitk.Transform(), sitk.sitkLinear, far_mm)
    half_voxel_mm = min(mask.GetSpacing()) / 2  # the distance is 0 at the centres of the outermost voxels
    return sitk.Paste(result, distance <= half_voxel_mm, here.GetSize(), [0, 0, 0], start.tolist())


def distance_mm(mask: sitk.Image) -> sitk.Image:
    """Signed distance to the mask's border, negative inside."""
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)


def dilated(mask: sitk.Image, radius_mm: float) -> sitk.Image:
    """Dilation with a ball."""
    return _around_mask(mask, radius_mm, lambda part: distance_mm(part) <= radius_mm)


def eroded(mask: sitk.Image, radius_mm: float) -> sitk.Image:
    """Erosion in which the image's border erodes nothing: a neck cut by the field of view goes on outside."""
    half_voxel_mm = min(mask.GetSpacing()) / 2  # the surface lies that far outside the centres where the distance is 0
    depth_mm = max(radius_mm - half_voxel_mm, 0.0)
    return _around_mask(mask, 0.0, lambda part: distance_mm(part) < -depth_mm)


def _around_mask(mask: sitk.Image, margin_mm: float, action: Callable[[sitk.Image], sitk.Image]) -> sitk.Image:
    """An action on the part that holds the mask and a margin, 0 elsewhere: distances are slow."""
    part, start = _part_with(mask, margin_mm)
    if part is None:
        return mask
    result = sitk.Image(mask.GetSize(), sitk.sitkUInt8)
    result.CopyInformation(mask)
    return sitk.Paste(result, action(part), part.GetSize(), [0, 0, 0], start)


def _part_with(mask: sitk.Image, margin_mm: float) -> tuple[sitk.Image | None, list[int]]:
    """The part that holds the mask and at least a voxel more, and the index where it starts; None of an empty mask."""
    if not sitk.GetArrayViewFromImage(mask).any():
        return None, [0, 0, 0]
    margin = np.ceil(margin_mm / np.array(mask.GetSpacing())).astype(int) + 1
    box = bounding_box(mask)
    start = np.maximum(box[:, 0] - margin, 0)
    stop = np.minimum(box[:, 1] + margin, mask.GetSize())
    return sitk.RegionOfInterest(mask, (stop - start).tolist(), start.tolist()), start.tolist()


def largest_component(mask: sitk.Image) -> sitk.Image:
    """The largest piece of a mask."""
    return sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True) == 1


def large_components(mask: sitk.Image, min_share: float) -> sitk.Image:
    """The pieces of at least a share of the largest one's size."""
    labels = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    sizes = np.bincount(sitk.GetArrayViewFromImage(labels).ravel())[1:]
    return (labels >= 1) & (labels <= int((sizes >= min_share * sizes.max(initial=0)).sum()))


def piece_shapes(mask: sitk.Image, min_ml: float) -> list[tuple[float, tuple[float, ...]]]:
    """Volume (ml) and sorted extents (mm) along its own axes of each piece of a mask from a least volume on."""
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputeOrientedBoundingBoxOn()
    shapes.Execute(sitk.ConnectedComponent(mask))
    return [
        (ml, tuple(sorted(shapes.GetOrientedBoundingBoxSize(label))))
        for label in shapes.GetLabels()
        if (ml := shapes.GetPhysicalSize(label) / 1000.0) >= min_ml
    ]


def thin_head_parts(tissue: sitk.Image, solid: sitk.Image) -> sitk.Image:
    """Nose and ears: what opening took off, hangs on the head and is small; couch, holder and mask spread wider."""
    distance = distance_mm(solid)
    labels = sitk.ConnectedComponent(tissue & (distance > 3.0))
    shape = sitk.LabelIntensityStatisticsImageFilter()
    shape.Execute(labels, distance)
    spread_mm, reach_mm, gap_mm = 135.0, 45.0, 5.0  # the midface with its thin bone walls is 120 mm wide
    head_parts = []
    for label in shape.GetLabels():
        extent_mm = np.multiply(shape.GetBoundingBox(label)[3:], labels.GetSpacing())
        is_plate = extent_mm.min() < 12.0 and extent_mm.max() > 40.0
        hangs_on_head = shape.GetMinimum(label) <= gap_mm and shape.GetMaximum(label) <= reach_mm
        if extent_mm.max() <= spread_mm and hangs_on_head and not is_plate:
            head_parts.append(label)
    return image_like(labels, np.isin(sitk.GetArrayViewFromImage(labels), head_parts).astype(np.uint8))


def filled(mask: sitk.Image, closing_mm: float) -> sitk.Image:
    """Close gaps narrower than twice ``closing_mm``, then fill cavities in 3-D and slice by slice along each axis.

    The slice-wise filling closes what is open only through the neck's cut, such as the airway.
    """
    margin = [int(np.ceil(closing_mm / spacing)) + 1 for spacing in mask.GetSpacing()]
    padded = sitk.ConstantPad(mask, margin, margin, 0)
    closed = sitk.Crop(distance_mm(dilated(padded, closing_mm)) < -closing_mm, margin, margin)
    array = sitk.GetArrayFromImage(closed | mask).astype(bool)
    every = np.ones(3, bool)
    for connected in (every, *(every & (np.arange(3) != axis) for axis in range(3))):
        array |= _cavities(array, connected)
    return image_like(mask, array.astype(np.uint8))


def _cavities(array: np.ndarray, connected: np.ndarray) -> np.ndarray:
    """Background that reaches the border along none of the connected axes (bool of z, y, x): all planes at once."""
    neighbours = np.zeros((3, 3, 3), bool)
    neighbours[1, 1, 1] = True
    for axis in np.flatnonzero(connected):
        neighbours[tuple(slice(None) if other == axis else 1 for other in range(3))] = True
    labels, count = ndimage.label(~array, neighbours)
    enclosed = np.ones(count + 1, bool)
    enclosed[0] = False
    for axis in np.flatnonzero(connected):
        for end in (0, -1):
            enclosed[labels.take(end, axis=axis)] = False
    return enclosed[labels]
