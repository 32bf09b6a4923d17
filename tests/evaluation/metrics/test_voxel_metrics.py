"""MAE, PSNR, bias, tissues, Dice, histogram and slice jumps against closed forms, loops, scikit-image and SciPy."""

import math

import numpy as np
import pytest
from pairs import heads, pair_of
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio

from synthct.evaluation.metrics.bias import mean_error
from synthct.evaluation.metrics.dice import bone_dice, head_dice
from synthct.evaluation.metrics.histogram import histogram_distance
from synthct.evaluation.metrics.mae import mae
from synthct.evaluation.metrics.psnr import psnr, psnr_synthrad2023
from synthct.evaluation.metrics.slice_jumps import slice_discontinuity
from synthct.evaluation.metrics.tissue_classes import tissue_mae, tissue_mean_error

CT = np.random.default_rng(0).normal(0, 400, (6, 7, 8))
SCT = CT + np.random.default_rng(1).normal(0, 80, CT.shape)


def row(*values):
    return np.array(values, float).reshape(1, 1, -1)


def test_a_constant_error_has_the_closed_form():
    pair = pair_of(CT + 64, CT)
    assert mae(pair) == pytest.approx(64) and mean_error(pair) == pytest.approx(64)
    assert mean_error(pair_of(CT - 64, CT)) == pytest.approx(-64)
    assert psnr(pair) == pytest.approx(20 * math.log10(4095 / 64))
    assert histogram_distance(pair) == pytest.approx(64)


def test_psnr_of_the_seed_fits_its_mae_only_with_rmse():
    rmse = 4095 / 10 ** (32.3 / 20)
    assert rmse / 73.7 == pytest.approx(1.35, abs=0.01)


def test_psnr_agrees_with_scikit_image():
    assert psnr(pair_of(SCT, CT)) == pytest.approx(peak_signal_noise_ratio(CT, SCT, data_range=4095))
    expected = peak_signal_noise_ratio(*(np.clip(image, -1024, 3000) for image in (CT, SCT)), data_range=4024)
    assert psnr_synthrad2023(pair_of(SCT, CT).clipped(-1024, 3000)) == pytest.approx(expected)


def test_mae_is_the_loop_over_the_mask():
    pair = heads()
    errors = [abs(float(pair.sct[i]) - float(pair.ct[i])) for i in np.argwhere(pair.mask).tolist() for i in [tuple(i)]]
    assert mae(pair) == pytest.approx(sum(errors) / len(errors))


def test_tissues_are_those_of_the_reference_and_their_limits_are_soft():
    ct = row(-1000, -200.5, -200, 0, 250, 250.5, 1000)
    sct = ct + row(1, 3, -10, 20, -30, 5, -9)
    pair = pair_of(sct, ct)
    assert [tissue_mae(t)(pair) for t in ("air", "soft", "bone")] == [2, 20, 7]
    assert [tissue_mean_error(t)(pair) for t in ("air", "soft", "bone")] == pytest.approx([2, -20 / 3, -2])


def test_mae_is_the_mean_of_the_tissues_weighted_by_their_voxels():
    pair = heads()
    ct = pair.ct[pair.mask]
    n = {"air": (ct < -200).sum(), "bone": (ct > 250).sum()}
    n["soft"] = ct.size - n["air"] - n["bone"]
    for tissue_metric, overall in ((tissue_mae, mae), (tissue_mean_error, mean_error)):
        assert sum(tissue_metric(t)(pair) * n[t] for t in n) / ct.size == pytest.approx(overall(pair))


def test_a_tissue_that_is_not_there_has_no_error():
    pair = pair_of(row(0, 10), row(20, 30))
    assert math.isnan(tissue_mae("bone")(pair)) and math.isnan(tissue_mean_error("air")(pair))
    assert tissue_mae("soft")(pair) == 20


