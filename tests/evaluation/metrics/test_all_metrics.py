"""What holds for every metric, whatever it measures."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pairs import ball, grid_of, heads, pair_of

from synthct.errors import DatasetError
from synthct.evaluation.metrics import METRICS, PROTOCOLS, VolumePair, measure, metrics_in, metrics_of

PERFECT = {"dB": math.inf, "HU": 0.0, "mm": 0.0, "%": 0.0, "": 1.0}
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.column)


@every_metric
def test_equal_images_are_perfect(metric):
    assert metric.compute(heads(error_hu=0)) == pytest.approx(PERFECT[metric.unit], abs=1e-6)


@every_metric
def test_a_worse_sct_is_further_from_perfect(metric):
    good, bad = heads(error_hu=20), heads(error_hu=200)
    shell = bad.mask & ~ball(radius=12.0)  # a head that lacks most of itself
    shifted = bad.sct + 40 + 300 * (np.arange(bad.sct.shape[2]) % 2)  # slices that flicker
    bad = replace(bad, sct=shifted, sct_head=shell, _shared={})
    perfect = min(PERFECT[metric.unit], 100.0)
    distances = [abs(perfect - metric.compute(pair)) for pair in (good, bad)]
    assert distances[0] < distances[1]
    if metric.lower_is_better is not None:
        assert (metric.compute(bad) > metric.compute(good)) == metric.lower_is_better


@every_metric
def test_only_the_head_counts(metric):
    pair = heads()
    outside = ~pair.mask
    spoilt = replace(pair, sct=np.where(outside, 3000, pair.sct), ct=np.where(outside, -70, pair.ct), _shared={})
    assert metric.compute(spoilt) == pytest.approx(metric.compute(pair), rel=1e-6)


@every_metric
def test_images_are_left_as_they_are(metric):
    pair = heads()
    before = [array.copy() for array in (pair.sct, pair.ct, pair.mask)]
    metric.compute(pair)
    for array, copy in zip((pair.sct, pair.ct, pair.mask), before):
        np.testing.assert_array_equal(array, copy)


@every_metric
def test_the_type_of_the_voxels_does_not_matter(metric):
    pair = heads()
    whole = [np.round(image) for image in (pair.sct, pair.ct)]
    values = [
        metric.compute(replace(pair, sct=whole[0].astype(dtype), ct=whole[1].astype(dtype), _shared={}))
        for dtype in (np.int16, np.float64)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@every_metric
def test_every_metric_says_what_it_is(metric):
    assert metric.title and metric.formula and metric.source and metric.region
    assert metric.unit in PERFECT and set(metric.protocols) <= set(PROTOCOLS)


def test_integer_images_do_not_overflow():
    shape = (8, 8, 8)
    low, high = np.full(shape, -30000, np.int16), np.full(shape, 30000, np.int16)
    values = measure(pair_of(low, high))
    assert values["mae_hu"] == 60000 and values["me_hu"] == -60000 and values["histogram_distance_hu"] == 60000


def test_what_cannot_be_a_pair_is_an_error():
    ct, mask = np.zeros((8, 8, 8)), np.ones((8, 8, 8), bool)
    with pytest.raises(ValueError, match="empty"):
        VolumePair(ct, ct, ~mask, grid_of(ct.shape))
    with pytest.raises(ValueError, match=r"mask.*\(2, 8, 8\)"):
        VolumePair(ct, ct, mask[:2], grid_of(ct.shape))
    with pytest.raises(ValueError, match="sCT"):
        VolumePair(ct[:3], ct, mask, grid_of(ct.shape))


def test_metrics_that_clip_clip_both_images():
    ct = np.array([-1000.0, 0.0, 2000.0]).reshape(1, 1, 3)
    sct = np.array([-700.0, 100.0, 1300.0]).reshape(1, 1, 3)
    values = measure(pair_of(sct, ct), metrics_of("seed"))
    assert list(values) == ["mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed"]
    assert values["mae_hu"] == pytest.approx((300 + 100 + 700) / 3)
    assert values["mae_hu_windowed"] == pytest.approx((0 + 100 + 100) / 3)
    assert values["psnr_db_windowed"] == pytest.approx(20 * math.log10(4095 / math.sqrt(20000 / 3)))


def test_the_seeds_columns_come_first_in_every_protocol():
    seed = [metric.column for metric in metrics_of("seed")]
    for protocol in PROTOCOLS:
        assert [metric.column for metric in metrics_of(protocol)][:4] == seed
    assert metrics_of("all") == METRICS
    assert [m.column for m in metrics_of("synthrad2023")][4:] == ["psnr_db_synthrad2023", "ssim_synthrad2023"]
    assert [m.column for m in metrics_of("synthrad2025")][4:] == ["psnr_db_synthrad2025", "ms_ssim_synthrad2025"]
    with pytest.raises(DatasetError, match="'nnunet'"):
        metrics_of("nnunet")
    assert metrics_in(["psnr_db", "mae_hu"]) == METRICS[:2]


def test_columns_are_measured_in_order_and_once_each():
    values = measure(heads())
    assert list(values) == [metric.column for metric in METRICS] and len(set(values)) == len(METRICS)
    assert all(map(math.isfinite, values.values()))
