"""Several folds over a patient's slices: mean or median in HU, their spread, the way back to MR, and neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from own_methods import Copy, CopyChannel, NotTrained, Thousands

from synthct.imaging.coding import GreyLevels, MrStatistics, MrWindow
from synthct.inference.synthesis import NetworkOutput, SynthesisOptions, combined, over_planes, synthesize_stack
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import HEAD, MR_KNOWN, OUTSIDE, SliceStack
from synthct.training.trainer import Network

GREY_LEVELS = GreyLevels(mr_windows=(MrWindow("fixed", 0, 1000),))
CPU = torch.device("cpu")


class Constant(torch.nn.Module):
    """Answers with one value, whatever it is shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.shown = value, 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.shown += len(batch)
        return torch.full_like(batch[:, :1], self.value)


class ThereAndBack(NotTrained):
    """A network to CT, and one back to MR where a fold has it."""

    @classmethod
    def build_networks(cls, configuration: object, settings: object) -> dict[str, torch.nn.Module]:
        raise NotImplementedError

    @classmethod
    def reconstruct(cls, networks: Mapping[str, Network], sct: torch.Tensor) -> torch.Tensor | None:
        return networks["syn_mr"](sct) if "syn_mr" in networks else None


def stack_of(mr: np.ndarray, plane: str = "sagittal") -> SliceStack:
    """Slices of an MR in scanner units, int16 (slices, rows, cols); OUTSIDE where there is no head."""
    regions = np.where(mr != OUTSIDE, HEAD | MR_KNOWN, MR_KNOWN).astype(np.uint8)
    statistics = (MrStatistics.of(mr[mr != OUTSIDE].astype(float)),)
    return SliceStack("P", mr[None], None, regions, plane=plane, mr_steps=(1.0,), mr_statistics=statistics)


@pytest.fixture
def stack() -> SliceStack:
    """Twenty slices, the first two and the last without head; 1000, or 1 to the network, in the head."""
    mr = np.full((20, 8, 8), 1000, np.int16)
    mr[[0, 1, 19]] = OUTSIDE
    return stack_of(mr)


def run(
    stack: SliceStack, values: tuple[float, ...], back: tuple[float, ...] = (), coding=GREY_LEVELS, **options
) -> tuple[NetworkOutput, list[dict[str, Constant]]]:
    folds = [{"syn_ct": Constant(value)} for value in values]
    for fold, value in zip(folds, back):
        fold["syn_mr"] = Constant(value)
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), coding)
    return synthesize_stack(stack, ThereAndBack, network_input, folds, CPU, SynthesisOptions(**options)), folds


def shown(folds: list[dict[str, Constant]], name: str) -> list[int]:
    """How many slices each fold's network was shown."""
    return [fold[name].shown for fold in folds]


def test_folds_are_combined_by_mean_or_median(stack):
    values = (0.0, 0.1, 0.8)  # 400, 500 and 1200 HU
    assert run(stack, values)[0].sct_hu[5] == pytest.approx(700)
    assert run(stack, values, combine="median")[0].sct_hu[5] == pytest.approx(500)
    assert run(stack, (*values, 0.3), combine="median")[0].sct_hu[5] == pytest.approx(600)


def test_the_median_is_that_of_numpy():
    for n in (1, 2, 5, 6):
        folds = torch.from_numpy(np.random.default_rng(n).normal(size=(n, 3, 4)))
        assert np.allclose(combined(folds, "median"), np.median(folds.numpy(), axis=0))


def test_the_spread_is_the_sample_sd_over_the_folds_in_hu(stack):
    spread = run(stack, (0.0, 0.1, 0.8))[0].spread_hu
    assert spread[5] == pytest.approx(np.std([0, 100, 800], ddof=1), rel=1e-5)
    assert run(stack, (0.5,))[0].spread_hu is None


class Squares(Thousands):
    """HU are 1000 times the square of the network's output."""

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return np.float32(1000) * output**2


