"""Cached slices of noise, for tests."""

from __future__ import annotations

import numpy as np

from synthct.imaging.coding import MrStatistics
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

RNG = np.random.default_rng(0)
SHAPE = (6, 24, 20)


def stack_of(mr: bool = True, ct: bool = True) -> SliceStack:
    """Noise in both, some of it outside; two MR channels."""

    def noise(low: int, high: int, *shape: int) -> np.ndarray:
        values = RNG.integers(low, high, shape).astype(np.int16)
        return np.where(RNG.random(shape) < 0.3, OUTSIDE, values).astype(np.int16)

    return SliceStack(
        "P.1",
        noise(-100, 4000, 2, *SHAPE) if mr else None,
        noise(-1024, 3000, *SHAPE) if ct else None,
        RNG.integers(0, 8, SHAPE, np.uint8),
        mr_steps=(0.5, 0.25) * mr,
        mr_statistics=tuple(MrStatistics.of(RNG.normal(500, 100, 99)) for _ in range(2 * mr)),
        info={"made_from": "key", "grid": [1.5, 2]},
    )


def assert_same(first: SliceStack, second: SliceStack) -> None:
    assert (first.patient, first.plane, first.info, first.mr_steps) == (
        second.patient,
        second.plane,
        second.info,
        second.mr_steps,
    )
    for a, b in zip(first.mr_statistics, second.mr_statistics, strict=True):
        assert (a.mean, a.sd) == (b.mean, b.sd)
        np.testing.assert_array_equal(a.percentiles, b.percentiles)
    for name in ("mr", "ct", "regions"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b))
