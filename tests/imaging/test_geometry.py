"""Grids, resampling between them, and the slice grid that puts every head in the same place."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import SKIN_MM, TOP_MM, head_truth, make_grid, points_mm

from synthct.imaging.geometry import (
    Grid,
    known_region,
    oblique_degrees,
    orientation_code,
    reorient,
    resample,
    slice_grid,
)
from synthct.imaging.planes import PLANE_ORIENTATION

SLICES_MM = (2.0, 2.0, 2.0)


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def lay(mask: sitk.Image, plane: str = "sagittal", size: tuple[int, int] = (128, 128), spacing_mm=SLICES_MM) -> Grid:
    return slice_grid(mask, mask, plane=plane, spacing_mm=spacing_mm, slice_size=size)


# -- grids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt_deg", [(0, 0, 0), (10, -20, 30)])
def test_a_grid_places_points_where_simpleitk_does(tilt_deg):
    grid = make_grid((5, 7, 9), (1, 2, 3), "PIR", tilt_deg, (300, -200, 1000))
    image = grid.place(np.zeros(grid.array_shape, np.uint8))
    for index in [(0, 0, 0), (6, 1, 4), (0, 8, 2)]:
        assert np.allclose(grid.point(index), image.TransformIndexToPhysicalPoint(index))


def test_a_grid_is_the_same_after_json():
    grid = Grid.of(head_truth(make_grid((5, 6, 7), tilt_deg=(10, 20, 30), centre_mm=(0.1, 1 / 3, 1e4))))
    assert Grid.from_plain(json.loads(json.dumps(asdict(grid)))) == grid


def test_an_array_of_another_shape_is_not_placed():
    with pytest.raises(ValueError, match="does not fit"):
        make_grid((5, 6, 7)).place(np.zeros((5, 6, 7)))


def test_grids_match_within_a_hundredth_of_a_millimetre():
    grid = make_grid((50, 60, 70))
    assert grid.matches(make_grid((50, 60, 70), centre_mm=(0.005, 0, 0)))
    assert not grid.matches(make_grid((50, 60, 70), centre_mm=(0.05, 0, 0)))
    assert not grid.matches(make_grid((50, 60, 71)))
    assert not grid.matches(make_grid((50, 60, 70), orientation="RPS"))
    assert not grid.matches(make_grid((50, 60, 70), tilt_deg=(0, 0, 0.1)))


def test_orientation_and_obliqueness_are_reported():
    image = head_truth(make_grid((5, 6, 7), orientation="PIR", tilt_deg=(0, 0, 12)))
    assert orientation_code(image) == "PIR"
    assert oblique_degrees(image) == pytest.approx(12, abs=0.01)


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PIR", "SLP"])
def test_reorienting_moves_no_voxel_in_space(orientation):
    grid = make_grid((5, 6, 7), (1, 2, 3), orientation, (10, 0, 20), (50, 60, -70))
    values = np.random.default_rng(0).normal(size=grid.array_shape)
    image = reorient(grid.place(values), "ASL")
    assert orientation_code(image) == "ASL"
    for index in [(0, 0, 0), (3, 2, 1), (5, 6, 4)]:
        there = grid.place(values).TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(index))
        assert image[index] == values[there[::-1]]


# -- resampling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("orientation", ["LPS", "PIR", "RAI"])
@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_a_ramp_is_reproduced_without_shift_on_an_oblique_grid(axis, orientation, interpolation):
    fine = make_grid((60, 60, 60), (3, 3.5, 2.5), orientation, (0, 10, 5), (100, -50, 900))
    wanted = make_grid((25, 25, 25), (2, 2, 4), "PIR", (20, -10, 15), (100, -50, 900))
    ramp = fine.place(points_mm(fine)[axis].astype(np.float32))
    sampled = array(resample(ramp, wanted, interpolation=interpolation))
    assert np.abs(sampled - points_mm(wanted)[axis]).max() < 0.02  # mm


def test_detail_finer_than_the_grid_does_not_alias():
    fine = make_grid((64, 64, 64), (1, 1, 1))
    checks = fine.place(100.0 * ((np.indices(fine.array_shape)[2] % 2) * 2 - 1))  # +-100 in turn along x
    coarse = array(resample(checks, make_grid((16, 60, 60), (3, 1, 1))))
    assert np.abs(coarse).max() < 15
    assert np.abs(array(resample(checks, make_grid((16, 60, 60), (1, 1, 1))))).max() > 99
    assert np.abs(array(resample(checks, make_grid((16, 60, 60), (3, 1, 1)), smooth=False))).max() > 30


def test_smoothing_keeps_to_the_axis_that_becomes_coarser():
    fine = make_grid((40, 40, 40), (1, 1, 1), "PIR")
    edge = fine.place((points_mm(fine)[2] > 0).astype(np.float32))  # an edge along SI
    coarse_across = array(resample(edge, make_grid((10, 40, 40), (4, 1, 1))))
    assert set(np.unique(coarse_across[:, 5:-5, 2:-2]).round(4)) == {0.0, 1.0}
    coarse_along = array(resample(edge, make_grid((40, 40, 10), (1, 1, 4))))
    assert len(np.unique(coarse_along.round(2))) > 2


def test_nearest_keeps_the_pixel_type_and_the_values():
    grid = make_grid((20, 20, 20))
    labels = grid.place(np.random.default_rng(0).integers(0, 5, grid.array_shape).astype(np.uint8))
    coarse = resample(labels, make_grid((5, 5, 5), (16, 16, 16)), interpolation="nearest")
    assert coarse.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(array(coarse))) <= set(range(5))


def test_outside_the_field_of_view_lies_the_value_that_was_asked_for():
    inner, outer = make_grid((10, 10, 10), (2, 2, 2)), make_grid((20, 20, 20), (2, 2, 2))
    sampled = array(resample(inner.place(np.full(inner.array_shape, 7, np.int16)), outer, outside=-1000))
    assert (sampled[5:15, 5:15, 5:15] == 7).all()
    assert (sampled == -1000).sum() == 20**3 - 10**3


def test_a_transform_maps_points_of_the_grid_to_points_of_the_image():
    grid = make_grid((30, 30, 30), (2, 2, 2))
    blob = grid.place((np.linalg.norm(points_mm(grid) - np.reshape((10, 0, 0), (3, 1, 1, 1)), axis=0) < 5) * 1.0)
    shift = sitk.TranslationTransform(3, (10.0, 0.0, 0.0))
    moved = array(resample(blob, grid, transform=shift))
    centre = (points_mm(grid) * moved).sum(axis=(1, 2, 3)) / moved.sum()
    assert np.allclose(centre, (0, 0, 0), atol=0.1)  # grid point 0 looks at image point +10


def test_known_is_what_lies_inside_the_field_of_view():
    small = make_grid((10, 12, 14), (2, 2, 2), "RAI")
    image = small.place(np.zeros(small.array_shape, np.float32))
    known = array(known_region(image, make_grid((40, 40, 40), (1, 1, 1))))
    assert known.dtype == np.uint8
    occupied = [np.flatnonzero(known.any(axis=other)).size for other in ((0, 1), (0, 2), (1, 2))]
    assert occupied == [20, 24, 28]
    away = known_region(image, make_grid((40, 40, 40)), sitk.TranslationTransform(3, (500.0, 0.0, 0.0)))
    assert not array(away).any()


# -- slice grid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plane", "slices", "rows", "cols"), [("sagittal", 0, 2, 1), ("axial", 2, 1, 0), ("coronal", 1, 2, 0)]
)
def test_arrays_are_slices_rows_cols_and_run_as_a_reader_looks_at_them(plane, slices, rows, cols):
    """Rows run downwards (SI planes) or backwards (axial), columns backwards (sagittal) or to the left."""
    grid = lay(head_truth(make_grid(orientation="RSA")), plane)
    x, y, z = points_mm(grid)
    steps = {name: np.array([np.diff(axis, axis=way).mean() for axis in (x, y, z)]) for way, name in enumerate("src")}
    assert int(np.abs(steps["s"]).argmax()) == slices
    assert steps["r"][rows] == pytest.approx(-2 if rows == 2 else 2)
    assert steps["c"][cols] == pytest.approx(2)


@pytest.mark.parametrize("plane", list(PLANE_ORIENTATION))
@pytest.mark.parametrize("tilt_deg", [(0, 0, 0), (15, -10, 20)])
def test_every_slice_with_head_is_in_whatever_the_plane(plane, tilt_deg):
    mask = head_truth(make_grid((60, 80, 90), (3, 3, 3), tilt_deg=tilt_deg, centre_mm=(40, -500, 20)),
                      centre_mm=(40, -500, 20))  # fmt: skip
    grid = lay(mask, plane, spacing_mm=(3.0, 2.5, 2.5))
    assert all(size % 4 == 0 for size in grid.size_xyz[:2])
    on_grid = array(resample(mask, grid)) >= 0.5
    voxel = np.prod(grid.spacing_mm_xyz)
    assert on_grid.sum() * voxel == pytest.approx(array(mask).sum() * 27, rel=0.02)
    for axis in range(3):  # nothing touches the border of the grid
        assert not np.take(on_grid, [0, -1], axis=axis).any()
    assert on_grid.any(axis=(1, 2))[2:-2].all()  # and few slices are empty


def test_the_head_lies_in_the_middle_from_left_to_right_and_front_to_back():
    head = {"centre_mm": (35.0, -60.0, 10.0)}
    mask = head_truth(make_grid((70, 90, 70), centre_mm=(50, -40, 0)), **head)
    x, y, _ = points_mm(lay(mask))
    assert x.mean() == pytest.approx(35, abs=2)
    assert y.mean() == pytest.approx(-60, abs=2)


@pytest.mark.parametrize("cut", ["nose", "left side", "neck"])
def test_a_field_of_view_that_cuts_a_part_off_does_not_move_the_head(cut):
    whole = head_truth(make_grid((60, 70, 70), (3, 3, 3)))
    kept = {"nose": whole[:, 3:, :], "left side": whole[:52, :, :], "neck": whole[:, :, 14:]}[cut]
    here, there = (points_mm(lay(mask)).mean(axis=(1, 2, 3)) for mask in (whole, kept))
    moved = 1 if cut == "left side" else 0  # it is the slices that are fewer
    assert here[moved:] == pytest.approx(there[moved:], abs=2)


@pytest.mark.parametrize("neck_mm", [0, 60, 150, 300])
def test_the_top_of_the_head_lies_at_the_same_row_however_long_the_neck_is(neck_mm):
    grid = make_grid((50, 62, 50 + neck_mm // 4), centre_mm=(0, 0, -(neck_mm // 4) * 2))
    slices = lay(head_truth(grid))
    top_row = float(points_mm(slices)[2].max() - TOP_MM)
    assert top_row == pytest.approx(128 // 12 * 2, abs=4)  # a twelfth of the least slice, to a voxel of the mask


def test_the_top_of_the_head_is_the_same_in_mr_and_ct_of_other_fields_of_view():
    mr = head_truth(make_grid((80, 100, 90), (3, 3, 3), centre_mm=(20, 10, -10)))
    ct = head_truth(make_grid((150, 150, 30), (2, 2, 5), "RAI", centre_mm=(-50, 20, 40)))
    tops = [points_mm(lay(mask))[2].max() for mask in (mr, ct)]
    assert tops[0] == pytest.approx(tops[1], abs=4)


def test_a_larger_head_gets_larger_slices_of_the_same_pixel():
    small, large = (lay(head_truth(make_grid((90, 110, 60)), size=size)) for size in (1.0, 1.6))
    assert small.size_xyz[:2] == (128, 128)
    assert large.size_xyz[0] > 1.6 * SKIN_MM[1] and large.size_xyz[1] > 128
    assert all(size % 4 == 0 for size in large.size_xyz[:2])
    assert small.spacing_mm_xyz == large.spacing_mm_xyz


def test_the_smallest_slice_size_may_differ_between_rows_and_cols():
    assert lay(head_truth(make_grid()), size=(160, 128)).size_xyz[:2] == (128, 160)


def test_slices_follow_the_axes_of_an_oblique_image():
    grid = make_grid(tilt_deg=(20, 0, 0))
    axes = lay(head_truth(grid)).axes
    assert np.allclose(sorted(np.abs(axes).ravel()), sorted(np.abs(grid.axes).ravel()))


def test_an_empty_mask_has_no_slices():
    grid = make_grid((10, 10, 10))
    with pytest.raises(ValueError, match="empty"):
        lay(grid.place(np.zeros(grid.array_shape, np.uint8)))
