"""Ranges from few and many patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from synthct.qa.acceptance_range import coverage_factor, limits_of

NORMAL = np.random.default_rng(0).normal(10, 2, 20)


def test_the_range_is_a_prediction_interval_of_students_t():
    k = stats.t.isf(0.0005, 11) * math.sqrt(1 + 1 / 12)
    assert coverage_factor(12) == pytest.approx(k) and k == pytest.approx(4.62, abs=0.01)
    limits = limits_of([9, 10, 11] * 4, floor=0.1)
    assert (limits.low, limits.high) == (pytest.approx(10 - k * 1.4826), pytest.approx(10 + k * 1.4826))


def test_fewer_patients_make_a_wider_range_down_to_five():
    factors = [coverage_factor(n) for n in (50, 24, 12, 8, 5)]
    assert factors == sorted(factors)
    assert coverage_factor(1) == coverage_factor(3) == coverage_factor(5)


def test_an_outlier_among_the_patients_does_not_widen_the_range():
    clean, spoilt = (limits_of(values, floor=0.1) for values in (NORMAL, [*NORMAL[:-1], 1e6]))
    assert spoilt.high < clean.high * 1.3


def test_equal_patients_leave_the_floor():
    limits = limits_of([10.0] * 12, floor=0.5)
    assert limits.high - 10 == pytest.approx(0.5 * coverage_factor(12))


def test_beyond_the_range_is_to_be_checked_and_twice_as_far_fails():
    limits = limits_of([10.0] * 12, floor=0.5)
    half = limits.high - 10
    statuses = [limits.status(10 + share * half) for share in (-2.1, -1.9, -1.1, -0.9, 0.9, 1.1, 1.9, 2.1)]
    assert statuses == ["fail", "check", "check", "pass", "pass", "check", "check", "fail"]


def test_what_is_proportional_has_a_range_of_ratios():
    limits = limits_of([1.0] * 12, floor=0.1, proportional=True)
    assert limits.low * limits.high == pytest.approx(1)
    assert limits.status(1e-6) == limits.status(1e6) == "fail"


def test_one_side_alone_can_be_wrong():
    assert limits_of([1.0] * 12, floor=0.1, proportional=True, side="high").status(1e-9) == "pass"
    assert limits_of([1.0] * 12, floor=0.1, side="low").status(1e9) == "pass"
