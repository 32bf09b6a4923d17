"""Small pairs of sCT and CT for the tests of the metrics."""

from __future__ import annotations

import numpy as np

from synthct.evaluation.metrics import VolumePair
from synthct.imaging.geometry import Grid

SHAPE = (34, 38, 36)  # (z, y, x)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid_of(shape, spacing_mm_xyz=(1.0, 1.0, 1.0), direction=STRAIGHT) -> Grid:
    """A grid for arrays (z, y, x) of this shape."""
    return Grid(tuple(shape[::-1]), tuple(spacing_mm_xyz), (0.0, 0.0, 0.0), tuple(direction))


def ball(shape=SHAPE, radius=14.0) -> np.ndarray:
    """A bool ball in the middle (z, y, x)."""
    centre = [(size - 1) / 2 for size in shape]
    return sum((axis - middle) ** 2 for axis, middle in zip(np.indices(shape), centre)) <= radius**2


def heads(error_hu: float = 80.0, seed: int = 0, **geometry) -> VolumePair:
    """Noisy anatomy with air, soft tissue and bone in a ball, and an sCT that is off by noise of this SD."""
    rng = np.random.default_rng(seed)
    mask = ball()
    ct = np.where(mask, rng.normal(30, 20, SHAPE), -1000.0)
    ct[ball(radius=14.0) & ~ball(radius=12.0)] += 600
    ct[14:19, 16:21, 15:20] = -900
    sct = ct + rng.normal(0, error_hu, SHAPE) * mask if error_hu else ct.copy()
    return VolumePair(sct.astype(np.float32), ct.astype(np.float32), mask, grid_of(SHAPE, **geometry), 2, mask, mask)


def pair_of(sct, ct, mask=None, **options) -> VolumePair:
    """A pair of arrays (z, y, x) in voxels of 1 mm; all of it is compared without a mask."""
    mask = np.ones(ct.shape, bool) if mask is None else mask
    return VolumePair(sct, ct, mask, grid_of(ct.shape), **options)
