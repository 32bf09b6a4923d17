"""The sagittal slice of a scored patient that the figures show: what was scored, cropped to the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from acvl_utils.cropping_and_padding.bounding_boxes import bounding_box_to_slice, get_bbox_from_mask, pad_bbox

from synthct.imaging.geometry import reorient

# Share of the way through the head from right to left: beside the midline, so that a ventricle is cut and not the gap
# between the hemispheres.
SLICE_POSITION = 0.44
_MARGIN_MM = 12.0  # air to leave around the head


@dataclass(frozen=True)
class SagittalSlice:
    """One slice; arrays (rows, cols), rows from superior to inferior, cols from anterior to posterior.

    Attributes:
        spacing_mm: (rows, cols).
        mr: float32 scanner units; None where there is no MR.
        mr_range: the scanner units to show as black and white.
        ct_hu: float32 reference CT; NaN outside its field of view.
        mask: bool, the voxels that were scored.
        sct_hu: float32 sCT by model label.
    """

    patient: str
    spacing_mm: tuple[float, float]
    mr: np.ndarray | None
    mr_range: tuple[float, float]
    ct_hu: np.ndarray
    mask: np.ndarray
    sct_hu: dict[str, np.ndarray]


def cut_sagittal(
    patient: str,
    *,
    mask: sitk.Image,
    ct_hu: sitk.Image,
    ct_known: sitk.Image,
    sct_hu: dict[str, sitk.Image],
    mr: sitk.Image | None,
) -> SagittalSlice:
    """Cut the slice at :data:`SLICE_POSITION` of the scored region.

    All images lie on one grid of any orientation; axes are permuted and flipped, nothing is interpolated.

    Raises:
        ValueError: the mask is empty.
    """
    oriented = reorient(mask, "PIR")
    head = sitk.GetArrayFromImage(oriented) > 0
    occupied = np.flatnonzero(head.any(axis=(1, 2)))
    if occupied.size == 0:
        raise ValueError("the mask is empty")
    index = int(occupied[round(SLICE_POSITION * (len(occupied) - 1))])
    spacing_cols, spacing_rows, _ = oriented.GetSpacing()
    rows, cols = box_around(head[index], (spacing_rows, spacing_cols))
    # The same voxels in the image's own axes: cutting first spares turning whole volumes.
    corners = [(cols.start, rows.start, index), (cols.stop - 1, rows.stop - 1, index)]
    own = np.array(
        [mask.TransformPhysicalPointToIndex(oriented.TransformIndexToPhysicalPoint(corner)) for corner in corners]
    )
    start = [int(i) for i in own.min(axis=0)]
    size = [int(i) for i in own.max(axis=0) - own.min(axis=0) + 1]

    def cut(image: sitk.Image) -> np.ndarray:
        part = reorient(sitk.RegionOfInterest(image, size, start), "PIR")
        return sitk.GetArrayFromImage(part)[0].astype(np.float32)

    return SagittalSlice(
        patient=patient,
        spacing_mm=(spacing_rows, spacing_cols),
        mr=None if mr is None else cut(mr),
        mr_range=(0.0, 1.0) if mr is None else _grey_range(mr, mask),
        ct_hu=np.where(cut(ct_known) > 0, cut(ct_hu), np.nan).astype(np.float32),
        mask=cut(mask) > 0,
        sct_hu={label: cut(image) for label, image in sct_hu.items()},
    )


def _grey_range(mr: sitk.Image, mask: sitk.Image) -> tuple[float, float]:
    """From 0 (or what is darkest, where that is below) to nearly the brightest of the head."""
    values = sitk.GetArrayViewFromImage(mr)[sitk.GetArrayViewFromImage(mask) > 0]
    low, high = np.percentile(values, [0.5, 99.7])
    low = min(low, 0.0)
    return float(low), float(high if high > low else low + 1)


def box_around(head: np.ndarray, spacing_mm: tuple[float, float]) -> tuple[slice, slice]:
    """The bounding box of the head (rows, cols) with a margin, inside the slice."""
    margin = [round(_MARGIN_MM / spacing) for spacing in spacing_mm]
    box = get_bbox_from_mask(head[None])[1:]  # it takes volumes
    rows, cols = bounding_box_to_slice(pad_bbox(box, margin, head.shape))
    return rows, cols
