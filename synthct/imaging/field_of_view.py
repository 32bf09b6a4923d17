"""What a scanner has seen of a volume: padding around it is unknown, not air."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from synthct.imaging.geometry import Grid, image_like, resample

CT_TISSUE_HU = -400.0  # between air and skin
MR_TISSUE_SHARE = 0.05  # of the way from an MR's dimmest voxels, in noise, to the brightest tissue
MR_PERCENTILES = (1.0, 99.0)  # of the intensities above the lowest


def scanned_region(image: sitk.Image, *, tissue: float | None = None) -> sitk.Image:
    """1 where the scanner has seen, 0 in padding; uint8 on the image's grid.

    Padding has the image's lowest value and, along none of the three axes, anything else on both sides: the border of a
    volume that was turned or enlarged, the corners around a reconstruction's round field of view. Sinuses and the air
    below a chin have the head on both sides. An MR's background that was set to 0, or the air of a CT that was clipped,
    looks alike, but borders on skin; padding borders mostly on noise.

    Args:
        image: an MR in scanner units or a CT in HU.
        tissue: what lies above it is not air: ``CT_TISSUE_HU``; for an MR it is estimated.
    """
    values = sitk.GetArrayViewFromImage(image)
    above_lowest = values > values.min()
    seen = above_lowest.copy()
    for axis in range(3):
        before = np.logical_or.accumulate(above_lowest, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(above_lowest, axis), axis), axis)
        seen |= before & after
    if not seen.any():
        seen[:] = True  # an image of one value
    elif not seen.all():
        if tissue is None:
            dimmest, brightest = np.percentile(values[above_lowest], MR_PERCENTILES)
            tissue = dimmest + MR_TISSUE_SHARE * (brightest - dimmest)
        beside_padding = values[ndimage.binary_dilation(~seen) & seen]
        if (beside_padding >= tissue).mean() > 0.5:
            seen[:] = True
    return image_like(image, seen.astype(np.uint8))


def scanned_on(region: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> np.ndarray:
    """Where ``grid`` lies inside a scanned region, with all voxels that linear interpolation takes; bool (z, y, x).

    ``transform`` maps points of the grid to points of the region; identity by default.
    """
    inside = resample(region, grid, interpolation="linear", outside=0, transform=transform)
    return sitk.GetArrayFromImage(inside) > 0.999


def with_padding_as(image: sitk.Image, region: sitk.Image, value: float) -> sitk.Image:
    """The image with ``value`` outside its scanned region, so that smoothing brings no padding in; float32."""
    return sitk.Mask(sitk.Cast(image, sitk.sitkFloat32), region, value)
