import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from synthct.evaluation.metrics import METRICS, mae, measure, psnr

RNG = np.random.default_rng(0)
CT = RNG.normal(0, 400, (6, 7, 8)).astype(np.float32)
SCT = CT + RNG.normal(0, 80, CT.shape).astype(np.float32)
ALL = np.ones(CT.shape, bool)


def test_equal_images_have_no_error_and_an_infinite_psnr():
    assert mae(CT, CT, ALL) == 0
    assert psnr(CT, CT, ALL) == math.inf


def test_a_constant_error_has_the_closed_form():
    assert mae(CT + np.float32(64), CT, ALL) == pytest.approx(64, abs=1e-3)
    assert psnr(CT + np.float32(64), CT, ALL) == pytest.approx(20 * math.log10(4095 / 64), abs=1e-4)


def test_psnr_of_the_seed_fits_its_mae_only_with_rmse():
    rmse = 4095 / 10 ** (32.3 / 20)
    assert rmse / 73.7 == pytest.approx(1.35, abs=0.01)


def test_psnr_agrees_with_scikit_image():
    assert psnr(SCT, CT, ALL) == pytest.approx(peak_signal_noise_ratio(CT, SCT, data_range=4095), abs=1e-4)


def test_only_the_mask_counts():
    mask = np.zeros(CT.shape, bool)
    mask[2:4] = True
    wrong_outside = np.where(mask, SCT, 3000).astype(np.float32)
    assert mae(wrong_outside, CT, mask) == mae(SCT, CT, mask) == pytest.approx(np.abs(SCT[2:4] - CT[2:4]).mean())
    assert psnr(wrong_outside, CT, mask) == psnr(SCT, CT, mask)


def test_integer_images_do_not_overflow():
    low, high = np.full((2, 2, 2), -30000, np.int16), np.full((2, 2, 2), 30000, np.int16)
    assert mae(low, high, np.ones((2, 2, 2), bool)) == 60000


@pytest.mark.parametrize("metric", [mae, psnr])
def test_an_empty_or_unfitting_mask_is_an_error(metric):
    with pytest.raises(ValueError, match="empty"):
        metric(SCT, CT, np.zeros(CT.shape, bool))
    with pytest.raises(ValueError, match="one shape"):
        metric(SCT, CT, ALL[:2])
    with pytest.raises(ValueError, match="bool"):
        metric(SCT, CT, ALL.astype(np.uint8))


def test_windowed_metrics_clip_both_images():
    ct = np.array([-1000.0, 0.0, 2000.0])
    sct = np.array([-700.0, 100.0, 1300.0])
    values = measure(sct, ct, np.ones(3, bool), (-600, 1400))
    assert list(values) == [metric.column for metric in METRICS]
    assert list(values) == ["mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed"]
    assert values["mae_hu"] == pytest.approx((300 + 100 + 700) / 3)
    assert values["mae_hu_windowed"] == pytest.approx((0 + 100 + 100) / 3)
    assert values["psnr_db_windowed"] == pytest.approx(20 * math.log10(4095 / math.sqrt(20000 / 3)))
