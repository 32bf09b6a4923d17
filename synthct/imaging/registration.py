"""Rigid registration of a patient's CT to the MR by mutual information (the paper's clinical procedure, section 2).

Mattes mutual information around the head, from coarse to fine and from several starts, computed by SimpleITK (Mattes et
al. 2003, IEEE TMI 22:120). The transform maps points of the MR (LPS, mm) to points of the CT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import block_means, mask_points

CT_RANGE_HU = (-1000.0, 1500.0)  # metal lies above, padding below
MR_PERCENTILES = (0.5, 99.5)  # inside the head
HISTOGRAM_BINS = 50
AROUND_HEAD_MM = 8.0  # of air around the MR's head is compared too, for the outline of the skin
START_ANGLE_DEG = 15.0
UPPER_HEAD_MM = 150.0  # from the vertex to the skull base, which no cut of the neck changes


@dataclass(frozen=True)
class Level:
    """A step from coarse to fine: blocks of about this size (mm), and how many of them are compared."""

    spacing_mm: float
    samples: int


SEARCH, N_SEARCHES = Level(6.0, 8_000), 6
CHOICE, N_CHOICES = Level(3.0, 40_000), 3
REFINEMENT = Level(1.0, 120_000)


@dataclass(frozen=True)
class HeadPair:
    """An MR and a CT in HU of one patient, each with the head in it (uint8, on the image's own grid).

    Where the MR's head was cut by a mask, ``within`` is that mask (uint8, on the MR's grid): heads are compared in it.
    """

    mr: sitk.Image
    mr_mask: sitk.Image
    ct: sitk.Image
    ct_mask: sitk.Image
    within: sitk.Image | None = None


def register_ct_to_mr(pair: HeadPair, *, seed: int = 0) -> sitk.Euler3DTransform:
    """The rigid transform under which MR and CT tell most of each other.

    Couch, holder and thermoplastic mask are taken out of the CT by its head mask. The fields of view may differ.

    Args:
        pair: whatever lies between the two: both scanners' coordinates, the centres of the heads and the middles of
            their upper parts are tried as starts, each also turned about every axis.
        seed: of the choice of voxels that are compared.

    Returns:
        From points of the MR to points of the CT; always a result, for :func:`alignment.alignment_of` to judge.
    """
    search, choice = (_Comparison(pair, level, seed) for level in (SEARCH, CHOICE))
    starts = sorted(_starts(pair), key=search.cost)[:N_SEARCHES]
    found = sorted((search.optimised(start) for start in starts), key=search.cost)[:N_CHOICES]
    chosen = min((choice.optimised(transform) for transform in found), key=choice.cost)
    return _Comparison(pair, REFINEMENT, seed).optimised(chosen)


def refine_registration(pair: HeadPair, start: sitk.Transform, *, seed: int = 0) -> sitk.Euler3DTransform:
    """The nearest optimum from a transform that is right within about a centimetre; see :func:`register_ct_to_mr`."""
    chosen = _Comparison(pair, CHOICE, seed).optimised(start)
    return _Comparison(pair, REFINEMENT, seed).optimised(chosen)


class _Comparison:
    """Mutual information of MR and CT at one level, negative, so that less is better."""

    def __init__(self, pair: HeadPair, level: Level, seed: int) -> None:
        self._mr = block_means(_mr_in_range(pair), level.spacing_mm)
        self._ct = block_means(_ct_without_couch(pair), level.spacing_mm)
        around_head = _around_head(pair.mr_mask, self._mr)
        n_voxels = int(sitk.GetArrayViewFromImage(around_head).sum())
        self._method = sitk.ImageRegistrationMethod()
        self._method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
        self._method.SetMetricSamplingStrategy(self._method.RANDOM)
        # Seed 0 would be the clock.
        self._method.SetMetricSamplingPercentage(min(1.0, level.samples / max(1, n_voxels)), seed + 1)
        self._method.SetMetricFixedMask(around_head)
        self._method.SetInterpolator(sitk.sitkLinear)
        # Gradients that are smoothed beforehand point away from the optimum where the skull is a few voxels thick.
        self._method.SetMetricUseFixedImageGradientFilter(False)
        self._method.SetMetricUseMovingImageGradientFilter(False)
        step_mm = level.spacing_mm / 2
        if level is SEARCH:  # far from the optimum gradients end in side valleys that a search along lines leaves
            self._method.SetOptimizerAsPowell(30, 40, 1.0, step_mm / 10, 1e-4)
        else:
            self._method.SetOptimizerAsRegularStepGradientDescent(
                step_mm, step_mm / 50, 100, relaxationFactor=0.85, gradientMagnitudeTolerance=1e-6
            )
        self._method.SetOptimizerScalesFromPhysicalShift()

    def cost(self, transform: sitk.Transform) -> float:
        self._method.SetInitialTransform(sitk.Euler3DTransform(transform), inPlace=False)
        try:
            return self._method.MetricEvaluate(self._mr, self._ct)
        except RuntimeError:  # no voxel lies inside the CT: they tell nothing of each other
            return 0.0

    def optimised(self, start: sitk.Transform) -> sitk.Euler3DTransform:
        """The nearest optimum; the start itself where MR and CT do not meet there."""
        transform = sitk.Euler3DTransform(start)
        self._method.SetInitialTransform(transform, inPlace=True)
        try:
            self._method.Execute(self._mr, self._ct)
        except RuntimeError:
            return sitk.Euler3DTransform(start)
        return transform


def _starts(pair: HeadPair) -> list[sitk.Euler3DTransform]:
    """As the scanners have it; centre of mass on centre of mass; upper head on upper head; each turned, too."""
    mr_upper, mr_centre = _upper_and_centre_mm(pair.mr_mask)
    ct_upper, ct_centre = _upper_and_centre_mm(pair.ct_mask)
    shifts = (np.zeros(3), ct_centre - mr_centre, ct_upper - mr_upper)
    angle = np.radians(START_ANGLE_DEG)
    turns = (np.zeros(3), *(sign * angle * axis for axis in np.eye(3) for sign in (-1, 1)))
    return [
        sitk.Euler3DTransform(mr_centre.tolist(), *map(float, turn), shift.tolist())
        for shift in shifts
        for turn in turns
    ]


def _upper_and_centre_mm(mask: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the box around the upper head, and the centre of mass."""
    points = mask_points(block_means(mask, SEARCH.spacing_mm) > 0.5)  # (n, 3)
    upper = points[points[:, 2] > points[:, 2].max() - UPPER_HEAD_MM]
    return (upper.min(axis=0) + upper.max(axis=0)) / 2, points.mean(axis=0)


def _mr_in_range(pair: HeadPair) -> sitk.Image:
    inside = sitk.GetArrayViewFromImage(pair.mr)[sitk.GetArrayViewFromImage(pair.mr_mask) > 0]
    low, high = np.percentile(inside, MR_PERCENTILES)
    return sitk.Clamp(pair.mr, sitk.sitkFloat32, float(low), float(high))


def _ct_without_couch(pair: HeadPair) -> sitk.Image:
    return sitk.Mask(sitk.Clamp(pair.ct, sitk.sitkFloat32, *CT_RANGE_HU), pair.ct_mask, CT_RANGE_HU[0])


def _around_head(mr_mask: sitk.Image, image: sitk.Image) -> sitk.Image:
    """uint8 on the grid of ``image``."""
    head = block_means(mr_mask, 3.0) > 0.5
    distance = sitk.SignedMaurerDistanceMap(head, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    near = sitk.Cast(distance <= AROUND_HEAD_MM, sitk.sitkUInt8)
    return sitk.Resample(near, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
