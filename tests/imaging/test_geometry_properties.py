"""Whatever a grid's orientation, obliqueness, spacing, origin and size: the ways there and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import permutations, product

import numpy as np
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from synthetic_heads import make_grid

from synthct.imaging.axial import axial_grid, on_axial_grid
from synthct.imaging.coding import GreyLevels
from synthct.imaging.geometry import Grid, known_region, reorient, resample, slice_grid
from synthct.imaging.planes import PLANE_ORIENTATION
from synthct.preprocessing.inverse import volume_from_slices

ORIENTATIONS = ["".join(sides) for axes in permutations(("LR", "AP", "IS")) for sides in product(*axes)]
spacings = st.floats(0.3, 6.0)
tilts = st.tuples(*[st.integers(-20_000, 20_000).map(lambda thousandths: thousandths / 1000)] * 3)  # no 1e-313 degrees
grids = st.builds(
    make_grid,
    st.tuples(*[st.integers(4, 9)] * 3),
    st.tuples(*[spacings] * 3),
    st.sampled_from(ORIENTATIONS),
    tilts,
    st.tuples(*[st.floats(-1500, 1500)] * 3),
)
upright_grids = st.builds(
    make_grid,
    st.tuples(*[st.integers(4, 9)] * 3),
    st.tuples(*[spacings] * 3),
    st.sampled_from(ORIENTATIONS),
    st.just((0.0, 0.0, 0.0)),
    st.tuples(*[st.floats(-1500, 1500)] * 3),
)


def noise_on(grid: Grid) -> sitk.Image:
    return grid.place(np.random.default_rng(0).normal(size=grid.array_shape).astype(np.float32))


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def ramp_on(grid: Grid) -> np.ndarray:
    """2 x - y + 3 z + 7 in every voxel; linear interpolation reproduces it."""
    index = np.indices(grid.array_shape)[::-1].reshape(3, -1)
    points = np.reshape(grid.origin_mm, (3, 1)) + grid.axes @ (index * np.reshape(grid.spacing_mm_xyz, (3, 1)))
    return (np.array([2.0, -1.0, 3.0]) @ points + 7).reshape(grid.array_shape)


def between_voxels(grid: Grid, points_of: Grid) -> np.ndarray:
    """Which voxels of ``points_of`` lie between the voxels' centres of ``grid``: not in the half voxel around them."""
    index = np.indices(points_of.array_shape)[::-1].reshape(3, -1)
    points = np.reshape(points_of.origin_mm, (3, 1)) + points_of.axes @ (
        index * np.reshape(points_of.spacing_mm_xyz, (3, 1))
    )
    there = grid.axes.T @ (points - np.reshape(grid.origin_mm, (3, 1))) / np.reshape(grid.spacing_mm_xyz, (3, 1))
    inside = (there >= 0) & (there <= np.subtract(grid.size_xyz, 1)[:, None])
    return inside.all(axis=0).reshape(points_of.array_shape)


@given(grids)
def test_a_grid_is_the_same_after_json(grid):
    assert Grid.from_plain(json.loads(json.dumps(asdict(grid)))) == grid
    assert Grid.of(noise_on(grid)) == grid


@given(grids, st.sampled_from(ORIENTATIONS))
def test_any_other_orientation_and_back_is_exact(grid, orientation):
    image = noise_on(grid)
    back = reorient(reorient(image, orientation), sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
        image.GetDirection()
    ))  # fmt: skip
    assert (array(back) == array(image)).all()
    assert back.GetSpacing() == image.GetSpacing() and back.GetSize() == image.GetSize()
    assert Grid.of(back).matches(grid, tolerance_mm=1e-6)


@given(grids)
def test_resampling_to_the_own_grid_changes_nothing(grid):
    image = noise_on(grid)
    assert np.allclose(array(resample(image, grid)), array(image), atol=1e-4)
    assert array(known_region(image, grid)).all()


