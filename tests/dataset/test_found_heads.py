"""The heads by which shape and content are judged: found in the images, whatever a given mask adds to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.dataset.images import CaseImages, found_heads, head_masks

GRID, CT_GRID = make_grid(), make_grid(orientation="RAS", tilt_deg=(0, 0, 5))
TRUTH = head_truth(GRID)
IMAGES = CaseImages("P", (head_mr(GRID),), head_ct(CT_GRID))


def heads_of(given: sitk.Image | None, images: CaseImages = IMAGES) -> tuple[sitk.Image, sitk.Image]:
    images = replace(images, given_mask=given)
    heads = found_heads(images, head_masks(images))
    return heads.mr, heads.ct


def dice(first: sitk.Image, second: sitk.Image) -> float:
    a, b = (sitk.GetArrayFromImage(mask) > 0 for mask in (first, second))
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("aligned", [True, False])
def test_a_mask_dilated_by_16_mm_changes_neither_head(aligned):
    images = replace(IMAGES, aligned=aligned)
    wide = sitk.BinaryDilate(TRUTH, [4, 4, 4], sitk.sitkBall)
    assert dice(wide, TRUTH) < 0.85
    for found, without in zip(heads_of(wide, images), heads_of(None, images)):
        assert dice(found, without) > 0.99


def test_a_mask_takes_off_what_lies_outside_it_in_both():
    lowest_slice = GRID.array_shape[0] // 3  # the neck and the chin are below
    upper = sitk.GetArrayFromImage(TRUTH)
    upper[:lowest_slice] = 0
    mr, ct = heads_of(GRID.place(upper))
    assert not sitk.GetArrayFromImage(mr)[:lowest_slice].any()
    z_mm = CT_GRID.place(sitk.GetArrayFromImage(ct)).TransformIndexToPhysicalPoint
    lowest_mm = min(z_mm([int(i) for i in index[::-1]])[2] for index in np.argwhere(sitk.GetArrayFromImage(ct)))
    assert lowest_mm > GRID.place(upper).TransformIndexToPhysicalPoint((0, 0, lowest_slice))[2] - 6


def test_a_mask_of_a_small_part_leaves_the_head_whole():
    brain = sitk.BinaryErode(TRUTH, [8, 8, 8], sitk.sitkBall)
    for found, without in zip(heads_of(brain), heads_of(None)):
        assert dice(found, without) > 0.99


def test_where_no_head_can_be_found_the_mask_stands_for_it():
    blank = GRID.place(np.zeros(GRID.array_shape, np.float32))
    images = CaseImages("P", (blank,), given_mask=TRUTH)
    assert dice(found_heads(images, replace(head_masks(images), mr=TRUTH)).mr, TRUTH) == 1
