"""The head in MR and CT: skin and all inside it, whatever lies around and whatever the scanner's units."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import AIR_HU, Head, dice, head_ct, head_mr, head_truth, make_grid, points_mm, same_geometry

from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, volume_litres

GRID = make_grid((66, 84, 74), (3.0, 3.0, 3.0), centre_mm=(0, 5, -10))


def inside(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mask) > 0


def share(mask: sitk.Image, part: np.ndarray) -> float:
    """Share of a part of the head that the mask holds."""
    return float(inside(mask)[part].mean())


@pytest.mark.parametrize("around", [{}, {"couch": True}, {"shell": True}, {"couch": True, "shell": True}])
def test_a_ct_gives_the_head_without_couch_and_shell(around):
    mask = head_mask_from_ct(head_ct(GRID, **around))
    assert dice(mask, head_truth(GRID)) > 0.96
    if "couch" in around:
        tissues = Head(GRID)
        assert share(mask, tissues.couch & ~tissues.inside) < 0.05


def test_sinus_airway_nose_and_ears_of_a_ct_are_in():
    mask, tissues = head_mask_from_ct(head_ct(GRID, couch=True)), Head(GRID)
    assert share(mask, tissues.air) > 0.97
    assert share(mask, tissues.inside) > 0.97
    nose = tissues.inside & (points_mm(GRID)[1] < -100)
    assert nose.sum() > 20
    assert share(mask, nose) > 0.7


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (0.001, 0), (0.1, 0), (10, 0), (1, 5000), (0.1, 5000), (10, -3000), (0.01, -5)]
)
def test_an_mr_gives_the_head_at_any_intensity_scale(scale, offset):
    mask = head_mask_from_mr(head_mr(GRID, scale=scale, offset=offset))
    assert dice(mask, head_truth(GRID)) > 0.96


@pytest.mark.parametrize("spacing", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("bias", [0.4, -0.4, 0.9, -0.9])
def test_a_bias_field_hides_no_part_of_the_head(bias, spacing):
    size = tuple(round(extent / spacing) for extent in (198, 252, 222))
    grid = make_grid(size, (spacing,) * 3, centre_mm=(0, 5, -10))
    assert dice(head_mask_from_mr(head_mr(grid, bias=bias)), head_truth(grid)) > 0.97


def test_ghosts_that_run_through_the_image_are_not_head():
    values = sitk.GetArrayFromImage(head_mr(GRID))
    rng = np.random.default_rng(0)
    level = slice(8, 20)  # the neck moves: its signal is spread along the phase encoding, front to back
    source = np.abs(values[level]).mean(axis=1, keepdims=True)
    values[level] += 0.5 * source * rng.rayleigh(0.5, values[level].shape)
    assert dice(head_mask_from_mr(GRID.place(values)), head_truth(GRID)) > 0.96


def test_skull_airway_and_sinus_of_an_mr_are_in():
    mask, tissues = head_mask_from_mr(head_mr(GRID)), Head(GRID)
    assert share(mask, tissues.bone) > 0.99
    assert share(mask, tissues.air) > 0.95


FINDERS = {
    "mr": lambda grid, **head: head_mask_from_mr(head_mr(grid, **head)),
    "ct": lambda grid, **head: head_mask_from_ct(head_ct(grid, couch=True, **head)),
}
GRIDS = {
    "oblique": ((90, 110, 100), (2.2, 2.2, 2.2), "RAI", (15, -10, 20)),
    "thick axial": ((101, 125, 47), (2.0, 2.0, 4.6), "LPS"),
    "thick sagittal": ((51, 121, 119), (4.0, 2.0, 2.0), "PIR"),
    "fine": ((122, 164, 130), (1.3, 1.3, 1.3), "ASL"),
}


@pytest.mark.parametrize("modality", list(FINDERS))
@pytest.mark.parametrize("grid_name", list(GRIDS))
def test_the_mask_lies_on_the_images_own_grid(modality, grid_name):
    far = (300.0, -400.0, 1000.0)
    grid = make_grid(*GRIDS[grid_name], centre_mm=far)
    mask, truth = FINDERS[modality](grid, centre_mm=far), head_truth(grid, centre_mm=far)
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(mask))) == {0, 1}
    assert same_geometry(mask, truth)
    assert dice(mask, truth) > 0.95


@pytest.mark.parametrize("modality", list(FINDERS))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (2.0, 2.0, 6.0), (4.0, 4.0, 4.0)])
def test_coarse_voxels_and_thick_slices_keep_skin_and_top_of_the_head(modality, spacing):
    size = tuple(round(extent / step) for extent, step in zip((200, 248, 248), spacing))
    grid = make_grid(size, spacing)
    mask, truth = inside(FINDERS[modality](grid)), inside(head_truth(grid))
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.94
    top = np.flatnonzero(truth.any(axis=(1, 2)))[-1]
    assert mask[top].any()
    assert (mask & truth).sum() / truth.sum() > 0.92


def test_the_neck_stays_in_where_the_field_of_view_cuts_it():
    for mask in (head_mask_from_ct(head_ct(GRID)), head_mask_from_mr(head_mr(GRID))):
        lowest = sitk.GetArrayFromImage(head_truth(GRID))[0] > 0
        assert inside(mask)[0][lowest].mean() > 0.9


@pytest.mark.parametrize("value", [0, 7, -1000, 3000])
def test_a_constant_mr_gives_an_empty_mask(value):
    assert not inside(head_mask_from_mr(GRID.place(np.full(GRID.array_shape, value, np.int16)))).any()


def test_air_alone_gives_an_empty_mask():
    air = GRID.place(np.full(GRID.array_shape, AIR_HU, np.float32))
    mask = head_mask_from_ct(air)
    assert not inside(mask).any()
    assert same_geometry(mask, air)


@pytest.mark.parametrize("pixel_type", [np.int16, np.uint16, np.uint8, np.float64, np.int32])
def test_any_pixel_type_will_do(pixel_type):
    mr = sitk.GetArrayFromImage(head_mr(GRID, scale=0.2)).astype(pixel_type)
    assert dice(head_mask_from_mr(GRID.place(mr)), head_truth(GRID)) > 0.96


def test_volumes_are_litres():
    mask = make_grid((10, 10, 10), (10, 20, 5)).place(np.ones((10, 10, 10), np.uint8))
    assert volume_litres(mask) == pytest.approx(1.0)
