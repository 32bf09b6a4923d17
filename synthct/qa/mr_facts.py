"""What quality assurance measures in an MR before any network sees it; none of it depends on the scanner's scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from synthct.imaging.geometry import (
    CRANIUM_MM,
    block_means,
    bounding_box,
    image_like,
    oblique_degrees,
    orientation_code,
    reorient,
)
from synthct.imaging.head_mask import mask_flags, volume_litres
from synthct.qa.silhouette import silhouette_of
from synthct.tuples import pair_of, triple_of

COARSE_MM = 3.0  # voxels in which all but noise and intensities is measured
DEEP_MM = 22.0  # below the skin: inside the skull of every head
DEPTH_EDGES_MM = (0.0, 4.0, 8.0, 12.0, 17.0, 24.0, 36.0)  # scalp, skull, surface of the brain, white matter
QUANTILES = (0.005, 0.025, *(step / 20 for step in range(1, 20)), 0.975, 0.995)
NOISE_CUBE_MM = 60.0
BACKGROUND_MM = 15.0  # away from the skin
Millimetres = tuple[float, float, float]  # LR, AP, SI


@dataclass(frozen=True)
class ChannelFacts:
    """Intensities of one MR channel inside the head. Ratios are to the median of the head, if not said otherwise."""

    median: float  # scanner units
    brightest: float  # 99.5th percentile, scanner units
    quantiles: tuple[float, ...]  # ratios, at QUANTILES
    depth_profile: tuple[float, ...]  # of the cranium: medians between DEPTH_EDGES_MM below the skin, ratios
    brain_dark: float  # 5th percentile of the deep cranium, ratio to its median: on T1 cerebrospinal fluid
    brain_bright: float  # 95th percentile, likewise: on T2 cerebrospinal fluid
    noise: float  # SD from voxel to voxel deep in the cranium, ratio to the median there
    background: float  # 95th percentile outside the head, ratio: noise and ghosts
    shading: float  # brightest over darkest octant of the deep cranium: bias field


@dataclass(frozen=True)
class MrFacts:
    """What was measured in an MR and its head mask. Triples run LR, AP, SI of the body."""

    orientation: str  # as stored, towards which the axes run
    oblique_deg: float
    spacing_mm: Millimetres
    field_of_view_mm: Millimetres
    head_volume_l: float
    cranium_size_mm: tuple[float, float]  # LR, AP, of the uppermost CRANIUM_MM
    mask_flags: tuple[str, ...]  # what makes the head mask doubtful
    silhouette: tuple[tuple[int, ...], ...]  # mm of head along left-right, see silhouette_of
    channels: tuple[ChannelFacts, ...]


def measure_mr(mr: Sequence[sitk.Image], head_mask: sitk.Image, scanned: sitk.Image) -> MrFacts:
    """The facts of an MR; takes about a second for 183 x 288 x 288 voxels.

    Args:
        mr: the channels, scanner units, on one grid.
        head_mask: uint8 on that grid, not empty.
        scanned: uint8 on that grid, 0 in padding that the scanner has not seen.
    """
    mask = reorient(head_mask, "LPS")
    spacing, size = mask.GetSpacing(), mask.GetSize()
    coarse_mask = block_means(mask, COARSE_MM) >= 0.5
    if not sitk.GetArrayViewFromImage(coarse_mask).any():
        coarse_mask = block_means(mask, COARSE_MM) > 0  # a few voxels
    depth = _depth_mm(coarse_mask)
    seen = sitk.GetArrayFromImage(block_means(reorient(scanned, "LPS"), COARSE_MM)) > 0.99
    cranium = _cranium(coarse_mask)
    low, end = bounding_box(image_like(coarse_mask, cranium.astype(np.uint8))).T
    extent_mm = (end - low) * coarse_mask.GetSpacing()
    return MrFacts(
        orientation=orientation_code(mr[0]),
        oblique_deg=round(oblique_degrees(mr[0]), 1),
        spacing_mm=triple_of(_rounded(spacing, 3)),
        field_of_view_mm=triple_of(_rounded(np.multiply(size, spacing), 1)),
        head_volume_l=round(volume_litres(head_mask), 3),
        cranium_size_mm=pair_of(_rounded(extent_mm[:2], 1)),
        mask_flags=mask_flags(head_mask),
        silhouette=silhouette_of(coarse_mask),
        channels=tuple(_channel(reorient(channel, "LPS"), mask, coarse_mask, depth, cranium, seen) for channel in mr),
    )


def _channel(
    image: sitk.Image,
    mask: sitk.Image,
    coarse_mask: sitk.Image,
    depth: np.ndarray,
    cranium: np.ndarray,
    seen: np.ndarray,
) -> ChannelFacts:
    every = tuple(slice(None, None, max(1, round(2.0 / s))) for s in image.GetSpacing()[::-1])
    inside = sitk.GetArrayViewFromImage(image)[every][sitk.GetArrayViewFromImage(mask)[every] > 0].astype(np.float64)
    if inside.size == 0:
        inside = sitk.GetArrayViewFromImage(image)[sitk.GetArrayViewFromImage(mask) > 0].astype(np.float64)
    median = float(np.median(inside))
    unit = max(abs(median), 1e-6 * float(np.abs(inside).max()), 1e-12)
    coarse = sitk.GetArrayFromImage(block_means(image, COARSE_MM)) / unit
    deep = cranium & (depth > DEEP_MM)
    if not deep.any():
        deep = cranium
    level = float(np.median(coarse[deep]))
    safe = level if abs(level) > 1e-6 else 1.0
    dark, bright = np.percentile(coarse[deep], (5, 95)) / safe
    air = seen & (depth < -BACKGROUND_MM)
    bands = [cranium & (depth >= a) & (depth < b) for a, b in zip(DEPTH_EDGES_MM, (*DEPTH_EDGES_MM[1:], np.inf))]
    return ChannelFacts(
        median=_short(median),
        brightest=_short(float(np.percentile(inside, 99.5))),
        quantiles=tuple(round(float(q), 4) for q in np.quantile(inside, QUANTILES) / unit),
        depth_profile=tuple(round(float(np.median(coarse[band])), 4) if band.any() else 0.0 for band in bands),
        brain_dark=round(float(dark), 4),
        brain_bright=round(float(bright), 4),
        noise=round(_noise(image, deep, coarse_mask) / max(abs(level * unit), 1e-12), 5),
        background=round(float(np.percentile(coarse[air], 95)), 5) if air.any() else 0.0,
        shading=round(_shading(coarse, deep), 4),
    )


def _noise(image: sitk.Image, deep: np.ndarray, coarse: sitk.Image) -> float:
    """SD of what differs from voxel to voxel in the middle of the brain, scanner units; the least over the axes.

    Of second differences along an axis, which a slope leaves at 0: their median absolute deviation, by sqrt(6).
    """
    centre = coarse.TransformContinuousIndexToPhysicalPoint(ndimage.center_of_mass(deep)[::-1])
    index = np.round(image.TransformPhysicalPointToContinuousIndex(centre)).astype(int)
    half = np.maximum(2, np.round(NOISE_CUBE_MM / 2 / np.array(image.GetSpacing()))).astype(int)
    start, stop = np.maximum(index - half, 0), np.minimum(index + half + 1, image.GetSize())
    cube = sitk.GetArrayViewFromImage(image)[tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1]))]
    values = cube.astype(np.float64)
    differences = [np.diff(values, 2, axis=axis) for axis in range(3) if values.shape[axis] >= 3]
    spreads = [
        1.4826 * float(np.median(np.abs(difference))) / np.sqrt(6) for difference in differences if difference.size
    ]
    return float(min(spreads, default=0.0))


def _shading(coarse: np.ndarray, deep: np.ndarray) -> float:
    """The brightest over the darkest of the eight octants around the middle of the deep cranium, by medians."""
    where = np.indices(deep.shape)
    middle = np.array(ndimage.center_of_mass(deep)).reshape(3, 1, 1, 1)
    octant = ((where >= middle) * np.array([4, 2, 1]).reshape(3, 1, 1, 1)).sum(0)
    medians = [float(np.median(coarse[deep & (octant == i)])) for i in range(8) if (deep & (octant == i)).any()]
    return max(medians) / max(min(medians), 0.01 * max(*medians, 1e-6)) if len(medians) > 1 else 1.0


def _depth_mm(mask: sitk.Image) -> np.ndarray:
    """Depth below the skin, negative outside (z, y, x); a border of the image is not skin."""
    return -sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    )


def _cranium(mask: sitk.Image) -> np.ndarray:
    """The uppermost part of the head (z, y, x)."""
    head = sitk.GetArrayFromImage(mask).astype(bool)
    top = int(bounding_box(mask)[2, 1])
    head[: max(0, top - round(CRANIUM_MM / mask.GetSpacing()[2]))] = False
    return head


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _rounded(values: Sequence[float], digits: int) -> tuple[float, ...]:
    return tuple(round(float(value), digits) for value in values)
