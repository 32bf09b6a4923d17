"""The trivial sCT that knows what a head is but does not look inside the MR: the median CT of the training patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.evenly import evenly_spread
from synthct.imaging.coding import AIR_HU
from synthct.imaging.geometry import Grid, resample, slice_grid
from synthct.imaging.planes import PLANE_ORIENTATION, Plane
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.tuples import triple_of

MAX_PATIENTS = 24  # more change the median little and take memory
COARSEST_MM = 2.0  # an average of many heads shows nothing finer
NONE_THERE = np.iinfo(np.int16).max  # sorts last


@dataclass(frozen=True, eq=False)
class AverageHead:
    """Voxel-wise median CT of some patients in the frame of the cached slices, which is that of the head.

    Attributes:
        hu: int16 (slices, rows, cols).
        plan: the preprocessing whose frame it is.
        step: voxels of the frame that became one of ``hu``, along each axis.
    """

    hu: np.ndarray
    plan: PreprocessingPlan
    step: tuple[int, int, int]

    def on(self, grid: Grid, head: sitk.Image) -> np.ndarray:
        """The average laid on a patient by the frame of the head; float32 HU (z, y, x) of ``grid``, air around it.

        Args:
            grid: of the result, along the axes of the MR.
            head: uint8 on that grid, 1 in the patient's head.
        """
        if not sitk.GetArrayViewFromImage(head).any():
            return np.full(grid.array_shape, AIR_HU, np.float32)
        frame = slice_grid(
            head,
            head,
            plane=self.plan.slice_plane,
            spacing_mm=self.plan.network_spacing_mm,
            slice_size=self.plan.slice_size,
        )
        own_shape = np.multiply(self.hu.shape, self.step)
        first = [
            (size - own) / 2 if keep is None else (0.0 if keep == 0 else float(size - own))
            for size, own, keep in zip(frame.array_shape, own_shape, _top(self.plan.slice_plane))
        ]
        step_xyz = np.array(self.step)[::-1]
        axes = np.reshape(frame.direction, (3, 3))
        # The middle of a block of voxels; the frame's origin is the middle of its first voxel.
        origin = frame.origin_mm + axes @ ((np.array(first)[::-1] + (step_xyz - 1) / 2) * frame.spacing_mm_xyz)
        placed = replace(
            frame,
            size_xyz=self.hu.shape[::-1],
            spacing_mm_xyz=triple_of(map(float, np.multiply(frame.spacing_mm_xyz, step_xyz))),
            origin_mm=triple_of(map(float, origin)),
        ).place(self.hu.astype(np.float32))
        return sitk.GetArrayFromImage(resample(placed, grid, outside=AIR_HU))


def average_head(slices: Path, patients: Sequence[str], plan: PreprocessingPlan) -> AverageHead | None:
    """The median over the heads of these patients that reach a voxel; the overall median where none does.

    Args:
        slices: the folder of the patients' cached slices.
        patients: at most :data:`MAX_PATIENTS` of them, evenly spread, are taken; those without a CT are passed over.
        plan: that the slices were made by.

    Returns:
        None where none of them has a CT.

    Raises:
        PlanError: a patient's slices are missing or damaged.
    """
    chosen = evenly_spread(patients, MAX_PATIENTS)
    step = triple_of(max(1, int(COARSEST_MM / mm)) for mm in plan.network_spacing_mm)
    cts = [ct for patient in chosen if (ct := _coarse_ct(cached_path(slices, patient), step)) is not None]
    if not cts:
        return None
    shape = np.max([ct.shape for ct in cts], axis=0)
    top = _top(plan.slice_plane)
    heads = np.stack([_in_shape(ct, shape, top) for ct in cts])
    heads.sort(axis=0)
    n = (heads != NONE_THERE).sum(axis=0)
    median = np.take_along_axis(heads, np.maximum(n - 1, 0)[None] // 2, axis=0)[0]
    median[n == 0] = np.median(heads[heads != NONE_THERE])
    return AverageHead(median, plan, step)


def _coarse_ct(path: Path, step: tuple[int, int, int]) -> np.ndarray | None:
    """Every ``step``-th voxel near the middle of its block; int16 (slices, rows, cols), NONE_THERE outside the head."""
    stack = SliceStack.load(path)
    if stack.ct is None:
        return None
    ct = stack.ct[stack.info.get("mr_slices", 0) :]  # of scans that are not aligned, the MR's slices come first
    ct = ct[tuple(slice((stride - 1) // 2, None, stride) for stride in step)]
    return np.where(ct == OUTSIDE, np.int16(NONE_THERE), ct)


def _top(plane: Plane) -> list[int | None]:
    """For each axis of an array in this plane: where the top of the head is, 0 or -1; None across the body."""
    ends = {"I": 0, "S": -1}  # of an axis that runs to the feet, and to the vertex
    return [ends.get(side) for side in PLANE_ORIENTATION[plane][::-1]]


def _in_shape(array: np.ndarray, shape: Sequence[int], top: Sequence[int | None]) -> np.ndarray:
    """Padded to a larger shape: below the neck along the body, on both sides across it."""
    pad = []
    for size, wanted, keep in zip(array.shape, shape, top):
        more = int(wanted) - size
        before = more // 2 if keep is None else (0 if keep == 0 else more)
        pad.append((before, more - before))
    return np.pad(array, pad, constant_values=NONE_THERE)
