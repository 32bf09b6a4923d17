"""95 % intervals of a mean over patients: by bootstrap, and Student's."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import stats

MIN_PATIENTS = 3  # of fewer an interval says nothing
CONFIDENCE = 0.95
_RESAMPLES, _SEED = 9999, 0
_NONE = (math.nan, math.nan)


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean: bias-corrected and accelerated bootstrap (BCa; Efron 1987), 9999 resamples, seed 0.

    Patients are drawn, with replacement. The interval needs no normal distribution, but of few patients (below about
    ten) it is too narrow.

    Args:
        values: one a patient (n,).

    Returns:
        (low, high); NaN for fewer than 3 values or one that is not finite, the value itself where all are equal.
    """
    if len(values) < MIN_PATIENTS or not np.isfinite(values).all():
        return _NONE
    if _are_equal(values):
        return float(values[0]), float(values[0])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # where BCa is degenerate it is NaN
        for method in ("BCa", "percentile"):
            generator = np.random.default_rng(_SEED)
            found = stats.bootstrap(
                (values,),
                np.mean,
                n_resamples=_RESAMPLES,
                batch=500,
                confidence_level=CONFIDENCE,
                method=method,
                random_state=generator,
            ).confidence_interval
            if math.isfinite(found.low) and math.isfinite(found.high):
                break
    return float(found.low), float(found.high)


def student_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of normal values: mean +- t SD / sqrt(n), n - 1 degrees of freedom.

    It excludes 0 exactly where the t-test of the same values is significant at the 5 % level.

    Returns:
        (low, high); NaN for fewer than 2 values, the value itself where all are equal.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return _NONE
    mean = float(values.mean())
    if _are_equal(values):
        return mean, mean
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean - half, mean + half


def _are_equal(values: np.ndarray) -> bool:
    """But for rounding."""
    return bool(np.ptp(values) <= 1e-9 * max(1.0, abs(float(values.mean()))))
