"""The axial grid of a planning system: upright, square pixels, over the whole field of view, nothing moved."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid, points_mm, smooth_hu

from synthct.imaging.axial import ALONG_BODY, axial_grid, on_axial_grid
from synthct.imaging.geometry import Grid

AXIAL = make_grid((20, 24, 22), (2.0, 2.0, 3.0), "LPS", centre_mm=(11.1, -7.3, 400.5))
SAGITTAL = make_grid((20, 24, 22), (2.5, 2.0, 2.0), "PIL", centre_mm=(11.1, -7.3, 400.5))
OBLIQUE = make_grid((30, 40, 36), (2.5, 2.0, 2.2), "PIR", (12, -9, 17), centre_mm=(11.1, -7.3, 400.5))


def field_on(grid: Grid) -> sitk.Image:
    return grid.place(smooth_hu(points_mm(grid)).astype(np.int16))


def test_axial_slices_with_square_pixels_stay_as_they_are():
    assert axial_grid(AXIAL) == AXIAL
    image = field_on(AXIAL)
    assert sitk.Hash(on_axial_grid(image, outside=-1000)) == sitk.Hash(image)


@pytest.mark.parametrize("orientation", ["RAI", "PIL", "SRA", "ALS"])
def test_permuted_and_reversed_axes_are_put_right_without_interpolation(orientation):
    grid = make_grid((20, 24, 22), (2.0, 2.0, 3.0), orientation, centre_mm=(11.1, -7.3, 400.5))
    noise = np.random.default_rng(0).integers(-1000, 2000, grid.array_shape).astype(np.int16)
    upright = on_axial_grid(grid.place(noise), outside=-1000)
    assert Grid.of(upright).matches(AXIAL, 1e-9)
    values = sitk.GetArrayFromImage(upright)
    for z, y, x in np.ndindex(2, 2, 2):
        index = (x * 19, y * 23, z * 21)
        point = upright.TransformIndexToPhysicalPoint(index)
        assert grid.place(noise)[grid.place(noise).TransformPhysicalPointToIndex(point)] == values[index[::-1]]
    assert np.array_equal(np.sort(values.ravel()), np.sort(noise.ravel()))


def test_axes_that_headers_have_rounded_are_not_interpolated():
    tilted = make_grid((20, 24, 22), (2.0, 2.0, 3.0), "LPS", (0.005, 0, 0), centre_mm=(11.1, -7.3, 400.5))
    noise = np.random.default_rng(0).integers(-1000, 2000, tilted.array_shape).astype(np.int16)
    upright = on_axial_grid(tilted.place(noise), outside=-1000)
    assert np.array_equal(sitk.GetArrayFromImage(upright), noise)
    assert upright.GetDirection() == ALONG_BODY


def test_pixels_are_square_at_the_finer_spacing():
    grid = axial_grid(SAGITTAL)
    assert grid.spacing_mm_xyz == (2.0, 2.0, 2.0)
    assert grid.size_xyz == (25, 24, 22)  # 19 * 2.5 mm are 23.75 steps of 2 mm
    assert grid.origin_mm == pytest.approx(points_mm(SAGITTAL).min(axis=(1, 2, 3)))


def test_an_oblique_field_of_view_is_covered():
    grid = axial_grid(OBLIQUE)
    assert grid.direction == ALONG_BODY and grid.spacing_mm_xyz == (2.0, 2.0, 2.2)
    for end in (np.min, np.max):
        outside_mm = end(points_mm(grid), axis=(1, 2, 3)) - end(points_mm(OBLIQUE), axis=(1, 2, 3))
        assert (np.abs(outside_mm) <= 2.2).all()
        assert (outside_mm * (1 if end is np.min else -1) <= 1e-6).all()


@pytest.mark.parametrize("grid", [SAGITTAL, OBLIQUE], ids=["sagittal", "oblique"])
def test_a_smooth_field_lies_at_the_same_points(grid):
    upright = on_axial_grid(field_on(grid), outside=-3000)
    values, points = sitk.GetArrayFromImage(upright), points_mm(Grid.of(upright))
    known = values > -1000
    assert known.mean() > 0.3
    error = (values - smooth_hu(points))[known]
    inner = np.abs(error)[np.abs(error) < 200]  # voxels at the border mix with what lies outside
    assert inner.size > 0.9 * error.size and inner.mean() < 1.5
    assert upright.GetPixelID() == sitk.sitkInt16


@pytest.mark.parametrize("grid", [SAGITTAL, OBLIQUE], ids=["sagittal", "oblique"])
@pytest.mark.parametrize("mark_mm", [(11.1, -7.3, 400.5), (20.0, 3.0, 409.0), (0.3, -16.0, 391.7)])
def test_a_landmark_is_found_within_half_a_voxel(grid, mark_mm):
    distance = np.linalg.norm(points_mm(grid) - np.reshape(mark_mm, (3, 1, 1, 1)), axis=0)
    bright = grid.place((3000 * np.exp(-((distance / 4) ** 2)) - 1000).astype(np.float32))
    upright = on_axial_grid(bright, outside=-1000)
    weights = np.maximum(sitk.GetArrayFromImage(upright) + 1000, 0)
    found = (points_mm(Grid.of(upright)) * weights).sum(axis=(1, 2, 3)) / weights.sum()
    assert np.abs(found - mark_mm).max() < 0.1  # mm
    brightest = np.unravel_index(weights.argmax(), weights.shape)
    assert np.abs(points_mm(Grid.of(upright))[(slice(None), *brightest)] - mark_mm).max() <= 1.3
