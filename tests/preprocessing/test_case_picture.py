"""Pictures of cases: the right side, the right place, outlines where the masks are, nothing shown that is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread
from synthetic_heads import TOP_MM, head_ct, head_mr, head_truth, make_grid

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.preprocessing.case_picture import (
    CT_COLOUR,
    FRONT_BACK_PX,
    GAP_PX,
    HEIGHT_PX,
    LEFT_RIGHT_PX,
    MR_COLOUR,
    PIXEL_MM,
    UNKNOWN,
    body_planes,
    draw_case,
    picture_size,
)

GRID = make_grid()
CT_GRID = make_grid(orientation="RAS", centre_mm=(3, 2, 4))


def pair(ct_grid=CT_GRID, grid=GRID) -> tuple[CaseImages, HeadMasks]:
    return CaseImages("P", (head_mr(grid),), head_ct(ct_grid)), HeadMasks(head_truth(grid), head_truth(ct_grid))


@pytest.fixture
def drawn(tmp_path):
    """A picture's rows, int (rows, HEIGHT_PX, width, 3)."""

    def draw(images: CaseImages, masks: HeadMasks, **options) -> np.ndarray:
        draw_case(images, masks, tmp_path / "report" / "P.jpg", **options)
        picture = imread(tmp_path / "report" / "P.jpg").astype(int)
        tops = range(0, picture.shape[0], HEIGHT_PX + GAP_PX)
        return np.stack([picture[top : top + HEIGHT_PX] for top in tops])

    return draw


def like(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 60) -> np.ndarray:
    """Where pixels have about this colour, as far as JPEG keeps it; the balance of red and blue, which grey has not."""
    balance = np.subtract(*(np.asarray(pixels)[..., i] for i in (0, 2))) - (colour[0] - colour[2])
    return (np.abs(pixels - colour).max(axis=-1) < tolerance) & (np.abs(balance) < tolerance)


def test_a_pair_has_three_rows_and_a_scan_alone_one(drawn, tmp_path):
    images, masks = pair()
    assert drawn(images, masks).shape == (3, HEIGHT_PX, picture_size(3)[0], 3)
    assert (tmp_path / "report" / "P.jpg").stat().st_size < 60_000
    assert len(drawn(CaseImages("P", images.mr), HeadMasks(masks.mr, None))) == 1
    assert len(drawn(CaseImages("P", (), images.ct), HeadMasks(None, masks.ct))) == 1


def test_the_outline_of_a_head_is_drawn_around_it_in_its_colour(drawn):
    mr, ct, both = drawn(*pair())
    assert like(mr, MR_COLOUR).sum() > 300 and like(mr, CT_COLOUR).sum() < 5
    assert like(ct, CT_COLOUR).sum() > 200 and like(ct, MR_COLOUR).sum() < 5
    assert like(both, CT_COLOUR).sum() > 100
    rows, cols = np.nonzero(like(mr, MR_COLOUR)[:, :LEFT_RIGHT_PX])
    # 100 mm below its vertex `Head` is 180 mm wide with its ears and 192 mm long.
    assert np.ptp(cols) * PIXEL_MM == pytest.approx(180, abs=10)
    assert np.ptp(rows) * PIXEL_MM == pytest.approx(192, abs=10)


