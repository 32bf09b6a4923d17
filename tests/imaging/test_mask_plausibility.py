"""Doubts about head masks: each kind of bad mask is named, and a good one is left in peace."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import Head, head_truth, make_grid, points_mm

from synthct.imaging.head_mask import mask_agreement, mask_flags
from synthct.imaging.mask_plausibility import _mirror_dice

GRID = make_grid((66, 84, 74), (3.0, 3.0, 3.0), centre_mm=(0, 5, -10))


def head(**kwargs) -> np.ndarray:
    return Head(GRID, **kwargs).inside


def flags(mask: np.ndarray) -> tuple[str, ...]:
    return mask_flags(GRID.place(mask.astype(np.uint8)))


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "RAI"])
def test_a_head_with_a_cut_neck_is_not_flagged_however_it_lies(orientation):
    for tilt in ((0, 0, 0), (12, 0, 0), (0, 8, 12)):
        grid = make_grid((70, 90, 74), (3.0, 3.0, 3.0), orientation, tilt, centre_mm=(0, 5, -10))
        assert mask_flags(head_truth(grid)) == ()


def test_no_head_is_said_and_nothing_else():
    assert flags(np.zeros(GRID.array_shape)) == ("no head was found",)


def test_volumes_that_no_head_has_are_named():
    small = flags(head(size=0.7))
    assert len(small) == 1 and small[0].startswith("the head has 1.") and "heads have 2 to 7.5 l" in small[0]
    assert any("heads have 2 to 7.5 l" in flag for flag in flags(np.ones(GRID.array_shape)))


def test_pieces_are_counted_and_specks_are_not():
    x, y, z = points_mm(GRID)
    speck = (np.abs(x - 85) < 4) & (np.abs(y - 100) < 4) & (np.abs(z - 80) < 4)
    assert flags(head() | speck) == ()
    lump = (np.abs(x - 85) < 14) & (np.abs(y - 110) < 14) & (np.abs(z - 80) < 14)
    assert "the head is in 2 pieces" in flags(head() | lump)


@pytest.mark.parametrize(
    ("cut", "border"),
    [
        (np.s_[:, :, 15:], "right"),
        (np.s_[:, :, :-15], "left"),
        (np.s_[:, 20:, :], "front"),
        (np.s_[:, :-17, :], "back"),
        (np.s_[:-10], "upper"),
    ],
)
def test_a_head_cut_by_the_field_of_view_is_named_with_the_border(cut, border):
    grid = make_grid(head()[cut].shape[::-1], (3.0, 3.0, 3.0))
    (flag,) = mask_flags(grid.place(head()[cut].astype(np.uint8)))
    assert flag == f"the head is cut by the {border} border of the image: what lies outside is unknown"


def test_two_cut_sides_are_named_in_one_flag():
    grid = make_grid(head()[:, :, 15:-15].shape[::-1], (3.0, 3.0, 3.0))
    (flag,) = mask_flags(grid.place(head()[:, :, 15:-15].astype(np.uint8)))
    assert "cut by the right and left borders" in flag


def test_a_couch_that_stayed_is_named_with_its_length():
    x, y, _ = points_mm(GRID)
    couch = (y > 94) & (y < 103) & (np.abs(x) < 85)
    assert any("plate" in flag and "couch" in flag for flag in flags(head() | couch))


def test_a_head_of_which_a_side_is_missing_is_lopsided():
    x, _, z = points_mm(GRID)
    (flag,) = flags(head() & ~((x > 35) & (z > -60)))
    assert "halves differ (Dice 0.8" in flag


def test_the_mirror_plane_is_found_wherever_the_head_lies():
    off = make_grid((90, 84, 74), (3.0, 3.0, 3.0), centre_mm=(0, 5, -10))
    assert _mirror_dice(head_truth(off, centre_mm=(25.0, 0.0, 0.0))) > 0.99


def test_agreement_counts_only_what_both_scans_know():
    mr, ct = np.zeros((2, 10, 10, 10), np.uint8)
    mr[2:8], ct[4:8] = 1, 1
    known = np.ones_like(mr)
    images = [sitk.GetImageFromArray(array) for array in (mr, ct, known)]
    assert mask_agreement(*images) == pytest.approx(2 * 4 / (6 + 4))
    known[:4] = 0
    assert mask_agreement(images[0], images[1], sitk.GetImageFromArray(known)) == pytest.approx(1.0)
    assert mask_agreement(images[0] * 0, images[1] * 0, images[2]) == 0.0
