"""Whatever the window and the values: to grey levels and back is within half a level, and keeps the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthct.imaging.coding import MrWindow
from synthct.imaging.intensity import from_grey_levels, from_network, to_grey_levels, to_network

levels = st.integers(2, 256)


@st.composite
def windows(draw) -> tuple[float, float]:
    """Every window that a plan may hold."""
    low = draw(st.floats(-1e12, 1e12))
    width = draw(st.floats(1e-12, 1e12))
    high = low + width
    try:
        MrWindow("fixed", low, high)
    except ValueError:
        low, high = 0.0, width
    return low, high


@given(windows(), levels, st.lists(st.floats(0, 1), min_size=1))
def test_a_value_in_the_window_comes_back_within_half_a_grey_level(window, levels, shares):
    low, high = window
    values = np.clip(low + np.array(shares) * (high - low), low, high)
    back = from_grey_levels(to_grey_levels(values, window, levels), window, levels)
    half_level = (high - low) / (levels - 1) / 2
    rounding = 4 * float(np.spacing(np.float32(max(abs(low), abs(high)))))
    assert np.abs(back.astype(float) - values).max() <= half_level * 1.001 + rounding


@given(windows(), levels, st.lists(st.floats(-1e20, 1e20), min_size=2))
def test_grey_levels_keep_the_order_of_any_values_and_stay_in_range(window, levels, values):
    ordered = np.sort(np.array(values))
    grey = to_grey_levels(ordered, window, levels).astype(int)
    assert (np.diff(grey) >= 0).all()
    assert 0 <= grey.min() and grey.max() <= levels - 1


@given(levels)
def test_every_grey_level_comes_back_exactly_through_the_network_s_range(levels):
    grey = np.arange(levels, dtype=np.uint8)
    values = to_network(grey, levels)
    assert values.min() == -1 and abs(values.max() - 1) < 1e-6
    assert (np.rint(from_network(values, levels)) == grey).all()


@given(windows(), levels)
def test_every_grey_level_is_found_again_from_its_own_value(window, levels):
    grey = np.arange(levels, dtype=np.uint8)
    low, high = window
    if (high - low) / levels < 8 * float(np.spacing(np.float32(max(abs(low), abs(high))))):
        return  # float32 has too few values in so narrow a window so far from zero
    assert (to_grey_levels(from_grey_levels(grey, window, levels), window, levels) == grey).all()
