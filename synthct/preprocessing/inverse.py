"""The way back: network output on the slice grid -> HU on the MR's own grid."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid, resample
from synthct.imaging.intensity import from_grey_levels, from_network
from synthct.planning.plan import PreprocessingPlan

OUTSIDE_HEAD_HU = -1000


def slices_to_hu(network_output: np.ndarray, plan: PreprocessingPlan) -> np.ndarray:
    """[-1, 1] -> HU over the plan's CT window; float32, same shape, not rounded to grey levels."""
    return from_grey_levels(from_network(network_output, plan.grey_levels), plan.ct_window_hu, plan.grey_levels)


def volume_from_slices(hu: np.ndarray, grid: Grid, head_mask: sitk.Image) -> sitk.Image:
    """Put slices back into space.

    Args:
        hu: float32 (slices, rows, cols) on ``grid``.
        grid: the slice grid.
        head_mask: uint8 on the wanted grid; outside it the result is -1000 HU.

    Returns:
        int16 HU with exactly the geometry of ``head_mask``.
    """
    placed = grid.place(np.asarray(hu, np.float32))
    volume = sitk.GetArrayFromImage(resample(placed, Grid.of(head_mask), outside=OUTSIDE_HEAD_HU))
    volume[sitk.GetArrayViewFromImage(head_mask) == 0] = OUTSIDE_HEAD_HU
    # Copied, not computed: a prediction must carry the MR's origin and direction to the last bit.
    result = sitk.GetImageFromArray(np.rint(volume).astype(np.int16))
    result.CopyInformation(head_mask)
    return result
