"""One case to slices: what is head, what is known, and where it lies."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import small_configuration
from synthetic_heads import Head, head_ct, head_mr, head_truth, make_grid

from synthct.dataset.images import CaseImages, head_masks
from synthct.errors import ImageError
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.imaging.geometry import Grid, resample
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.case import MR_STEPS, check_channels, mr_statistics, slices_of_case
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack

GRID = make_grid((68, 84, 84), (3, 3, 3))


def plan_with(**changes) -> PreprocessingPlan:
    values = {"spacing_mm": (3.0, 3.0, 3.0), "slice_scale": 1.0, "slice_size": (80, 80)}
    return small_configuration(**(values | changes)).preprocessing


def bits(stack: SliceStack, wanted: int) -> np.ndarray:
    return (stack.regions & wanted) == wanted


def grid_of(stack: SliceStack) -> Grid:
    return Grid.from_plain(json.loads(json.dumps(stack.info["grid"])))


def in_scanner_units(stack: SliceStack, channel: int = 0) -> np.ndarray:
    """The MR, 0 outside the head; float32."""
    return np.where(stack.mr[channel] == OUTSIDE, 0, stack.mr[channel] * np.float32(stack.mr_steps[channel]))


def in_hu(stack: SliceStack) -> np.ndarray:
    """The CT, air outside the head."""
    return np.where(stack.ct == OUTSIDE, -1000, stack.ct)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.fixture(scope="module")
def pair() -> SliceStack:
    """MR and CT on other grids: turned, coarser, shifted, with couch and shell."""
    ct = head_ct(make_grid((120, 140, 84), (2, 2, 3), "RAI", centre_mm=(9, -7, 5)), couch=True, shell=True)
    return slices_of_case(CaseImages("P", (head_mr(GRID),), ct), plan_with())


def test_a_pair_shares_one_grid(pair):
    assert pair.mr.shape == (1, *pair.ct.shape) and pair.ct.shape == pair.regions.shape == grid_of(pair).array_shape
    assert pair.mr.dtype == pair.ct.dtype == np.int16 and pair.regions.dtype == np.uint8
    assert pair.plane == "sagittal" and len(pair.mr_steps) == len(pair.mr_statistics) == 1
    tissues = Head(grid_of(pair))
    assert agreement(bits(pair, HEAD), tissues.inside) > 0.96
    assert agreement(pair.ct > 576, tissues.bone) > 0.8  # bone is bright on CT ...
    mr = in_scanner_units(pair)
    assert np.median(mr[tissues.bone]) < 150 < np.median(mr[tissues.brain])  # ... and dark on MR


def test_outside_the_head_and_only_there_is_nothing(pair):
    np.testing.assert_array_equal(pair.mr[0] != OUTSIDE, bits(pair, HEAD | MR_KNOWN))
    np.testing.assert_array_equal(pair.ct != OUTSIDE, bits(pair, HEAD | CT_KNOWN))
    assert bits(pair, HEAD | MR_KNOWN | CT_KNOWN).any() and not bits(pair, HEAD).all()


def test_the_first_rows_are_the_top_and_the_first_cols_the_face(pair):
    occupied = bits(pair, HEAD).any(axis=0)
    rows, cols = np.flatnonzero(occupied.any(axis=1)), np.flatnonzero(occupied.any(axis=0))
    assert rows[0] * 3 == pytest.approx(80 // 12 * 3, abs=6)
    middle = bits(pair, HEAD)[pair.ct.shape[0] // 2]
    nose_row = rows[0] + round((100 + 25) / 3)
    assert np.flatnonzero(middle[nose_row])[0] == pytest.approx(cols[0], abs=1)  # the nose comes first
    sinus = Head(grid_of(pair)).air & (np.indices(pair.ct.shape)[1] < rows[0] + 50)
    assert np.median(in_hu(pair)[sinus]) <= -950


@pytest.mark.parametrize("orientation", ["RAI", "PIR", "SLA", "ASL"])
def test_slices_do_not_depend_on_how_the_image_is_stored(orientation):
    """Flipped and permuted axes are the same head in the same place."""
    stacks = []
    for way in ("LPS", orientation):
        grid = make_grid((68, 84, 84), (3, 3, 3), way)
        stacks.append(slices_of_case(CaseImages("P", ct=head_ct(grid), given_mask=head_truth(grid)), plan_with()))
    assert grid_of(stacks[0]).matches(grid_of(stacks[1]))
    difference = np.abs(in_hu(stacks[0]).astype(int) - in_hu(stacks[1]))
    assert difference.mean() < 0.8  # a tenth of a grey level


def test_beyond_the_cts_field_of_view_the_head_is_the_mrs_and_the_ct_unknown():
    short = make_grid((68, 84, 40), (3, 3, 3), centre_mm=(0, 0, 30))  # 60 mm above and below z = 30
    stack = slices_of_case(CaseImages("P", (head_mr(GRID),), head_ct(short)), plan_with())
    z = np.round(np.linspace(*[grid_of(stack).point((0, row, 0))[2] for row in (0, stack.ct.shape[1] - 1)],
                             stack.ct.shape[1]))  # fmt: skip
    beyond = (z < -31) | (z > 91)
    assert beyond.sum() > 20
    assert not bits(stack, CT_KNOWN)[:, beyond].any()
    assert (stack.ct[:, beyond] == OUTSIDE).all()
    assert bits(stack, HEAD | MR_KNOWN)[:, z < -31].any() and (stack.mr[0][:, z < -31] != OUTSIDE).any()
    assert bits(stack, CT_KNOWN)[:, (z > -28) & (z < 88)].any()


def test_beyond_the_mrs_field_of_view_the_mr_is_unknown():
    narrow = make_grid((68, 40, 84), (3, 3, 3))  # cuts face and back of the head
    stack = slices_of_case(CaseImages("P", (head_mr(narrow),), head_ct(GRID)), plan_with())
    beyond = ~bits(stack, MR_KNOWN)
    assert (beyond & bits(stack, HEAD | CT_KNOWN)).any()
    assert (stack.mr[0][beyond] == OUTSIDE).all()
    assert (stack.ct[beyond] != OUTSIDE).any()
    share = stack.head_fraction(MR_KNOWN)
    assert (share <= stack.head_fraction(CT_KNOWN) + 1e-9).all() and share.max() > 0


@pytest.mark.parametrize("modality", ["mr", "ct"])
def test_one_scan_alone_knows_nothing_of_the_other(modality):
    images = CaseImages("P", (head_mr(GRID),)) if modality == "mr" else CaseImages("P", ct=head_ct(GRID))
    stack = slices_of_case(images, plan_with())
    own, other = (MR_KNOWN, CT_KNOWN) if modality == "mr" else (CT_KNOWN, MR_KNOWN)
    assert (stack.mr is None, stack.ct is None) == (modality == "ct", modality == "mr")
    assert bits(stack, HEAD | own).any() and not bits(stack, other).any()
    assert not stack.head_fraction(other).any()


def test_mr_and_ct_alone_put_the_head_in_the_same_place():
    """An unpaired MR and CT of the same head, whose fields of view have nothing in common."""
    mr = CaseImages("M", (head_mr(make_grid((68, 84, 70), (3, 3, 3), centre_mm=(0, 0, 0))),))
    far = {"centre_mm": (200.0, 150.0, -900.0)}
    ct = CaseImages("C", ct=head_ct(make_grid((110, 130, 58), (2, 2, 5), "RAI", centre_mm=(215, 140, -925)), **far))
    profiles = []
    for images in (mr, ct):
        head = bits(slices_of_case(images, plan_with()), HEAD)
        profiles.append([np.flatnonzero(head.any(axis=(0, 3 - axis)))[0] for axis in (1, 2)])
    assert np.abs(np.subtract(*profiles)).max() <= 1


def test_a_given_mask_is_the_head_in_both():
    cube = make_grid((20, 20, 20), (3, 3, 3))
    mask = cube.place(np.ones(cube.array_shape, np.uint8))  # on a grid of its own
    images = CaseImages("P", (head_mr(GRID),), head_ct(GRID), mask)
    masks = head_masks(images)
    for found in (masks.mr, masks.ct):
        assert sitk.GetArrayFromImage(found).sum() == pytest.approx(8000, rel=0.1)
        assert Grid.of(found) == GRID
    assert bits(slices_of_case(images, plan_with()), HEAD).sum() == pytest.approx(8000, rel=0.1)


def test_every_channel_has_its_step_and_its_statistics():
    mr = (head_mr(GRID), head_mr(GRID, scale=0.01, seed=1))
    stack = slices_of_case(CaseImages("P", mr), plan_with())
    assert stack.mr.shape[0] == len(stack.mr_steps) == len(stack.mr_statistics) == 2
    assert stack.mr_steps[0] == pytest.approx(100 * stack.mr_steps[1], rel=0.5)
    assert stack.mr_statistics[0].mean == pytest.approx(100 * stack.mr_statistics[1].mean, rel=0.01)
    difference = np.abs(in_scanner_units(stack, 0) - 100 * in_scanner_units(stack, 1))
    assert difference[bits(stack, HEAD)].mean() < 5 * 1000 / 255


@pytest.mark.parametrize("brightest", 10.0 ** np.arange(-3, 7))
def test_the_step_is_a_power_of_two_that_leaves_12_to_13_bits_of_the_head(brightest):
    mr = head_mr(GRID)
    mr = mr * (brightest / float(sitk.GetArrayViewFromImage(mr).max()))
    mask = head_truth(GRID)
    stack = slices_of_case(CaseImages("P", (mr,), given_mask=mask), plan_with())
    (step,) = stack.mr_steps
    assert isinstance(step, float) and math.frexp(step)[0] == 0.5
    magnitudes = np.abs(stack.mr[stack.mr != OUTSIDE].astype(int))
    assert MR_STEPS - 1 <= np.percentile(magnitudes, 99.5) <= 2 * MR_STEPS + 1 and magnitudes.max() <= 32_767
    volume = sitk.GetArrayFromImage(resample(mr, grid_of(stack)))
    error = np.abs(in_scanner_units(stack) - volume)[bits(stack, HEAD | MR_KNOWN)]
    assert error.max() <= step and error.mean() <= step / 2


def test_a_percentile_window_is_the_cases_own():
    mask = head_truth(GRID)
    for scale in (0.01, 1.0, 50.0):
        low, high = MrWindow("percentile", 0, 50).in_force(mr_statistics(head_mr(GRID, scale=scale), mask))
        assert low >= 0 and high == pytest.approx(600 * scale, rel=0.15)
    assert MrWindow("fixed", 1, 2).in_force(mr_statistics(head_mr(GRID), mask)) == (1, 2)
    low, high = MrWindow("percentile", 0, 100).in_force(mr_statistics(mask, mask))  # all alike inside the head
    assert high > low


def test_statistics_are_of_the_head_and_not_of_what_the_slices_show(pair):
    """So that they do not depend on the spacing of the slices, nor on the CT's field of view."""
    alone = slices_of_case(CaseImages("P", (head_mr(GRID),)), plan_with(spacing_mm=(6.0, 5.0, 5.0)))
    np.testing.assert_array_equal(alone.mr_statistics[0].percentiles, pair.mr_statistics[0].percentiles)


