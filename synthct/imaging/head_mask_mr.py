"""The head in an MR: what is brighter than the air around, wherever the coil makes it bright or dim, and all within."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from skimage.filters import threshold_otsu

from synthct.imaging.geometry import bounding_box
from synthct.imaging.morphology import (
    WORKING_SPACING_MM,
    at_working_spacing,
    dilated,
    eroded,
    filled,
    large_components,
    largest_component,
    on_grid_of,
    smoothed,
    thin_head_parts,
)

BRIGHT_SHARE = 0.35  # of Otsu's threshold, which lies midway between air and tissue: surely tissue
DIM_SHARE = 0.06  # of Otsu's threshold: tissue far from the coil may be as dim, where nothing else is
MIN_SHARE = 0.38  # of the brightness of the tissue around
BIAS_MM = 25.0  # over which that brightness is averaged
BORDER_MM = 12.0  # of the image, where only ghosts and noise are looked for


def head_mask_from_mr(mr: sitk.Image) -> sitk.Image:
    """Head mask of a magnitude MR of any contrast, on the MR's own grid.

    The skull is dark on MR: it lies between the scalp and the brain and is closed over. Works at any intensity scale.

    Returns:
        uint8 image, 1 inside the head; empty where the image is constant.
    """
    image = _without_blank_borders(at_working_spacing(mr))
    low, high = np.percentile(sitk.GetArrayViewFromImage(image), (0.1, 99.5))
    if not high > low:
        return sitk.Cast(mr != mr, sitk.sitkUInt8)  # nothing to see
    smooth = smoothed(image, 0.75 * WORKING_SPACING_MM)  # background noise is not tissue
    values = np.clip(sitk.GetArrayViewFromImage(smooth), low, high)
    otsu = float(threshold_otsu(values.ravel()))
    air, noise = _air(values, low, otsu)
    brightness = sitk.Cast((smooth - air) / (otsu - air), sitk.sitkFloat32)
    faintest = max(5.0 * noise / (otsu - air), DIM_SHARE, min(2.5 * _ghosts(brightness[::3, ::3, ::3]), BRIGHT_SHARE))
    seen = brightness > faintest
    tissue = seen & (brightness > _brightness_around(brightness, seen) * MIN_SHARE)
    # Skull and sinuses are dark and part scalp from brain: they are closed over before anything thin is taken off.
    whole = largest_component(filled(large_components(tissue, 0.02), closing_mm=10.0))
    core = largest_component(eroded(whole, 4.0))
    solid = dilated(core, 4.0 + 1.5 * max(whole.GetSpacing())) & whole
    return on_grid_of(mr, largest_component((dilated(solid, 3.0) & whole) | thin_head_parts(whole, solid)))


def _without_blank_borders(image: sitk.Image) -> sitk.Image:
    """The part that has values: what a resampling or a scanner left blank around it is neither air nor noise."""
    seen = image > float(sitk.GetArrayViewFromImage(image).min())
    if not sitk.GetArrayViewFromImage(seen).any():
        return image
    box = bounding_box(seen)
    return sitk.RegionOfInterest(image, (box[:, 1] - box[:, 0]).tolist(), box[:, 0].tolist())


def _air(values: np.ndarray, low: float, otsu: float) -> tuple[float, float]:
    """Commonest value in the darker half, and the spread of what is darker than it: air alone, whatever else is dim.

    Blank borders, a minority of exact values below all noise, hardly move a median.
    """
    top = low + 0.5 * (otsu - low)
    dark = values[values < top]
    counts, edges = np.histogram(dark, 256, (low, top))
    commonest = int(np.convolve(counts, np.ones(5), "same").argmax())
    air = (edges[commonest] + edges[commonest + 1]) / 2
    below = dark[dark < air]
    return air, 1.48 * float(np.median(air - below)) if below.size else 0.0


def _ghosts(brightness: sitk.Image) -> float:
    """The brightest that motion and wrapped tissue make in the air at the front, back and side borders of the image.

    Ghosts run through the whole width of the image, so that they are met there too; dim tissue of the neck is not.
    """
    head = dilated(largest_component(brightness > BRIGHT_SHARE), 20.0)
    near_border = sitk.GetArrayFromImage(head) == 0
    body_axis = int(np.abs(np.reshape(brightness.GetDirection(), (3, 3))[2]).argmax())
    inner = [slice(None)] * 3
    for axis, spacing in enumerate(brightness.GetSpacing()):
        if axis != body_axis:
            width = round(BORDER_MM / spacing)
            inner[2 - axis] = slice(width, brightness.GetSize()[axis] - width)
    near_border[tuple(inner)] = False
    values = sitk.GetArrayViewFromImage(brightness)[near_border]
    if values.size < 0.01 * near_border.size:
        return BRIGHT_SHARE / 4  # the head fills the image, and nothing is known of ghosts
    return float(np.percentile(values, 99.5))


def _brightness_around(brightness: sitk.Image, tissue: sitk.Image) -> sitk.Image:
    """Mean brightness of the tissue within some centimetres: what the coils make of tissue at each place."""
    weight = sitk.Cast(tissue, sitk.sitkFloat32)
    total = smoothed(sitk.Clamp(brightness, upperBound=8.0) * weight, BIAS_MM)
    return sitk.Cast(total / (smoothed(weight, BIAS_MM) + 1e-3), sitk.sitkFloat32)
