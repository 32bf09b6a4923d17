import math

import numpy as np
import pytest
from scipy import stats

from synthct.evaluation.intervals import bootstrap_interval, student_interval

VALUES = np.random.default_rng(0).gamma(2.0, 10.0, 30)


def test_the_bootstrap_interval_is_the_same_every_time_and_holds_the_mean():
    low, high = bootstrap_interval(VALUES)
    assert (low, high) == bootstrap_interval(VALUES)
    assert low < VALUES.mean() < high


def test_bca_follows_efrons_formula():
    # Bias correction from the share of resampled means below the mean, acceleration from the jackknife.
    rng = np.random.default_rng(1)
    means = rng.choice(VALUES, (20000, len(VALUES))).mean(axis=1)
    z0 = stats.norm.ppf((means < VALUES.mean()).mean())
    left_out = np.array([np.delete(VALUES, i).mean() for i in range(len(VALUES))])
    d = left_out.mean() - left_out
    a = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    levels = [stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in stats.norm.ppf([0.025, 0.975])]
    assert bootstrap_interval(VALUES) == pytest.approx(np.quantile(means, levels), abs=0.3)


def test_the_bootstrap_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(40):
        low, high = bootstrap_interval(rng.normal(50, 5, 25))
        hits += low <= 50 <= high
    assert 33 <= hits <= 40


def test_students_interval_is_scipys():
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert student_interval(VALUES) == pytest.approx((expected.low, expected.high))


def test_too_few_equal_or_infinite_values():
    assert all(map(math.isnan, bootstrap_interval(np.array([1.0, 2.0]))))
    assert all(map(math.isnan, student_interval(np.array([1.0]))))
    for interval in (bootstrap_interval, student_interval):
        assert interval(np.array([4.0, 4.0, 4.0])) == (4.0, 4.0)
        assert all(map(math.isnan, interval(np.array([1.0, 2.0, math.inf]))))


@pytest.mark.parametrize("values", [[1.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1e-3]])
def test_hardly_different_values_have_an_interval_and_no_warning(values, recwarn):
    low, high = bootstrap_interval(np.array(values))
    assert min(values) <= low <= np.mean(values) <= high <= max(values)
    assert not recwarn.list
