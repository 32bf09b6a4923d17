"""The head in a CT or in an MR: all inside the skin, air of sinuses, mouth and ear canals included.

Recipes: CT > -400 HU, opening against table and thermoplastic mask, largest component, closing and filling; MR a
bias-robust threshold, the same after it. Balls of a radius in mm are distance thresholds, so that anisotropic voxels
and any spacing behave alike.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.filters import threshold_otsu

from synthct.imaging.geometry import Grid, known_region, resample

WORKING_SPACING_MM = 2.0  # fine enough for the skin, coarse enough for a second a head
CT_TISSUE_HU = -400.0  # between air and skin; cushions and most of the couch lie below
PLAUSIBLE_VOLUME_L = (2.0, 7.5)  # an adult or child's head with some or much neck


def head_mask_from_ct(ct: sitk.Image, *, mr_head_mask: sitk.Image | None = None) -> sitk.Image:
    """Head mask of a CT in HU, on the CT's own grid.

    Table, head holder, cushions and thermoplastic mask are left out; nose, ears and inner air are in.

    Args:
        ct: in HU.
        mr_head_mask: the head in an aligned MR of the patient, any grid. A thermoplastic mask that is pressed to the
            skin cannot be told from it in the CT; the MR does not show it.

    Returns:
        uint8 image, 1 inside the head; empty where nothing is denser than air.
    """
    tissue = _at_working_spacing(ct) > CT_TISSUE_HU
    radius_mm = 4.0
    core = _largest_component(_eroded(tissue, radius_mm))
    # Opening takes off what is thinner than 8 mm; a voxel more grows back, because erosion takes off whole voxels.
    solid = _dilated(core, radius_mm + max(tissue.GetSpacing())) & tissue
    head = (_dilated(solid, 3.0) & tissue) | _thin_head_parts(tissue, solid)
    head = _filled(_largest_component(head), closing_mm=11.0)
    if mr_head_mask is not None:
        head = _near_mr_head(head, mr_head_mask)
    return _on_grid_of(ct, head)


def head_mask_from_mr(mr: sitk.Image) -> sitk.Image:
    """Head mask of a T1-like magnitude MR, on the MR's own grid.

    The skull is dark on MR: it lies between the scalp and the brain and is closed over. Works at any intensity scale.

    Returns:
        uint8 image, 1 inside the head; empty where the image is constant.
    """
    image = _at_working_spacing(mr)
    values = sitk.GetArrayViewFromImage(image)
    low, high = np.percentile(values, (0.1, 99.5))
    if not high > low:
        return sitk.Cast(mr != mr, sitk.sitkUInt8)  # nothing to see
    clipped = np.clip(values, low, high)
    # Otsu lies midway between air and tissue; far from the coil tissue is weaker, so a third is enough.
    threshold = low + 0.35 * (threshold_otsu(clipped) - low)
    smooth = sitk.SmoothingRecursiveGaussian(image, 0.75 * WORKING_SPACING_MM)  # background noise is not tissue
    tissue = smooth > float(threshold)
    core = _largest_component(_eroded(tissue, 2.0))
    grown = _dilated(core, max(2.5, 1.01 * max(tissue.GetSpacing()))) & tissue  # at least the voxel that was taken off
    return _on_grid_of(mr, _filled(_largest_component(grown), closing_mm=10.0))


def volume_litres(mask: sitk.Image) -> float:
    """Volume of a mask in litres."""
    voxels = int(sitk.GetArrayViewFromImage(mask).astype(bool).sum())
    return voxels * float(np.prod(mask.GetSpacing())) * 1e-6


def _at_working_spacing(image: sitk.Image) -> sitk.Image:
    """Float image over the same extent whose voxels are means of whole blocks of voxels, about 2 mm wide."""
    factors = [max(1, round(WORKING_SPACING_MM / spacing)) for spacing in image.GetSpacing()]
    remainder = [-size % factor for size, factor in zip(image.GetSize(), factors)]
    # The last block is filled up with its own border, so that a neck cut by the field of view stays in.
    padded = sitk.ZeroFluxNeumannPad(image, [0, 0, 0], remainder)
    return sitk.Cast(sitk.BinShrink(padded, factors), sitk.sitkFloat32)


def _on_grid_of(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """The working mask on the image's own grid.

    Distances are interpolated, not the mask, so that the border lies between the working voxels without steps.
    """
    if not sitk.GetArrayViewFromImage(mask).any():
        return sitk.Cast(image != image, sitk.sitkUInt8)
    far_mm = 1e3
    distance = sitk.Resample(_distance_mm(mask), image, sitk.Transform(), sitk.sitkLinear, far_mm)
    half_voxel_mm = min(mask.GetSpacing()) / 2  # the distance is 0 at the centres of the outermost voxels
    return sitk.Cast(distance <= half_voxel_mm, sitk.sitkUInt8)


def _distance_mm(mask: sitk.Image) -> sitk.Image:
    """Signed distance to the mask's border, negative inside."""
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)


def _dilated(mask: sitk.Image, radius_mm: float) -> sitk.Image:
    return _distance_mm(mask) <= radius_mm


def _eroded(mask: sitk.Image, radius_mm: float) -> sitk.Image:
    """Erosion in which the image's border erodes nothing: a neck cut by the field of view goes on outside."""
    half_voxel_mm = min(mask.GetSpacing()) / 2  # the surface lies that far outside the centres where the distance is 0
    return _distance_mm(mask) < -max(radius_mm - half_voxel_mm, 0.0)


def _thin_head_parts(tissue: sitk.Image, solid: sitk.Image) -> sitk.Image:
    """Nose and ears: what opening took off, hangs on the head and is small; couch, holder and mask spread wider."""
    distance = _distance_mm(solid)
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
    parts = sitk.GetImageFromArray(np.isin(sitk.GetArrayViewFromImage(labels), head_parts).astype(np.uint8))
    parts.CopyInformation(labels)
    return parts


def _near_mr_head(head: sitk.Image, mr_head_mask: sitk.Image) -> sitk.Image:
    """What lies at most 4 mm outside the MR's head, or outside the MR's field of view."""
    grid = Grid.of(head)
    known = known_region(mr_head_mask, grid)
    near = head & (_dilated(resample(mr_head_mask, grid, interpolation="nearest"), 4.0) | (known == 0))
    share = sitk.GetArrayViewFromImage(near).sum() / max(1, sitk.GetArrayViewFromImage(head).sum())
    return near if share > 0.85 else head  # less: the two are not aligned, and the MR tells nothing about the CT


def _largest_component(mask: sitk.Image) -> sitk.Image:
    return sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True) == 1


def _filled(mask: sitk.Image, closing_mm: float) -> sitk.Image:
    """Close gaps narrower than twice ``closing_mm``, then fill cavities in 3-D and slice by slice along each axis.

    The slice-wise filling closes what is open only through the neck's cut, such as the airway.
    """
    margin = [int(np.ceil(closing_mm / spacing)) + 1 for spacing in mask.GetSpacing()]
    padded = sitk.ConstantPad(mask, margin, margin, 0)
    closed = sitk.Crop(_distance_mm(_dilated(padded, closing_mm)) < -closing_mm, margin, margin)
    array = sitk.GetArrayFromImage(closed | mask).astype(bool)
    array = ndimage.binary_fill_holes(array)
    for axis in range(3):
        for plane in np.moveaxis(array, axis, 0):  # views, filled in place
            plane[:] = ndimage.binary_fill_holes(plane)
    filled = sitk.GetImageFromArray(array.astype(np.uint8))
    filled.CopyInformation(mask)
    return filled