def test_grey_levels_of_a_scaled_mr_are_the_same():
    coding = GreyLevels(mr_windows=(MrWindow("percentile", 0.5, 99.5),))
    first, second = (
        coding.mr_to_network(in_scanner_units(stack)[None], stack.mr != OUTSIDE, stack.mr_statistics)
        for stack in (slices_of_case(CaseImages("P", (head_mr(GRID, scale=scale),)), plan_with()) for scale in (1, 7))
    )
    assert (first == second).mean() > 0.99  # intensities are kept in 12 to 13 bits


def test_what_is_noted_can_be_written_as_json(pair):
    json.dumps(pair.info, allow_nan=False)


def test_no_head_is_reported_with_the_patient():
    empty = GRID.place(np.zeros(GRID.array_shape, np.float32))
    for images, words in (
        (CaseImages("P7", (empty,)), "P7: no head was found in the MR"),
        (CaseImages("P7", ct=empty - 1000), "P7: no head was found in the CT"),
        (CaseImages("P7", (head_mr(GRID),), given_mask=empty), "P7: no head was found"),
    ):
        with pytest.raises(ImageError, match=words):
            slices_of_case(images, plan_with())


def test_channels_must_be_as_many_and_on_one_grid():
    mr = head_mr(GRID)
    check_channels((mr, mr), 2, "M")
    with pytest.raises(ImageError, match=r"M has 1 MR channel\(s\) but the model needs 2"):
        check_channels((mr,), 2, "M")
    with pytest.raises(ImageError, match="channel 1 lies on another grid"):
        check_channels((mr, head_mr(make_grid((30, 30, 30)))), 2, "M")


def test_scans_that_are_not_aligned_are_laid_out_one_after_the_other():
    mr, ct = head_mr(GRID), head_ct(make_grid((80, 110, 70), (3, 3, 3), centre_mm=(40, -30, 20)), size=1.3)
    plan = plan_with(slice_size=(64, 64))
    stack = slices_of_case(CaseImages("P", (mr,), ct, aligned=False), plan)
    alone = [slices_of_case(images, plan) for images in (CaseImages("P", (mr,)), CaseImages("P", (), ct))]
    n_mr = len(alone[0].regions)
    assert len(stack.regions) == n_mr + len(alone[1].regions)
    assert not bits(stack, MR_KNOWN | CT_KNOWN).any()
    assert (stack.mr[:, n_mr:] == OUTSIDE).all() and (stack.ct[:n_mr] == OUTSIDE).all()
    for image, alone_values in ((stack.mr[0, :n_mr], alone[0].mr[0]), (stack.ct[n_mr:], alone[1].ct)):
        rows, cols = alone_values.shape[1:]
        left = (image.shape[2] - cols) // 2
        np.testing.assert_array_equal(image[:, :rows, left : left + cols], alone_values)
        assert (image != OUTSIDE).sum() == (alone_values != OUTSIDE).sum()
