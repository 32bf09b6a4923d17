"""HU or MR units -> grey levels -> network units, and back."""

from __future__ import annotations

import numpy as np
import pytest

from synthct.imaging.intensity import from_grey_levels, from_network, to_grey_levels, to_network

WINDOWS = [(-600.0, 1400.0), (0.0, 3500.0), (-0.3, 0.7), (1e4, 6e4)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("levels", [256, 64, 2])
def test_the_way_to_grey_levels_and_back_errs_by_half_a_level(window, levels):
    low, high = window
    values = np.linspace(low, high, 5001)
    back = from_grey_levels(to_grey_levels(values, window, levels), window, levels)
    assert np.abs(back - values).max() <= (high - low) / (levels - 1) / 2 * 1.001


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("levels", [256, 64])
def test_the_ends_of_the_window_are_the_first_and_the_last_level(window, levels):
    grey = to_grey_levels(np.array(window), window, levels)
    assert grey.dtype == np.uint8
    assert grey.tolist() == [0, levels - 1]
    assert from_grey_levels(grey, window, levels) == pytest.approx(window)


def test_beyond_the_window_lies_the_nearest_level():
    grey = to_grey_levels(np.array([-3024, -601, 1401, 30000], np.int16), (-600, 1400))
    assert grey.tolist() == [0, 0, 255, 255]


def test_grey_levels_are_spread_uniformly():
    grey = to_grey_levels(np.linspace(-600, 1400, 255 * 100 + 1), (-600, 1400))
    counts = np.bincount(grey)
    assert len(counts) == 256
    assert set(counts[1:-1]) <= {99, 100, 101}
    assert counts[0] == pytest.approx(50, abs=1) and counts[-1] == pytest.approx(50, abs=2)


@pytest.mark.parametrize("levels", [256, 64, 2])
def test_the_network_sees_minus_one_to_one_and_back_is_exact(levels):
    grey = np.arange(levels, dtype=np.uint8)
    values = to_network(grey, levels)
    assert values.dtype == np.float32
    assert (values[0], values[-1]) == (-1, 1)
    assert from_network(values, levels) == pytest.approx(grey, abs=1e-4)


def test_network_output_is_not_rounded_to_grey_levels():
    assert from_grey_levels(from_network(np.float32(0.001)), (-600, 1400)) == pytest.approx(401.0, abs=1e-3)


def test_shapes_are_kept():
    values = np.zeros((2, 3, 4, 5), np.int16)
    assert from_network(to_network(to_grey_levels(values, (0, 1)))).shape == values.shape