def test_the_patients_left_is_on_the_right_and_the_face_at_the_top(drawn):
    mr = sitk.GetArrayFromImage(head_mr(GRID))
    x, y = 25 + round(40 / 4), 31 - round(50 / 4)  # 40 mm to the left, 50 mm to the front
    mr[:, y - 3 : y + 4, x - 3 : x + 4] = 5000
    images = CaseImages("P", (GRID.place(mr),))
    (picture,) = drawn(images, HeadMasks(head_truth(GRID), None))
    upper, lower = picture[: HEIGHT_PX // 2, :LEFT_RIGHT_PX], picture[HEIGHT_PX // 2 :, :LEFT_RIGHT_PX]
    inner = np.s_[:, 25:-25]  # without letters and stripes
    bright = like(upper[inner], (255, 255, 255), 30)
    assert bright[:, bright.shape[1] // 2 :].sum() > 100 and bright[:, : bright.shape[1] // 2].sum() < 10
    assert like(lower[inner], (255, 255, 255), 30).sum() < 10


def test_what_lies_outside_the_field_of_view_is_striped_and_not_black(drawn):
    upper_half = make_grid((50, 62, 30), centre_mm=(0, 0, 64))  # 4 mm above the middle of the head and more
    mr, ct, both = drawn(*pair(upper_half))
    coronal = np.s_[:, LEFT_RIGHT_PX + GAP_PX + 20 : 2 * LEFT_RIGHT_PX - 20]
    below = round((20 + TOP_MM + 20) / PIXEL_MM)  # rows from the picture's top, to 20 mm below the middle
    for row in (ct, both):
        unknown = like(row[coronal], UNKNOWN, 20)
        outline = like(row[coronal], MR_COLOUR, 90) | like(row[coronal], CT_COLOUR, 90)
        assert (unknown | outline)[below:].mean() > 0.9
        assert unknown[round(40 / PIXEL_MM) : round(100 / PIXEL_MM)].mean() < 0.08
    assert like(mr[coronal], UNKNOWN, 20)[below : below + 30].mean() < 0.05


def test_a_pair_that_is_not_aligned_gets_words_in_place_of_a_checkerboard(drawn):
    images, masks = pair()
    _, ct, words = drawn(replace(images, aligned=False), masks)
    (alone,) = drawn(CaseImages("P", (), images.ct), HeadMasks(None, masks.ct))
    assert np.abs(ct - alone).mean() < 2  # along its own axes; the scale bar is in the first row alone
    assert 0.005 < 1 - like(words, UNKNOWN, 50).mean() < 0.05


def test_planes_lie_along_the_images_own_axes_through_the_middle_of_the_head():
    grid = make_grid(orientation="PIR", tilt_deg=(12, 5, -8), centre_mm=(10, -20, 500))
    head = {"centre_mm": (10, -20, 500)}
    axial, coronal, sagittal = body_planes(head_mr(grid, **head), head_truth(grid, **head))
    axes = grid.axes[:, [2, 0, 1]] * (-1, 1, -1)  # towards left, back and head
    assert np.allclose(axial.axes, axes)
    assert np.allclose(coronal.axes[:, :2], np.stack([axes[:, 0], -axes[:, 2]], axis=1))
    assert np.allclose(sagittal.axes[:, :2], np.stack([axes[:, 1], -axes[:, 2]], axis=1))
    for plane in (axial, coronal, sagittal):
        assert plane.spacing_mm_xyz == (PIXEL_MM,) * 3 and plane.size_xyz[2] == 1
    middle = np.array([10, -20, 500])
    assert abs(axes[:, 0] @ (sagittal.origin_mm - middle)) < 10
    assert abs(axes[:, 1] @ (coronal.origin_mm - middle)) < 15  # the nose moves it to the front


def test_a_mask_wider_than_a_panel_is_shown_whole():
    wide = make_grid((120, 62, 62))
    everything = wide.place(np.ones(wide.array_shape, np.uint8))
    axial, *_ = body_planes(everything, everything)
    assert axial.size_xyz == (LEFT_RIGHT_PX, HEIGHT_PX, 1)
    assert axial.spacing_mm_xyz[0] * LEFT_RIGHT_PX > 480
    assert body_planes(everything, everything * 0)[0] == axial  # an empty mask: the whole image


def test_all_rows_fill_the_width():
    assert picture_size(2) == (2 * LEFT_RIGHT_PX + FRONT_BACK_PX + 2 * GAP_PX, 2 * HEIGHT_PX + GAP_PX)