def test_bone_dice_is_that_of_sets_of_voxels():
    pair = heads(error_hu=300)
    for threshold in (150, 200, 250):
        sct, ct = (
            {tuple(i) for i in np.argwhere(pair.mask).tolist() if image[tuple(i)] > threshold}
            for image in (pair.sct, pair.ct)
        )
        assert bone_dice(threshold)(pair) == pytest.approx(2 * len(sct & ct) / (len(sct) + len(ct)))


def test_dice_of_bone_that_one_or_both_lack():
    assert math.isnan(bone_dice(200)(pair_of(row(0, 0), row(0, 200))))  # the threshold itself is not bone
    assert bone_dice(200)(pair_of(row(0, 0), row(0, 201))) == 0


def test_head_dice_of_shifted_boxes():
    ct, sct = np.zeros((4, 4, 10), bool), np.zeros((4, 4, 10), bool)
    ct[:, :, 1:7], sct[:, :, 3:9] = True, True
    image = np.zeros(ct.shape)
    assert head_dice(pair_of(image, image, sct_head=sct, ct_head=ct)) == pytest.approx(4 / 6)
    assert math.isnan(head_dice(pair_of(image, image, ct_head=ct)))


def test_the_histogram_distance_is_scipys_wasserstein_distance():
    pair = heads()
    expected = stats.wasserstein_distance(pair.sct[pair.mask], pair.ct[pair.mask])
    assert histogram_distance(pair) == pytest.approx(expected)
    assert histogram_distance(pair) <= mae(pair)


def test_the_histogram_distance_does_not_see_where_voxels_lie():
    assert histogram_distance(pair_of(row(0, 100, 1000), row(1000, 0, 100))) == 0


def jump(image, mask, axis):
    """By a loop over voxels."""
    jumps = []
    for i in np.argwhere(mask):
        j = i.copy()
        j[axis] += 1
        if j[axis] < mask.shape[axis] and mask[tuple(j)]:
            jumps.append(abs(float(image[tuple(j)]) - float(image[tuple(i)])))
    return np.mean(jumps)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_slice_discontinuity_is_its_formula_by_loops(slice_axis):
    rng = np.random.default_rng(0)
    ct, mask = rng.normal(0, 50, (5, 6, 7)), rng.random((5, 6, 7)) < 0.7
    sct = ct + rng.normal(0, 20, ct.shape)
    across = jump(sct, mask, slice_axis) / jump(ct, mask, slice_axis)
    others = [axis for axis in range(3) if axis != slice_axis]
    within = sum(jump(sct, mask, axis) for axis in others) / sum(jump(ct, mask, axis) for axis in others)
    got = slice_discontinuity(pair_of(sct, ct, mask, slice_axis=slice_axis))
    assert got == pytest.approx(100 * (across / within - 1))


def test_slices_that_flicker_are_reported_from_noise_and_blur():
    ct = np.random.default_rng(0).normal(0, 50, (20, 20, 20))
    flicker = ct + 200 * (np.arange(20) % 2)  # along the last axis
    assert slice_discontinuity(pair_of(flicker, ct, slice_axis=2)) > 100
    assert slice_discontinuity(pair_of(flicker, ct, slice_axis=0)) < 0
    assert slice_discontinuity(pair_of(0.5 * ct, ct, slice_axis=2)) == pytest.approx(0)  # less contrast everywhere
    noise = np.random.default_rng(1).normal(0, 50, ct.shape)
    assert slice_discontinuity(pair_of(ct + noise, ct, slice_axis=2)) == pytest.approx(0, abs=3)


def test_flat_images_have_no_slice_discontinuity():
    ct = np.random.default_rng(0).normal(0, 50, (4, 4, 4))
    assert math.isnan(slice_discontinuity(pair_of(np.zeros(ct.shape), ct)))
    assert math.isnan(slice_discontinuity(pair_of(ct, np.zeros(ct.shape))))
    assert math.isnan(slice_discontinuity(pair_of(ct[:, :, :1], ct[:, :, :1])))
