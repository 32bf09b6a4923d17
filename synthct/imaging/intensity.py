"""HU or MR units -> grey levels -> network units, and back (Wolterink et al., section 4: 256 levels)."""

from __future__ import annotations

import numpy as np


def to_grey_levels(values: np.ndarray, window: tuple[float, float], levels: int = 256) -> np.ndarray:
    """Spread ``window`` uniformly over ``levels`` grey levels; what lies outside takes the nearest level.

    Args:
        values: any shape, in HU (CT) or scanner units (MR).
        window: (low, high), low becomes 0, high becomes ``levels - 1``.

    Returns:
        uint8, same shape. The inverse is off by at most half a level: (high - low) / (levels - 1) / 2.
    """
    low, high = window
    share = np.array(values, np.float32)
    share -= low
    share *= (levels - 1) / (high - low)
    np.clip(share, 0, levels - 1, out=share)
    return np.rint(share, out=share).astype(np.uint8)


def from_grey_levels(grey: np.ndarray, window: tuple[float, float], levels: int = 256) -> np.ndarray:
    """Inverse of :func:`to_grey_levels`; float32, also of fractional grey levels."""
    low, high = window
    return np.asarray(grey, np.float32) * ((high - low) / (levels - 1)) + np.float32(low)


def to_network(grey: np.ndarray, levels: int = 256) -> np.ndarray:
    """Grey levels 0..levels-1 -> float32 in [-1, 1], the range of the generator's tanh."""
    values = np.array(grey, np.float32)
    values *= 2 / (levels - 1)
    values -= 1
    return values


def from_network(values: np.ndarray, levels: int = 256) -> np.ndarray:
    """Inverse of :func:`to_network`: [-1, 1] -> fractional grey levels, float32, not rounded."""
    return (np.asarray(values, np.float32) + 1) * ((levels - 1) / 2)


def to_int16(values: np.ndarray, window: tuple[float, float], levels: int = 256, step: float = 1.0) -> np.ndarray:
    """Values as whole multiples of ``step``, rounded such that each keeps its grey level of ``window``.

    The nearest multiple is taken, unless the edge between two grey levels lies between it and the value: then the
    other neighbour, which is less than one step away. So methods that work in grey levels see exactly what they would
    see of the values themselves.

    Args:
        values: any shape, float32.
        window: (low, high) of the grey levels, wider than ``levels`` steps.
        step: of the result: ``result * step`` approximates ``values``.

    Returns:
        int16, same shape, in [-32767, 32767].
    """
    values = np.asarray(values, np.float32)
    nearest = np.rint(np.clip(values / np.float32(step), -32767, 32767))
    moved = to_grey_levels(nearest * np.float32(step), window, levels) != to_grey_levels(values, window, levels)
    nearest[moved] += np.sign(values[moved] - nearest[moved] * np.float32(step))
    return np.clip(nearest, -32767, 32767).astype(np.int16)
