"""Whatever the window and the values: to grey levels and back is within half a level, and keeps the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthct.imaging.coding import MrWindow
from synthct.imaging.intensity import from_grey_levels, from_network, to_grey_levels, to_int16, to_network

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


# -- 16 bits -----------------------------------------------------------------------------------------------------------

steps = st.integers(-30, 10).map(lambda exponent: 2.0**exponent)


@st.composite
def windows_in_steps(draw) -> tuple[tuple[float, float], int, float]:
    """A window wider than as many steps as it has grey levels, these, and the step of the 16-bit values."""
    step, n = draw(steps), draw(levels)
    low = draw(st.floats(-20_000, 10_000))
    width = draw(st.floats(n * 1.01 + 1, 20_000))
    return (low * step, (low + width) * step), n, step


near_edges = st.lists(st.tuples(st.integers(0, 254), st.floats(-1, 1)), max_size=50)  # an edge, steps away from it


@given(windows_in_steps(), st.lists(st.floats(-32_766, 32_766, width=32), min_size=1), near_edges)
def test_in_16_bits_every_value_keeps_its_grey_level_and_moves_by_a_step_at_most(case, in_steps, near):
    (low, high), n, step = case
    edges = [low + (edge % (n - 1) + 0.5) * (high - low) / (n - 1) + away * step for edge, away in near]
    values = np.float32([*(np.array(in_steps) * step), *edges])
    stored = to_int16(values, (low, high), n, step)
    assert stored.dtype == np.int16 and stored.min() >= -32_767
    kept = stored.astype(np.float32) * np.float32(step)
    assert (to_grey_levels(kept, (low, high), n) == to_grey_levels(values, (low, high), n)).all()
    assert (np.abs(kept.astype(float) - values) <= step).all()


@given(st.sampled_from([(-600.0, 1400.0), (0.0, 3500.0)]), st.integers(0, 2**32 - 1))
def test_the_references_windows_are_kept_next_to_every_edge_between_two_grey_levels(window, seed):
    low, high = window
    edges = low + (np.arange(255) + 0.5) * (high - low) / 255
    near = np.random.default_rng(seed).normal(0, 1e-3, (20, 255)) * 10.0 ** np.arange(-3, 1, 0.2)[:, None]
    values = np.float32(edges + near)
    stored = to_int16(values, window)
    assert (to_grey_levels(stored, window) == to_grey_levels(values, window)).all()
    assert np.abs(stored - values).max() <= 1


@given(st.lists(st.floats(-1e20, 1e20), min_size=1), steps)
def test_whatever_the_value_16_bits_never_hold_the_mark_of_what_is_outside(values, step):
    stored = to_int16(np.float32(values), (0.0, 300 * step), 256, step)
    assert stored.min() > -32_768
    # Beyond what 16 bits hold the ends take the place of the value.
    beyond = np.abs(np.float32(values)) > 32_767 * step
    assert (np.abs(stored[beyond]) == 32_767).all() and (np.sign(stored[beyond]) == np.sign(values)[beyond]).all()


def test_whole_multiples_of_the_step_are_exact():
    whole = np.arange(-32_767, 32_768, dtype=np.float32)
    for step in (1.0, 0.25, 2.0**-20, 8.0):
        assert (to_int16(whole * np.float32(step), (-600 * step, 1400 * step), 256, step) == whole).all()
