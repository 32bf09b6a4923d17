"""Several folds over a patient's slices: mean or median, their spread, and the way back to MR."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthct.inference.synthesis import combined, run_networks
from synthct.planning.planner import seed_configuration
from synthct.preprocessing.inverse import slices_to_hu_spread

LEVELS = 256


class Constant(torch.nn.Module):
    """Answers with one value, whatever it is shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.shown = value, 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.shown += len(batch)
        return torch.full_like(batch[:, :1], self.value)


@pytest.fixture
def mr() -> np.ndarray:
    """Twenty slices, the first two and the last without head."""
    grey = np.full((1, 20, 8, 8), 255, np.uint8)  # 1 to the network
    grey[:, [0, 1, 19]] = 0
    return grey


def run(mr: np.ndarray, values: tuple[float, ...], back: tuple[float, ...] = (), **options):
    syn_ct, syn_mr = ([Constant(value) for value in some] for some in (values, back))
    output = run_networks(mr, LEVELS, syn_ct, syn_mr, device=torch.device("cpu"), **options)
    return output, syn_ct, syn_mr


def test_folds_are_combined_by_mean_or_median(mr):
    values = (0.0, 0.1, 0.8)
    assert run(mr, values)[0].sct[5] == pytest.approx(0.3)
    assert run(mr, values, combine="median")[0].sct[5] == pytest.approx(0.1)
    assert run(mr, (*values, 0.3), combine="median")[0].sct[5] == pytest.approx(0.2)


def test_the_median_is_that_of_numpy():
    for n in (1, 2, 5, 6):
        folds = torch.from_numpy(np.random.default_rng(n).normal(size=(n, 3, 4)))
        assert np.allclose(combined(folds, "median"), np.median(folds.numpy(), axis=0))


def test_the_spread_is_the_sample_sd_over_the_folds_in_hu(mr):
    spread = run(mr, (0.0, 0.1, 0.8))[0].spread
    assert spread[5] == pytest.approx(np.std([0, 0.1, 0.8], ddof=1))
    plan = seed_configuration(1).preprocessing
    assert slices_to_hu_spread(spread, plan)[5, 0, 0] == pytest.approx(np.std([0, 100, 800], ddof=1), rel=1e-5)
    assert run(mr, (0.5,))[0].spread is None


def test_slices_without_head_are_air_without_doubt_and_cost_nothing(mr):
    output, syn_ct, syn_mr = run(mr, (0.0, 1.0), (0.0, 0.0), cycle_every=1)
    for place in (0, 1, 19):
        assert (
            (output.sct[place] == -1).all() and not output.spread[place].any() and not output.cycle_error[place].any()
        )
    assert [network.shown for network in (*syn_ct, *syn_mr)] == [17] * 4


def test_the_cycle_error_is_the_mean_of_the_folds_errors(mr):
    output, _, _ = run(mr, (0.0, 0.0), (0.5, 0.9), cycle_every=1)
    assert output.cycle_error[5] == pytest.approx((0.5 + 0.1) / 2)


def test_one_slice_in_eight_goes_back_where_that_is_asked_for(mr):
    output, _, (syn_mr,) = run(mr, (0.0,), (0.5,), cycle_every=8)
    assert syn_mr.shown == len(output.cycle_slices) == 2
    assert set(np.flatnonzero(output.cycle_error.any(axis=(1, 2)))) == set(output.cycle_slices.tolist())
    output, _, (syn_mr,) = run(mr, (0.0,), (0.5,))
    assert syn_mr.shown == 0 and output.cycle_error is None


def test_batches_do_not_change_what_comes_out(mr, monkeypatch):
    grey = np.random.default_rng(0).integers(1, 255, mr.shape).astype(np.uint8)
    one = run(grey, (0.1, 0.4), (0.5, 0.6), cycle_every=3)[0]
    monkeypatch.setattr("synthct.inference.synthesis.SLICES_AT_ONCE", {"cpu": 4})
    four = run(grey, (0.1, 0.4), (0.5, 0.6), cycle_every=3)[0]
    for name in ("sct", "spread", "cycle_error", "cycle_slices"):
        assert np.allclose(getattr(one, name), getattr(four, name))
