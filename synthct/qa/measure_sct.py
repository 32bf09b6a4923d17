"""What quality assurance measures in a prediction: the HU of the sCT, and how sure its networks are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthct.imaging.planes import Plane
from synthct.planning.plan import PreprocessingPlan
from synthct.qa.mr_facts import QUANTILES, MrFacts

AIR_BELOW_HU, BONE_ABOVE_HU = -200.0, 250.0
UPPER_MM = 160.0  # of the head, from the vertex downwards: how much neck there is does not count


@dataclass(frozen=True)
class HuFacts:
    """HU inside the upper head, clipped to the range of the model; of an sCT or of a CT."""

    air: float  # share below AIR_BELOW_HU
    soft: float
    bone: float  # share above BONE_ABOVE_HU
    quantiles_hu: tuple[float, ...]  # at QUANTILES


@dataclass(frozen=True)
class OutputFacts:
    """What was measured in a prediction. None where there is no second fold, no way back to MR, or no bone."""

    hu: HuFacts
    n_folds: int
    uncertainty_head_hu: float | None  # mean SD over the folds
    uncertainty_bone_hu: float | None
    cycle_error_head: float | None  # mean |reconstructed MR - MR|, percent of the MR window
    cycle_error_bone: float | None


@dataclass(frozen=True)
class Measurements:
    """All that was measured of one patient."""

    mr: MrFacts
    output: OutputFacts | None


def measure_hu(hu: np.ndarray, head: np.ndarray, plan: PreprocessingPlan, hu_range: tuple[float, float]) -> HuFacts:
    """The HU facts of slices.

    Args:
        hu: (slices, rows, cols) on a slice grid of the plan.
        head: bool, the voxels that count.
        plan: whose slice plane and spacing hold.
        hu_range: the HU that the model can show, to which they are clipped.

    Raises:
        ValueError: no voxel counts.
    """
    counted = np.clip(hu[upper_part(head, plan.slice_plane, plan.network_spacing_mm)], *hu_range)
    if counted.size == 0:
        raise ValueError("the head mask is empty")
    air, bone = float((counted < AIR_BELOW_HU).mean()), float((counted > BONE_ABOVE_HU).mean())
    quantiles = tuple(round(float(value), 1) for value in np.quantile(counted, QUANTILES))
    return HuFacts(round(air, 4), round(1 - air - bone, 4), round(bone, 4), quantiles)


def upper_part(head: np.ndarray, plane: Plane, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """The uppermost ``UPPER_MM`` of a head in slices (slices, rows, cols); bool.

    Axial slices are numbered from foot to head; the first rows of the others are the uppermost.
    """
    axis, down = (0, -1) if plane == "axial" else (1, 1)
    shown = np.moveaxis(head, axis, 0)[::down]
    occupied = np.flatnonzero(shown.any(axis=(1, 2)))
    upper = np.zeros_like(shown)
    if occupied.size:
        part = slice(occupied[0], occupied[0] + max(1, round(UPPER_MM / spacing_mm[axis])))
        upper[part] = shown[part]
    return np.moveaxis(upper[::down], 0, axis)


def measure_output(
    hu: np.ndarray,
    head: np.ndarray,
    plan: PreprocessingPlan,
    hu_range: tuple[float, float],
    *,
    n_folds: int = 1,
    spread_hu: np.ndarray | None = None,
    cycle_error: np.ndarray | None = None,
) -> OutputFacts:
    """The facts of a prediction; arrays (slices, rows, cols).

    Args:
        hu: of the sCT.
        head: bool.
        plan: the preprocessing in force.
        hu_range: the HU that the model can show.
        n_folds: that were combined.
        spread_hu: SD over the folds.
        cycle_error: percent of the MR's range; NaN in slices that did not go back to MR.
    """
    bone = head & (hu > BONE_ABOVE_HU)
    known = head if cycle_error is None else head & np.isfinite(cycle_error)
    return OutputFacts(
        hu=measure_hu(hu, head, plan, hu_range),
        n_folds=n_folds,
        uncertainty_head_hu=mean_inside(spread_hu, head),
        uncertainty_bone_hu=mean_inside(spread_hu, bone),
        cycle_error_head=mean_inside(cycle_error, known),
        cycle_error_bone=mean_inside(cycle_error, known & bone),
    )


def mean_inside(values: np.ndarray | None, where: np.ndarray) -> float | None:
    """Mean of the values where ``where``; None of no values."""
    if values is None or not where.any():
        return None
    return round(float(values[where].mean(dtype=np.float64)), 3)
