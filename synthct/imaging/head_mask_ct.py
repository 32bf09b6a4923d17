"""The head in a CT: tissue denser than air, less couch, head holder and thermoplastic mask, its inner air filled."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid, known_region, resample
from synthct.imaging.morphology import (
    at_working_spacing,
    dilated,
    eroded,
    filled,
    largest_component,
    on_grid_of,
    thin_head_parts,
)

TISSUE_HU = -350.0  # between air and skin; above the middle, since plastic on the skin blurs outwards


def head_mask_from_ct(ct: sitk.Image, *, mr_head_mask: sitk.Image | None = None) -> sitk.Image:
    """Head mask of a CT in HU, on the CT's own grid.

    Table, head holder, cushions and thermoplastic mask are left out; nose, ears and inner air are in.

    Args:
        ct: in HU.
        mr_head_mask: the head in an aligned MR of the patient, any grid. A thermoplastic mask that is pressed to the
            skin cannot be distinguished from it in the CT; the MR does not show it.

    Returns:
        uint8 image, 1 inside the head; empty where nothing is denser than air.
    """
    tissue = at_working_spacing(ct) > TISSUE_HU
    radius_mm = 4.0
    core = largest_component(eroded(tissue, radius_mm))
    # Opening takes off what is thinner than 8 mm; a voxel more grows back, because erosion takes off whole voxels.
    solid = dilated(core, radius_mm + max(tissue.GetSpacing())) & tissue
    head = (dilated(solid, 3.0) & tissue) | thin_head_parts(tissue, solid)
    head = filled(largest_component(head), closing_mm=11.0)
    if mr_head_mask is not None:
        head = _near_mr_head(head, tissue, mr_head_mask)
    return on_grid_of(ct, head)


def _near_mr_head(head: sitk.Image, tissue: sitk.Image, mr_head_mask: sitk.Image) -> sitk.Image:
    """The head less thin layers more than 4 mm outside the MR's head, and with the tissue inside that (ears).

    Thick parts stay: there the MR has lost its signal (metal in the teeth, the end of the coil), not the CT its way. So
    do small ones: ears are dark in some sequences, and sheets of plastic spread wider.
    """
    grid = Grid.of(head)
    known = known_region(mr_head_mask, grid)
    in_mr = resample(mr_head_mask, grid, interpolation="nearest")
    near = dilated(in_mr, 4.0)
    beyond = head & (near == 0) & known
    thick = dilated(eroded(beyond, 5.0), 5.0 + max(grid.spacing_mm_xyz))
    layers = _wider_than(beyond & (thick == 0), 80.0)
    trimmed = (head & (layers == 0)) | (tissue & in_mr)
    overlap = sitk.GetArrayFromImage(head & near).sum() / max(1, sitk.GetArrayFromImage(head & known).sum())
    return trimmed if overlap > 0.85 else head  # less: the two are not aligned, and the MR says nothing about the CT


def _wider_than(mask: sitk.Image, extent_mm: float) -> sitk.Image:
    """The pieces of a mask whose bounding box is longer than ``extent_mm``."""
    labels = sitk.ConnectedComponent(mask)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(labels)
    small = [
        label
        for label in shapes.GetLabels()
        if np.multiply(shapes.GetBoundingBox(label)[3:], labels.GetSpacing()).max() <= extent_mm
    ]
    return sitk.Cast(sitk.ChangeLabel(labels, dict.fromkeys(small, 0)) != 0, sitk.sitkUInt8)
