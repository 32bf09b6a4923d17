"""The way back: HU on the slice grid -> HU on the MR's own grid."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.coding import AIR_HU, HU_LIMITS
from synthct.imaging.geometry import Grid, image_like, resample


def volume_from_slices(hu: np.ndarray, grid: Grid, head_mask: sitk.Image) -> sitk.Image:
    """Put slices back into space.

    Args:
        hu: float32 (slices, rows, cols) on ``grid``.
        grid: the slice grid.
        head_mask: uint8 on the wanted grid; outside it the result is -1000 HU.

    Returns:
        int16 HU with exactly the geometry of ``head_mask``; clipped to the range of int16.
    """
    placed = np.clip(np.rint(_in_head(hu, grid, head_mask, AIR_HU)), *HU_LIMITS)
    return image_like(head_mask, placed.astype(np.int16))


def map_from_slices(values: np.ndarray, grid: Grid, head_mask: sitk.Image) -> sitk.Image:
    """As :func:`volume_from_slices`, of values such as an uncertainty: float32 in tenths, 0 outside the head.

    It is interpolated once, as the sCT is.
    """
    tenths = np.rint(_in_head(values, grid, head_mask, 0.0) * 10) / 10  # a third of the size when compressed
    return image_like(head_mask, tenths.astype(np.float32))


def _in_head(values: np.ndarray, grid: Grid, head_mask: sitk.Image, outside: float) -> np.ndarray:
    placed = grid.place(np.asarray(values, np.float32))
    volume = sitk.GetArrayFromImage(resample(placed, Grid.of(head_mask), outside=outside))
    volume[sitk.GetArrayViewFromImage(head_mask) == 0] = outside
    return volume
