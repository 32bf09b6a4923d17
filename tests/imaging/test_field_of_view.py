"""What a scanner has seen, distinguished from padding; the air of a head is not padding."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import Head, head_ct, head_mr, make_grid

from synthct.imaging.field_of_view import CT_TISSUE_HU, scanned_on, scanned_region, with_padding_as
from synthct.imaging.geometry import Grid, resample

GRID = make_grid((68, 84, 84), (3.0, 3.0, 3.0))


def noisy_ct() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 12, GRID.array_shape)
    return sitk.GetArrayFromImage(head_ct(GRID)) + np.rint(noise)


def region_of(array: np.ndarray, **options) -> np.ndarray:
    return sitk.GetArrayFromImage(scanned_region(GRID.place(array), **options)) > 0


@pytest.mark.parametrize("padding_hu", [-1100, -2000, -3024])
def test_the_corners_around_a_round_reconstruction_are_unknown(padding_hu):
    y, x = np.indices(GRID.array_shape[1:])
    outside = np.hypot((y - 42) * 3, (x - 34) * 3) > 85  # cuts nose and back of the head
    ct = noisy_ct()
    ct[:, outside] = padding_hu
    region = region_of(ct, tissue=CT_TISSUE_HU)
    assert (region == ~outside).mean() > 0.995


def test_a_turned_volumes_border_is_unknown():
    tilted = make_grid((68, 84, 84), (3.0, 3.0, 3.0), tilt_deg=(0, 0, 15))
    mr = resample(head_mr(GRID), tilted)  # 0 where the turned grid leaves the volume
    truth = sitk.GetArrayFromImage(resample(GRID.place(np.ones(GRID.array_shape, np.uint8)), tilted)) > 0.5
    region = sitk.GetArrayFromImage(scanned_region(mr)) > 0
    assert (region == truth).mean() > 0.98


def test_black_slices_at_an_mrs_end_are_unknown():
    mr = sitk.GetArrayFromImage(head_mr(GRID))
    mr[:9] = 0
    assert np.array_equal(np.flatnonzero(~region_of(mr).any(axis=(1, 2))), np.arange(9))


def test_a_background_that_was_set_to_zero_is_air():
    mr = sitk.GetArrayFromImage(head_mr(GRID))
    mr[~Head(GRID).inside] = 0
    assert region_of(mr).all()


def test_clipped_air_of_a_ct_is_air():
    assert region_of(sitk.GetArrayFromImage(head_ct(GRID)), tissue=CT_TISSUE_HU).all()
    assert region_of(noisy_ct().clip(-1000), tissue=CT_TISSUE_HU).mean() > 0.99  # but for corners without noise


def test_an_image_of_one_value_is_no_padding():
    assert region_of(np.zeros(GRID.array_shape)).all()


def test_voxels_that_are_interpolated_with_padding_are_unknown():
    seen = np.zeros(GRID.array_shape, np.uint8)
    seen[:, :, 20:] = 1
    region = GRID.place(seen)
    half_a_voxel_on = Grid(GRID.size_xyz, GRID.spacing_mm_xyz, tuple(GRID.point((0.5, 0, 0)).tolist()), GRID.direction)
    assert scanned_on(region, GRID)[0, 0].tolist().index(True) == 20
    assert scanned_on(region, half_a_voxel_on)[0, 0].tolist().index(True) == 20  # 19 takes half of padding


def test_padding_is_replaced_and_nothing_else():
    ct = noisy_ct()
    ct[:, :, :10] = -3024
    image = GRID.place(ct)
    replaced = sitk.GetArrayFromImage(with_padding_as(image, scanned_region(image, tissue=CT_TISSUE_HU), -1000.0))
    assert (replaced[:, :, :10] == -1000).all()
    np.testing.assert_array_equal(replaced[:, :, 10:], ct[:, :, 10:])
