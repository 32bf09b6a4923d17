"""Codings: from intensities to what networks see, and back; what is known of a case's MR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthct.imaging.coding import PERCENTS, Coding, GreyLevels, MrStatistics, MrWindow, Standardised
from synthct.imaging.intensity import to_grey_levels, to_network
from synthct.json_dataclasses import from_plain, to_plain
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

RNG = np.random.default_rng(0)
HEADS = {
    "noise": RNG.gamma(3, 300, 9973).astype(np.float32),
    "few values": RNG.integers(0, 5, 1000).astype(np.float32),
    "int16": RNG.integers(-300, 4000, 5001).astype(np.int16),
    "uint16": RNG.integers(0, 65000, 200).astype(np.uint16),
    "one voxel": np.float32([7.5]),
}
half_percents = st.integers(0, 200).map(lambda halves: halves / 2)


# -- statistics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", list(HEADS))
def test_statistics_are_numpys(head):
    inside = HEADS[head]
    statistics = MrStatistics.of(inside)
    assert statistics.percentiles.shape == PERCENTS.shape == (201,) and statistics.percentiles.dtype == np.float64
    assert statistics.mean == pytest.approx(inside.mean(dtype=float), rel=1e-6)
    assert statistics.sd == pytest.approx(inside.std(dtype=float), rel=1e-6)
    assert (statistics.percentile(0), statistics.percentile(100)) == (inside.min(), inside.max())


@given(st.sampled_from(sorted(HEADS)), half_percents, half_percents)
def test_a_percentile_window_is_exactly_numpys_at_multiples_of_half_a_percent(head, percentile, other):
    low, high = sorted((percentile, other))
    if low == high:
        return
    inside = HEADS[head]
    in_force = MrWindow("percentile", low, high).in_force(MrStatistics.of(inside))
    by_numpy = np.percentile(inside, (low, high))
    assert in_force == (by_numpy[0], max(by_numpy[1], by_numpy[0] + 1e-6))


def test_between_them_a_percentile_is_interpolated():
    inside = HEADS["noise"]
    statistics = MrStatistics.of(inside)
    for percent in (0.1, 33.3, 98.76):
        below, above = (statistics.percentile(round(2 * percent + side) / 2) for side in (-0.5, 0.5))
        assert below <= statistics.percentile(percent) <= above
        share = (inside < statistics.percentile(percent)).mean()
        assert share == pytest.approx(percent / 100, abs=0.005)


def test_a_fixed_window_is_itself_whatever_the_case():
    assert MrWindow("fixed", -5, 3500).in_force(MrStatistics.of(HEADS["noise"])) == (-5, 3500)


def test_of_a_head_of_one_value_the_window_still_has_a_width():
    low, high = MrWindow("percentile", 0, 100).in_force(MrStatistics.of(np.full(9, 3.0, np.float32)))
    assert low == 3 and high > low


# -- grey levels -------------------------------------------------------------------------------------------------------

levels = st.integers(2, 256)


@given(st.floats(-30000, 30000), st.floats(1.01, 2000), levels, st.lists(st.floats(0, 1), min_size=1))
def test_hu_in_the_window_come_back_within_half_a_level(low, width, grey_levels, shares):
    coding = GreyLevels(ct_window_hu=(low, low + width), grey_levels=grey_levels)
    hu = np.float32([low + share * width for share in shares]).reshape(1, -1)
    network = coding.ct_to_network(hu, np.ones(hu.shape, bool))
    assert network.dtype == np.float32 and network.shape == hu.shape
    assert -1 <= network.min() and network.max() <= 1 + 1e-6
    rounding = 8 * float(np.spacing(np.float32(max(abs(low), abs(low + width)))))
    assert np.abs(coding.network_to_hu(network) - hu).max() <= width / (grey_levels - 1) / 2 * 1.001 + rounding


def test_what_is_not_inside_is_black_in_both():
    coding = GreyLevels(mr_windows=(MrWindow("fixed", -100, 100), MrWindow("percentile", 1, 99)))
    assert coding.mr_outside == coding.ct_outside == -1
    inside = RNG.random((2, 8, 8)) < 0.5
    mr = RNG.normal(50, 10, (2, 8, 8)).astype(np.float32)
    coded = coding.mr_to_network(mr, inside, [MrStatistics.of(channel) for channel in mr])
    assert (coded[~inside] == -1).all() and (coded[0][inside[0]] > -1).all()
    ct = coding.ct_to_network(np.full((8, 8), 1000, np.float32), inside[0])
    assert (ct[~inside[0]] == -1).all() and (ct[inside[0]] > 0.5).all()


def test_every_channel_has_the_window_of_its_own_statistics():
    coding = GreyLevels(mr_windows=(MrWindow("fixed", 0, 3500), MrWindow("percentile", 0.5, 99.5)))
    mr = np.stack([HEADS["noise"][:900].reshape(30, 30), 0.01 * HEADS["noise"][:900].reshape(30, 30)])
    statistics = [MrStatistics.of(channel) for channel in mr]
    coded = coding.mr_to_network(mr, np.ones(mr.shape, bool), statistics)
    windows = [(0, 3500), tuple(np.percentile(mr[1], (0.5, 99.5)))]
    for channel, intensities, window in zip(coded, mr, windows):
        np.testing.assert_array_equal(channel, to_network(to_grey_levels(intensities, window)))


def test_images_that_are_coded_are_not_changed():
    mr, hu, inside = np.ones((1, 4, 4), np.float32), np.ones((4, 4), np.float32), np.zeros((4, 4), bool)
    GreyLevels().mr_to_network(mr, inside[None], [MrStatistics.of(mr)])
    GreyLevels().ct_to_network(hu, inside)
    assert (mr == 1).all() and (hu == 1).all() and not inside.any()


def test_it_says_what_it_shows_and_what_it_expects():
    windows = (MrWindow("fixed", 0, 10), MrWindow("percentile", 1, 99))
    coding = GreyLevels(ct_window_hu=(-1000.0, 2000.0), mr_windows=windows, grey_levels=64)
    assert coding.hu_range == (-1000, 2000) and coding.expected_mr(2) == windows
    assert coding.network_to_hu(np.float32([-1, 0, 1])) == pytest.approx([-1000, 500, 2000], abs=0.01)
    coding.check_channels(2)
    with pytest.raises(ValueError, match="2 windows for 1"):
        coding.check_channels(1)
    assert from_plain(GreyLevels, to_plain(coding), "p", complete=True) == coding


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ct_window_hu": (1400.0, -600.0)}, "ct_window_hu"),
        ({"ct_window_hu": (0.0, 0.5)}, "ct_window_hu"),
        ({"ct_window_hu": (-40000.0, 0.0)}, "ct_window_hu"),
        ({"ct_window_hu": (0.0, 40000.0)}, "ct_window_hu"),
        ({"grey_levels": 1}, "grey_levels"),
        ({"grey_levels": 257}, "grey_levels"),
    ],
)
def test_windows_and_levels_that_cannot_be_are_refused(changes, key):
    with pytest.raises(ValueError, match=key):
        GreyLevels(**changes)


# -- a coding of one's own ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kilo(Coding):
    """HU / 1000, and MR in SDs around its mean: the three methods and the range, nothing else."""

    mr_outside = 0.0
    ct_outside = -1.0

    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        coded = np.stack([(channel - of.mean) / of.sd for channel, of in zip(mr, statistics)])
        return np.where(inside, coded, self.mr_outside).astype(np.float32)

    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        return np.where(inside, hu / 1000, self.ct_outside).astype(np.float32)

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return output * 1000

    @property
    def hu_range(self) -> tuple[float, float]:
        return -1000.0, 3000.0


def test_a_coding_of_ones_own_needs_three_methods_and_a_range():
    coding = Kilo()
    mr = np.full((1, 2, 8, 8), OUTSIDE, np.int16)
    mr[0, 1, :4] = RNG.integers(100, 200, (4, 8))
    ct = np.where(mr[0] == OUTSIDE, OUTSIDE, 500).astype(np.int16)
    inside = mr[0, 1, :4].astype(float)
    stack = SliceStack("P", mr, ct, np.zeros(ct.shape, np.uint8), "sagittal", (0.5,), (MrStatistics.of(inside / 2),))
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), coding)
    coded = network_input.mr(stack, 1)
    assert coded[0, :4].mean() == pytest.approx(0, abs=1e-5) and coded[0, :4].std() == pytest.approx(1, abs=1e-5)
    assert (coded[0, 4:] == 0).all()
    assert (network_input.ct(stack, 1)[0, :4] == 0.5).all() and (network_input.ct(stack, 1)[0, 4:] == -1).all()
    assert network_input.shown(stack).tolist() == [1]
    assert coding.expected_mr(2) == (MrWindow("percentile", 0, 100),) * 2
    coding.check_channels(17)


@pytest.mark.parametrize("missing", ["mr_to_network", "ct_to_network", "network_to_hu", "hu_range"])
def test_a_coding_that_lacks_one_of_them_cannot_be_made(missing):
    members = {name: value for name, value in vars(Kilo).items() if name != missing and not name.startswith("__")}
    with pytest.raises(TypeError, match=missing):
        type("Incomplete", (Coding,), members)()


# -- standardised ------------------------------------------------------------------------------------------------------


def test_standardised_mr_has_the_heads_mean_and_sd_and_clips_beyond_the_percentiles():
    head = HEADS["noise"]
    coded = Standardised(mr_percentiles=(0, 100)).mr_to_network(head[None], head[None] >= 0, [MrStatistics.of(head)])
    assert coded.mean() == pytest.approx(0, abs=1e-3)
    assert coded.std() == pytest.approx(1, rel=1e-3)
    clipped = Standardised().mr_to_network(head[None], head[None] >= 0, [MrStatistics.of(head)])
    assert clipped.max() == pytest.approx((np.percentile(head, 99.5) - head.mean()) / head.std(), rel=1e-3)


def test_standardised_mr_does_not_depend_on_the_scanners_units():
    head = HEADS["noise"]
    inside = np.ones((1, head.size), bool)
    first, second = (
        Standardised().mr_to_network(scale * head[None], inside, [MrStatistics.of(scale * head)]) for scale in (1, 37)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_standardised_mr_of_one_intensity_is_finite():
    head = np.full((1, 9), 5.0, np.float32)
    coded = Standardised().mr_to_network(head, np.ones_like(head, bool), [MrStatistics.of(head[0])])
    assert np.isfinite(coded).all()


def test_standardised_ct_keeps_every_hu_of_a_ct_and_its_outside_is_air():
    coding = Standardised()
    hu = np.arange(-1024, 3072, dtype=np.float32)
    coded = coding.ct_to_network(hu, hu > -1024)
    assert coded[0] == coding.ct_outside == -1
    np.testing.assert_array_equal(np.rint(coding.network_to_hu(coded[1:])), hu[1:])
    assert coding.network_to_hu(np.float32([-5, 9])).tolist() == [-1024, 3071] == list(coding.hu_range)


@pytest.mark.parametrize(
    ("key", "settings"),
    [("hu_low", {"hu_low": 100.0, "hu_high": 0.0}), ("mr_percentiles", {"mr_percentiles": (50.0, 50.0)})],
)
def test_a_standardised_coding_out_of_range_names_the_key(key, settings):
    with pytest.raises(ValueError, match=key):
        Standardised(**settings)