def test_folds_are_combined_in_hu_whatever_the_network_s_units(stack):
    values = (0.0, 0.5, 1.0)  # 0, 250 and 1000 HU; the mean output would be 250 HU
    output, _ = run(stack, values, coding=Squares())
    assert output.sct_hu[5] == pytest.approx(1250 / 3)
    assert output.spread_hu[5] == pytest.approx(np.std([0, 250, 1000], ddof=1), rel=1e-5)
    assert run(stack, values[1:], coding=Squares(), combine="median")[0].sct_hu[5] == pytest.approx(625)


def test_slices_without_head_are_air_without_doubt_and_cost_nothing(stack):
    output, folds = run(stack, (0.0, 1.0), (0.0, 0.0), cycle_every=1)
    for place in (0, 1, 19):
        assert (output.sct_hu[place] == -600).all() and not output.spread_hu[place].any()
        assert np.isnan(output.cycle_error[place]).all()  # they did not go back to MR
    assert shown(folds, "syn_ct") + shown(folds, "syn_mr") == [17] * 4


def test_the_cycle_error_is_the_mean_of_the_folds_errors_in_percent_of_the_range(stack):
    output, _ = run(stack, (0.0, 0.0), (0.5, 0.9), cycle_every=1)
    assert output.cycle_error[5] == pytest.approx((0.5 + 0.1) / 2 * 100 / 2)


def test_one_slice_in_eight_goes_back_where_that_is_asked_for_and_the_others_have_no_cycle_error(stack):
    output, folds = run(stack, (0.0,), (0.5,), cycle_every=8)
    known = np.isfinite(output.cycle_error)
    assert np.flatnonzero(known.any(axis=(1, 2))).tolist() == [6, 14]
    assert known[[6, 14]].all() and shown(folds, "syn_mr") == [2]
    output, folds = run(stack, (0.0,), (0.5,))
    assert shown(folds, "syn_mr") == [0] and output.cycle_error is None


def test_a_method_without_a_way_back_has_no_cycle_error(stack):
    assert run(stack, (0.0,), cycle_every=1)[0].cycle_error is None


def test_batches_do_not_change_what_comes_out(monkeypatch):
    stack = stack_of(np.random.default_rng(0).integers(1, 1000, (20, 8, 8)).astype(np.int16))
    single = run(stack, (0.1, 0.4), (0.5, 0.6), cycle_every=3)[0]
    monkeypatch.setattr("synthct.inference.synthesis.SLICES_AT_ONCE", {"cpu": 4})
    four = run(stack, (0.1, 0.4), (0.5, 0.6), cycle_every=3)[0]
    for name in ("sct_hu", "spread_hu", "cycle_error"):
        assert np.allclose(getattr(single, name), getattr(four, name), equal_nan=True)


# -- planes and neighbours -------------------------------------------------------------------------------------------


@pytest.fixture
def numbered() -> SliceStack:
    """A head of 9 x 10 x 11 voxels, each of another intensity; slices are padded to multiples of 4."""
    mr = np.full((13, 14, 15), OUTSIDE, np.int16)
    mr[2:11, 1:11, 3:14] = np.random.default_rng(0).permutation(990).reshape(9, 10, 11)
    return stack_of(mr)


def copied(stack: SliceStack, plane: str, neighbours: int, which: int = 0, **options) -> np.ndarray:
    """HU of a network that copies one slice of those that it is shown; they are the MR's scanner units."""
    network_input = NetworkInput(InputPlan(plane, neighbours, 1), Thousands())
    folds = [{"syn_ct": CopyChannel(neighbours + which)}]
    return np.rint(synthesize_stack(stack, Copy, network_input, folds, CPU, SynthesisOptions(**options)).sct_hu)


def copy_of(stack: SliceStack) -> np.ndarray:
    """The MR, -1000 outside the head."""
    return np.where(stack.mr[0] == OUTSIDE, -1000, stack.mr[0])


