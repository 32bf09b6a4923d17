"""The range that a measurement is compared with, from what other patients have.

The range is median +- k s. s = 1.4826 MAD, a robust SD, but at least a floor that says which difference matters.
k is the two-sided 99.9 % quantile of Student's t for a new patient, t(n - 1) sqrt(1 + 1 / n), and so wider the fewer
patients there are: 9.4 for 5, 4.6 for 12, 3.5 for 50. Below five patients t explodes while the spread is hardly known;
k stays at 9.4. What is positive and varies in proportion (lengths, volumes, errors) is treated as its logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.999
FEWEST = 5  # patients whose t is taken
Side = Literal["both", "low", "high"]
FAIL_AT = 2.0  # times the half width of the range


@dataclass(frozen=True)
class Limits:
    """low..high pass; up to twice as far from the middle is to be checked; beyond fails."""

    low: float
    high: float
    fail_low: float
    fail_high: float
    n_patients: int

    def status(self, value: float) -> Literal["pass", "check", "fail"]:
        """Where a value lies."""
        if self.low <= value <= self.high:
            return "pass"
        return "check" if self.fail_low <= value <= self.fail_high else "fail"


def coverage_factor(n_patients: int) -> float:
    """k of n patients."""
    n = max(n_patients, FEWEST)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.sqrt(1 + 1 / n))


def limits_of(
    values: Sequence[float],
    *,
    floor: float,
    proportional: bool = False,
    side: Side = "both",
    widened: float = 1.0,
) -> Limits:
    """The limits from the values of other patients.

    Args:
        values: at least one; above 0 where ``proportional``.
        floor: the least s: in the unit of the values, or a share where ``proportional``.
        side: which side can be wrong.
        widened: factor on the upper end, for values that are known to be too low.
    """
    known = np.asarray(values, float)
    if proportional:
        known = np.log(np.maximum(known, 1e-9))
    middle = float(np.median(known))
    robust_sd = max(1.4826 * float(np.median(np.abs(known - middle))), floor)
    half = coverage_factor(len(known)) * robust_sd
    ends = np.array([middle - half, middle + half, middle - FAIL_AT * half, middle + FAIL_AT * half])
    if proportional:
        ends = np.exp(ends)
    low, high, fail_low, fail_high = ends.tolist()
    if side == "high":
        low = fail_low = -np.inf
    if side == "low":
        high = fail_high = np.inf
    return Limits(low, high * widened, fail_low, fail_high * widened, len(known))
