"""Local motion: what has moved is followed, what has not moved is left alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from synthct.imaging.geometry import Grid
from synthct.imaging.local_motion import MAX_MM, local_motion
from synthct.imaging.registration import HeadPair

SIZE, SPACING_MM = 44, 2.5
GRID = Grid((SIZE,) * 3, (SPACING_MM,) * 3, (-55.0, -60.0, -40.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
MR_OF, HU_OF = (0.0, 800.0, 450.0, 40.0), (-1000.0, -90.0, 40.0, 900.0)  # air, fat, muscle, bone
LOWER, UPPER = slice(4, 12), slice(28, 40)  # slices that move wholly, and not at all


def pair(motion_mm: float) -> HeadPair:
    """A ball of tissues; in the CT its lower part has moved by so much along y."""
    z, y, x = np.meshgrid(*[np.arange(SIZE) - (SIZE - 1) / 2] * 3, indexing="ij")
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((SIZE,) * 3), 2.0)
    tissues = 1 + np.digitize(noise, np.quantile(noise, (0.4, 0.75)))
    in_mr = np.where(x**2 + y**2 + z**2 < (0.42 * SIZE) ** 2, tissues, 0)
    moved_rows = motion_mm / SPACING_MM * np.clip((24 - np.arange(SIZE)) / 10, 0, 1)  # of each slice
    in_ct = np.stack([ndimage.shift(one, (rows, 0), order=0) for one, rows in zip(in_mr, moved_rows)])
    rng = np.random.default_rng(6)
    mr, ct = (np.take(of, at) + 15 * rng.standard_normal(at.shape) for of, at in ((MR_OF, in_mr), (HU_OF, in_ct)))
    images = (np.abs(mr).astype(np.float32), in_mr > 0, ct.astype(np.float32), in_ct > 0)
    return HeadPair(*(GRID.place(one.astype(np.uint8) if one.dtype == bool else one) for one in images))


@cache
def found(motion_mm: float) -> sitk.DisplacementFieldTransform:
    seen = GRID.place(np.ones((SIZE,) * 3, np.uint8))
    return local_motion(pair(motion_mm), seen, seen)


def displacements_mm(motion_mm: float, slices: slice) -> np.ndarray:
    """Along x, y, z, that are found in the head in these slices; (n, 3)."""
    head = sitk.GetArrayFromImage(pair(0).mr_mask)[slices] > 0
    points = [GRID.point(index[::-1]) for index in np.argwhere(head)[::7] + (slices.start, 0, 0)]
    return np.array([np.subtract(found(motion_mm).TransformPoint(at.tolist()), at) for at in points])


def test_nothing_is_displaced_where_nothing_has_moved():
    assert not sitk.GetArrayFromImage(found(0.0).GetDisplacementField()).any()


@pytest.mark.parametrize("motion_mm", [-8.0, 6.0])
def test_what_has_moved_is_followed_and_the_rest_stays(motion_mm):
    left = displacements_mm(motion_mm, LOWER) - (0.0, motion_mm, 0.0)
    assert np.linalg.norm(left, axis=1).mean() < 0.4 * abs(motion_mm)
    assert np.linalg.norm(displacements_mm(motion_mm, UPPER), axis=1).mean() < 0.3


def test_no_displacement_is_longer_than_the_bound():
    field = sitk.GetArrayFromImage(found(14.0).GetDisplacementField())
    assert np.linalg.norm(field, axis=-1).max() <= MAX_MM + 1e-3


def test_the_field_turns_with_the_axes_of_the_mr():
    """Axes to the left, down and to the front, in place of left, back and up."""
    turned = HeadPair(*(image[:, ::-1, ::-1] for image in vars(pair(6.0)).values() if image is not None))
    seen = sitk.Cast(turned.mr_mask * 0 + 1, sitk.sitkUInt8)
    in_turned, same = local_motion(turned, seen, seen), found(6.0)
    for at in ((0.0, -10.0, -25.0), (10.0, 0.0, -20.0), (0.0, 0.0, 30.0)):
        assert in_turned.TransformPoint(at) == pytest.approx(same.TransformPoint(at), abs=1.5)