@pytest.mark.parametrize("neighbours", [0, 2])
@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
@pytest.mark.parametrize("cached", ["sagittal", "axial", "coronal"])
def test_the_sct_lies_where_the_mr_lies_in_whatever_plane_the_network_works(numbered, cached, plane, neighbours):
    stack = replace(numbered, plane=cached)
    assert np.array_equal(copied(stack, plane, neighbours), copy_of(stack))


@pytest.mark.parametrize("which", [-2, -1, 1, 2])
def test_neighbours_are_shown_in_order_and_the_last_slice_is_repeated(numbered, which):
    expected = copy_of(numbered)[np.clip(np.arange(13) + which, 0, 12)]
    expected[[0, 1, 11, 12]] = -1000  # slices without head are not shown
    assert np.array_equal(copied(numbered, "sagittal", 2, which), expected)


def test_a_head_cut_by_the_field_of_view_repeats_its_last_slice():
    stack = stack_of(np.random.default_rng(1).permutation(320).reshape(5, 8, 8).astype(np.int16))
    assert np.array_equal(copied(stack, "sagittal", 2, 2), copy_of(stack)[[2, 3, 4, 4, 4]])
    assert np.array_equal(copied(stack, "sagittal", 2, -2), copy_of(stack)[[0, 0, 0, 1, 2]])


def test_slices_thinned_still_see_their_neighbours(numbered):
    thinned = copied(numbered, "sagittal", 2, which=1, every=4)
    assert np.array_equal(thinned[[4, 8]], copy_of(numbered)[[5, 9]])
    others = np.setdiff1d(np.arange(13), [4, 8])
    assert (thinned[others] == -1000).all()


# -- mirrored heads and several planes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("plane", "neighbours"), [("axial", 0), ("coronal", 1), ("sagittal", 1)])
def test_the_sct_of_a_mirrored_head_is_mirrored_back(numbered, plane, neighbours):
    assert np.array_equal(copied(numbered, plane, neighbours, mirror=True), copy_of(numbered))


def test_a_mirrored_sagittal_slice_shows_its_neighbours_in_the_other_order(numbered):
    before, after = (copied(numbered, "sagittal", 1, which) for which in (-1, 1))
    both = copied(numbered, "sagittal", 1, which=1, mirror=True)
    assert np.abs(both - (before + after) / 2).max() <= 0.5


def test_each_fold_counts_twice_where_a_slice_shows_both_sides(numbered):
    def n_combined(plane: str, neighbours: int) -> int:
        network_input = NetworkInput(InputPlan(plane, neighbours, 1), Thousands())
        folds = [{"syn_ct": CopyChannel(neighbours)}] * 3
        return synthesize_stack(numbered, Copy, network_input, folds, CPU, SynthesisOptions(mirror=True)).n_combined

    assert [n_combined("sagittal", 0), n_combined("sagittal", 1), n_combined("axial", 0)] == [3, 6, 6]


def test_planes_become_their_median_and_the_sd_is_over_every_sct():
    rng = np.random.default_rng(0)
    scts = [rng.normal(size=(n, 2, 3, 4)).astype(np.float32) for n in (1, 4, 2)]
    planes = [NetworkOutput(sct.mean(0), sct.std(0, ddof=1) if len(sct) > 1 else None, None, len(sct)) for sct in scts]
    output = over_planes(planes)
    assert np.allclose(output.sct_hu, np.median([sct.mean(0) for sct in scts], axis=0))
    assert np.allclose(output.spread_hu, np.concatenate(scts).std(0, ddof=1), rtol=1e-5)
    assert output.n_combined == 7 and output.sct_hu.dtype == output.spread_hu.dtype == np.float32


def test_one_plane_stays_as_it_is():
    plane = NetworkOutput(np.ones((1, 2, 2)), None, None)
    assert over_planes([plane]) is plane
