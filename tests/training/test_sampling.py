"""Draws are independent, complete, the same again, and never a pair by accident."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from synthct.training.sampling import PairedOrder, SliceKeys, UnpairedOrder, disjoint_patients


def keys(patients: range, slices: int) -> SliceKeys:
    return SliceKeys({f"P{p}": range(slices) for p in patients})


def draws(order, steps: range) -> list:
    return [pair for step in steps for pair in order.draw(step)]


def test_keys_are_those_of_the_patients_in_order():
    slice_keys = SliceKeys({"B": [3, 5], "A": [], "C": np.array([0])})
    assert list(slice_keys) == [("B", 3), ("B", 5), ("C", 0)]
    assert (len(slice_keys), slice_keys[-1], slice_keys.patients) == (3, ("C", 0), ("B", "A", "C"))
    assert all(type(i) is int for _, i in slice_keys)
    assert not SliceKeys({})


def test_a_million_keys_take_8_megabytes():
    many = SliceKeys({f"P{p}": range(200) for p in range(5000)})
    assert len(many) == 10**6
    assert many._patient.nbytes + many._slice.nbytes == 8 * 10**6


def test_each_slice_is_drawn_once_an_epoch_and_the_smaller_domain_evenly():
    mr, ct = keys(range(4), 10), keys(range(3), 6)
    order = UnpairedOrder(mr, ct, seed=1)
    assert order.steps_per_epoch == 40
    for epoch in range(3):
        drawn = draws(order, range(epoch * 40, epoch * 40 + 40))
        assert sorted(m for m, _ in drawn) == sorted(mr)
    counts = Counter(c for _, c in draws(order, range(360)))
    assert set(counts.values()) == {20}


def test_epochs_are_different_permutations():
    order = UnpairedOrder(keys(range(4), 10), keys(range(4), 10), seed=1)
    assert draws(order, range(40)) != draws(order, range(40, 80))


def test_draws_are_a_pure_function_of_seed_and_step():
    mr, ct = keys(range(4), 10), keys(range(3), 6)
    forwards = [UnpairedOrder(mr, ct, seed=1).draw(step) for step in range(100)]
    order = UnpairedOrder(mr, ct, seed=1)
    assert [order.draw(step) for step in reversed(range(100))] == forwards[::-1]
    assert [UnpairedOrder(mr, ct, seed=2).draw(step) for step in range(100)] != forwards


def test_mr_and_ct_are_independent_in_patient_and_position():
    order = UnpairedOrder(keys(range(6), 30), keys(range(6), 30), seed=3)
    drawn = draws(order, range(180 * 30))
    for part in (lambda key: int(key[0][1:]), lambda key: key[1] // 5):
        table = np.zeros((6, 6))
        for mr, ct in drawn:
            table[part(mr), part(ct)] += 1
        assert chi2_contingency(table).pvalue > 1e-3
    positions = np.array([(mr[1], ct[1]) for mr, ct in drawn])
    assert abs(np.corrcoef(positions.T)[0, 1]) < 0.05


def test_position_matched_slices_lie_at_similar_places_in_other_pairs_each_epoch():
    mr, ct = SliceKeys({"A": range(5, 45), "B": range(60)}), SliceKeys({"C": range(20, 100), "D": range(50)})
    order = UnpairedOrder(mr, ct, seed=1, position_matched=True)
    epochs = [draws(order, range(epoch * 130, epoch * 130 + 130)) for epoch in range(3)]
    mr_positions, ct_positions = (dict(zip(keys_of, keys_of.positions())) for keys_of in (mr, ct))
    for drawn in epochs:
        assert Counter(c for _, c in drawn) == Counter(ct)
        assert np.mean([abs(mr_positions[m] - ct_positions[c]) for m, c in drawn]) < 0.06
    assert len({*epochs[0], *epochs[1], *epochs[2]}) > 300
    assert draws(UnpairedOrder(mr, ct, seed=1, position_matched=True), range(130, 260)) == epochs[1]


def test_positions_lie_between_a_patients_first_and_last_slice():
    assert SliceKeys({"A": [3, 5, 7], "B": [4]}).positions().tolist() == [0, 0.5, 1, 0]


@pytest.mark.parametrize(("mr_patients", "ct_patients"), [(2, 2), (3, 1), (1, 3), (1, 1)])
def test_no_step_shows_the_same_slice_in_both_domains(mr_patients, ct_patients):
    # few slices, so that without exchanges nearly every epoch would have such a step
    order = UnpairedOrder(keys(range(mr_patients), 3), keys(range(ct_patients), 3), seed=5)
    drawn = draws(order, range(order.steps_per_epoch * 200))
    assert all(mr != ct for mr, ct in drawn)
    larger = max(mr_patients, ct_patients)
    first = [pair[mr_patients < ct_patients] for pair in drawn[: order.steps_per_epoch]]
    assert sorted(first) == list(keys(range(larger), 3))


def test_a_single_slice_that_is_all_there_is_is_drawn_all_the_same():
    assert UnpairedOrder(keys(range(1), 1), keys(range(1), 1), seed=0).draw(3) == [(("P0", 0), ("P0", 0))]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_ranks_share_an_epoch_without_drawing_a_slice_twice(batch_size):
    mr, ct = keys(range(4), 12), keys(range(2), 12)
    ranks = [UnpairedOrder(mr, ct, 1, batch_size=batch_size, rank=rank, world_size=4) for rank in range(4)]
    drawn = [pair for order in ranks for pair in draws(order, range(order.steps_per_epoch))]
    assert sorted(m for m, _ in drawn) == sorted(mr)


def test_paired_order_draws_the_same_key_for_both_and_every_pair_once():
    pairs = keys(range(3), 7)
    order = PairedOrder(pairs, seed=2, batch_size=1)
    drawn = draws(order, range(21))
    assert all(mr == ct for mr, ct in drawn)
    assert sorted(mr for mr, _ in drawn) == sorted(pairs)
    assert drawn != draws(order, range(21, 42))


def test_batches_run_on_over_the_end_of_a_passage():
    order = PairedOrder(keys(range(1), 5), seed=2, batch_size=2)
    assert order.steps_per_epoch == 3
    counts = Counter(mr for mr, _ in draws(order, range(5)))
    assert set(counts.values()) == {2}


def test_disjoint_patients_share_none_and_unpaired_ones_keep_their_side():
    paired = {f"P{i}" for i in range(7)}
    mr, ct = disjoint_patients(paired | {"MR1", "MR2"}, paired | {"CT1"}, seed=3)
    assert not mr & ct
    assert mr | ct == paired | {"MR1", "MR2", "CT1"}
    assert {"MR1", "MR2"} <= mr
    assert "CT1" in ct
    assert len(mr & paired) == 3  # the odd one goes to the side with fewer patients
    assert disjoint_patients(paired, paired, 3) == disjoint_patients(paired, paired, 3)
    assert any(disjoint_patients(paired, paired, 3) != disjoint_patients(paired, paired, seed) for seed in range(5))
