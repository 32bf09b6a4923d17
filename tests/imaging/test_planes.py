"""Slices of one plane as slices of another: the same voxels, each where a slice grid of that plane has it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import head_truth, make_grid, points_mm, smooth_hu

from synthct.imaging.geometry import Grid, resample, slice_grid
from synthct.imaging.planes import BODY_AXES, PLANE_AXES, PLANE_ORIENTATION, left_right_axis, turned

PLANES = list(PLANE_ORIENTATION)
PAIRS = list(product(PLANES, PLANES))
SPACING_MM = {"sagittal": (4.0, 3.0, 3.5), "axial": (3.0, 3.5, 4.0), "coronal": (3.5, 3.0, 4.0)}
HEADS = {
    "upright": make_grid((50, 62, 62), (4, 4, 4), "LPS"),
    "tilted and permuted": make_grid((50, 62, 62), (4, 4, 4), "SRA", (12, -9, 17), centre_mm=(30, -200, 90)),
}


def grid_of(plane: str, head: Grid) -> Grid:
    mask = head_truth(head, centre_mm=tuple(head.point((np.array(head.size_xyz) - 1) / 2)))
    return slice_grid(mask, mask, plane=plane, spacing_mm=SPACING_MM[plane], slice_size=(64, 64))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_the_axes_of_every_plane_are_those_that_its_orientation_names():
    assert PLANE_AXES == {"sagittal": (0, 2, 1), "axial": (2, 1, 0), "coronal": (1, 2, 0)}
    for plane, orientation in PLANE_ORIENTATION.items():
        assert all(side in BODY_AXES[axis] for side, axis in zip(reversed(orientation), PLANE_AXES[plane]))


@pytest.mark.parametrize(("plane", "other"), PAIRS)
@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_there_and_back_is_the_same_array_and_nothing_is_copied(plane, other, leading):
    array = np.arange(np.prod([*leading, 3, 4, 5])).reshape(*leading, 3, 4, 5)
    there = turned(array, plane, other)
    assert np.shares_memory(there, array)
    assert there.shape[: len(leading)] == leading and sorted(there.shape[-3:]) == [3, 4, 5]
    np.testing.assert_array_equal(turned(there, other, plane), array)
    if plane == other:
        np.testing.assert_array_equal(there, array)


@pytest.mark.parametrize(("plane", "over", "other"), list(product(PLANES, PLANES, PLANES)))
def test_a_detour_over_a_third_plane_changes_nothing(plane, over, other):
    array = np.arange(60).reshape(3, 4, 5)
    np.testing.assert_array_equal(turned(turned(array, plane, over), over, other), turned(array, plane, other))


@pytest.mark.parametrize(("plane", "other"), PAIRS)
@pytest.mark.parametrize("head", list(HEADS))
def test_turned_slices_run_along_the_axes_of_a_slice_grid_of_that_plane(plane, other, head):
    there = turned(points_mm(grid_of(plane, HEADS[head])), plane, other)  # a coordinate field: 3 x (slices, rows, cols)
    slices, rows, cols = (np.take(there, 1, axis) - np.take(there, 0, axis) for axis in (1, 2, 3))
    wanted = grid_of(other, HEADS[head]).axes.T  # along (cols, rows, slices)
    for step, axis in zip((cols, rows, slices), wanted):
        np.testing.assert_allclose(unit(step.reshape(3, -1).mean(axis=1)), axis, atol=1e-6)


@pytest.mark.parametrize(("plane", "other"), PAIRS)
@pytest.mark.parametrize("head", list(HEADS))
def test_turned_slices_are_those_that_would_be_resampled_in_that_plane(plane, other, head):
    grid = grid_of(plane, HEADS[head])
    field = HEADS[head].place(smooth_hu(points_mm(HEADS[head])).astype(np.float32))
    there = turned(sitk.GetArrayFromImage(resample(field, grid, outside=-1000)), plane, other)
    # The same voxels as a grid of the other plane: its axes, from the first turned voxel.
    along = dict(zip(PLANE_AXES[plane], reversed(grid.spacing_mm_xyz)))
    same_voxels = Grid(
        tuple(reversed(there.shape)),
        tuple(along[axis] for axis in reversed(PLANE_AXES[other])),
        tuple(map(float, turned(points_mm(grid), plane, other)[:, 0, 0, 0])),
        grid_of(other, HEADS[head]).direction,
    )
    directly = sitk.GetArrayFromImage(resample(field, same_voxels, outside=-1000))
    known = (there > -900) & (directly > -900)
    assert known.mean() > 0.3
    np.testing.assert_allclose(there[known], directly[known], atol=1.0)


def test_left_and_right_lie_along_the_cols_of_axial_and_coronal_slices_and_across_sagittal_ones():
    assert {plane: left_right_axis(plane) for plane in PLANES} == {"sagittal": None, "axial": -1, "coronal": -1}