@given(grids, st.sampled_from(ORIENTATIONS), tilts)
def test_resampling_there_and_back_keeps_a_ramp_wherever_both_fields_of_view_reach(grid, orientation, tilt_deg):
    middle = tuple(grid.point((np.array(grid.size_xyz) - 1) / 2))
    there = make_grid((20, 20, 20), (1.5, 1.6, 1.4), orientation, tilt_deg, middle)
    image = grid.place(ramp_on(grid).astype(np.float64))
    moved = resample(image, there, smooth=False)
    between = between_voxels(grid, there)
    assert np.allclose(array(moved)[between], ramp_on(there)[between], atol=0.01)
    back = array(resample(moved, grid, smooth=False))
    # Where every voxel that is interpolated from lay between voxels before, and the way back is between voxels, too.
    known = array(resample(there.place(between.astype(np.float32)), grid, smooth=False)) > 1 - 1e-6
    known &= between_voxels(there, grid)
    assert np.allclose(back[known], ramp_on(grid)[known], atol=0.01)


@given(grids, st.sampled_from(sorted(PLANE_ORIENTATION)), st.tuples(*[st.floats(0.8, 4.0)] * 3))
def test_slices_of_a_ramp_come_back_as_a_volume_on_exactly_the_original_grid(grid, plane, spacing_mm):
    head = grid.place(np.ones(grid.array_shape, np.uint8))
    slices = slice_grid(head, head, plane=plane, spacing_mm=spacing_mm, slice_size=(16, 16))
    # A ramp within the window of HU, steep enough that a shift of a voxel would show.
    low, steepness = ramp_on(grid).min(), 1500 / max(np.ptp(ramp_on(grid)), 1)
    hu = (ramp_on(slices) - low) * steepness - 400
    back = volume_from_slices(hu.astype(np.float32), slices, head)
    assert Grid.of(back) == grid  # size, spacing, origin and direction to the last bit
    assert back.GetPixelID() == sitk.sitkInt16
    assert np.abs(array(back) - ((ramp_on(grid) - low) * steepness - 400)).max() <= 25  # a voxel is 55 and more


@given(grids)
def test_every_voxel_of_a_head_lies_within_its_slices(grid):
    head = grid.place(np.ones(grid.array_shape, np.uint8))
    slices = slice_grid(head, head, plane="sagittal", spacing_mm=(1.0, 0.9, 0.9), slice_size=(16, 16))
    assert slices.size_xyz[0] % 4 == 0 and slices.size_xyz[1] % 4 == 0
    covering = slices.place(np.ones(slices.array_shape, np.uint8))
    assert array(known_region(covering, grid)).all()


@given(grids)
def test_an_axial_grid_has_square_pixels_and_covers_the_volume(grid):
    axial = axial_grid(grid)
    assert axial.spacing_mm_xyz[0] == axial.spacing_mm_xyz[1]
    last = np.subtract(grid.size_xyz, 1)
    corners = np.array([grid.point(last * pick) for pick in np.ndindex(2, 2, 2)])
    end = axial.point(np.subtract(axial.size_xyz, 1))
    assert (corners.min(axis=0) >= np.subtract(axial.origin_mm, 0.1)).all() and (corners.max(axis=0) <= end + 0.1).all()


@given(upright_grids)
def test_a_volume_along_the_body_with_square_pixels_is_not_interpolated_for_the_axial_grid(grid):
    spacing = np.array(grid.spacing_mm_xyz)
    spacing[np.abs(grid.axes)[:2].argmax(axis=1)] = 1.25
    image = noise_on(Grid(grid.size_xyz, tuple(spacing.tolist()), grid.origin_mm, grid.direction))
    axial = on_axial_grid(image, outside=-5)
    assert (np.sort(array(axial), axis=None) == np.sort(array(image), axis=None)).all()


@given(st.lists(st.floats(-1, 1), min_size=1), st.floats(-30000, 30000), st.floats(1.01, 2000), st.integers(2, 256))
def test_network_output_is_hu_within_the_window_whatever_the_window(output, low, width, levels):
    coding = GreyLevels(ct_window_hu=(low, low + width), grey_levels=levels)
    hu = coding.network_to_hu(np.array(output, np.float32))
    slack = 1e-2 + 1e-6 * abs(low)
    assert low - slack <= hu.min() and hu.max() <= low + width + slack
    ordered = coding.network_to_hu(np.sort(np.array(output, np.float32)))
    assert (np.diff(ordered) >= 0).all()
