"""The head in a CT: tissue denser than air, less couch, head holder and thermoplastic mask, its inner air filled."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid, known_region, resample
from synthct.imaging.morphology import (
    at_working_spacing,
    dilated,
    distance_mm,
    eroded,
    filled,
    largest_component,
    on_grid_of,
)

TISSUE_HU = -350.0  # between air and skin; above the middle, since plastic on the skin blurs outwards


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
    tissue = at_working_spacing(ct) > TISSUE_HU
    radius_mm = 4.0
    core = largest_component(eroded(tissue, radius_mm))
    # Opening takes off what is thinner than 8 mm; a voxel more grows back, because erosion takes off whole voxels.
    solid = dilated(core, radius_mm + max(tissue.GetSpacing())) & tissue
    head = (dilated(solid, 3.0) & tissue) | _thin_head_parts(tissue, solid)
    head = filled(largest_component(head), closing_mm=11.0)
    if mr_head_mask is not None:
        head = _near_mr_head(head, mr_head_mask)
    return on_grid_of(ct, head)


def _thin_head_parts(tissue: sitk.Image, solid: sitk.Image) -> sitk.Image:
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
    parts = sitk.GetImageFromArray(np.isin(sitk.GetArrayViewFromImage(labels), head_parts).astype(np.uint8))
    parts.CopyInformation(labels)
    return parts


def _near_mr_head(head: sitk.Image, mr_head_mask: sitk.Image) -> sitk.Image:
    """The head less thin layers more than 4 mm outside the MR's head.

    Thick parts stay: there the MR has lost its signal (metal in the teeth, the end of the coil), not the CT its way.
    """
    grid = Grid.of(head)
    known = known_region(mr_head_mask, grid)
    near = dilated(resample(mr_head_mask, grid, interpolation="nearest"), 4.0)
    beyond = head & (near == 0) & known
    thick = dilated(eroded(beyond, 5.0), 5.0 + max(grid.spacing_mm_xyz))
    trimmed = head & ((beyond & (thick == 0)) == 0)
    overlap = sitk.GetArrayViewFromImage(head & near).sum() / max(1, sitk.GetArrayViewFromImage(head & known).sum())
    return trimmed if overlap > 0.85 else head  # less: the two are not aligned, and the MR tells nothing about the CT
