from __future__ import annotations

import pickle

import numpy as np
import pytest
from tiny_training import N_SLICES, ONLY_CT, ONLY_MR, PAIRED, TRAIN, make_stack

from synthct.errors import PlanError, TrainingError
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceReader, SliceStack
from synthct.training.slices import TrainingSlices

INSIDE = list(range(1, N_SLICES - 1))  # the outer slices hold no head


def read(folder, patients, **changes) -> TrainingSlices:
    return TrainingSlices(
        folder / "tiny", patients, **({"mr_channels": 1, "min_head_fraction": 0.05, "paired": False} | changes)
    )


def test_each_modality_draws_from_every_patient_that_has_it(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN)
    assert list(slices.mr) == [(p, i) for p in TRAIN if p != ONLY_CT for i in INSIDE]
    assert list(slices.ct) == [(p, i) for p in TRAIN if p != ONLY_MR for i in INSIDE]


def test_paired_training_ignores_patients_without_ct_or_mr(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, paired=True)
    assert list(slices.mr) == list(slices.ct) == [(p, i) for p in PAIRED[:3] for i in INSIDE]


def test_disjoint_gives_no_patient_to_both_domains(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, disjoint=True, seed=1)
    assert not {p for p, _ in slices.mr} & {p for p, _ in slices.ct}
    assert {p for p, _ in [*slices.mr, *slices.ct]} == set(TRAIN)


def test_disjoint_paired_training_is_refused(preprocessed_folder):
    with pytest.raises(TrainingError, match="leave out --disjoint"):
        read(preprocessed_folder, TRAIN, paired=True, disjoint=True)


def test_slices_are_those_of_the_stack(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, paired=True)
    stack = SliceStack.load(preprocessed_folder / "tiny" / "PAIR_2.npz")
    assert np.array_equal(slices.mr_slice(("PAIR_2", 3)), stack.mr[:, 3])
    assert np.array_equal(slices.ct_slice(("PAIR_2", 3))[0], stack.ct[3])
    known = slices.known(("PAIR_2", 3))
    assert known.shape == (1, 32, 32)
    assert known.all()  # the CT ends below the head; the air there is known


def test_head_outside_the_cts_field_of_view_is_unknown(tmp_path):
    stack = make_stack("P", 0)
    stack.regions[:, -3:] |= HEAD
    stack.save(tmp_path / "tiny" / "P.npz")
    known = read(tmp_path, ["P"], paired=True).known(("P", 3))
    assert not known[0, -3:].any()
    assert known[0, :-3].all()


def test_flat_slices_are_not_drawn(tmp_path):
    stack = make_stack("P", 0)
    stack.ct[4] = 80
    stack.regions[0] |= HEAD  # head by the mask, but an empty image
    stack.save(tmp_path / "tiny" / "P.npz")
    slices = read(tmp_path, ["P"], min_head_fraction=0.0)
    assert ("P", 4) in slices.mr
    assert ("P", 4) not in slices.ct
    assert ("P", 0) not in slices.mr


@pytest.mark.parametrize(
    ("patients", "paired", "message"),
    [
        ([ONLY_MR], False, "no CT slice.*of 1 training patients 0 give a CT"),
        ([ONLY_CT], False, "no MR slice.*0 give an MR"),
        ([ONLY_MR, ONLY_CT], True, "of 2 training patients 0 have both"),
    ],
)
def test_an_empty_domain_is_an_error_that_says_what_is_missing(preprocessed_folder, patients, paired, message):
    with pytest.raises(TrainingError, match=message):
        read(preprocessed_folder, patients, paired=paired)


def test_too_high_a_head_fraction_is_an_error_that_names_it(preprocessed_folder):
    with pytest.raises(TrainingError, match="at least 90% head"):
        read(preprocessed_folder, TRAIN, min_head_fraction=0.9)


def test_another_number_of_channels_is_an_error_that_names_the_patient(preprocessed_folder):
    with pytest.raises(TrainingError, match="PAIR_1 have 1 MR channels but the plan has 2"):
        read(preprocessed_folder, TRAIN, mr_channels=2)


def test_a_missing_stack_is_an_error_that_names_the_file(preprocessed_folder):
    with pytest.raises(PlanError, match="NOBODY.npz is missing"):
        read(preprocessed_folder, ["NOBODY"])


def test_a_stack_of_an_earlier_version_is_an_error_with_the_remedy(tmp_path):
    stack = make_stack("P", 0)
    (tmp_path / "tiny").mkdir()
    info = np.frombuffer(b"{}", np.uint8)
    np.savez_compressed(tmp_path / "tiny" / "P.npz", mr=stack.mr, ct=stack.ct, regions=stack.regions, info=info)
    with pytest.raises(PlanError, match="P.npz is of an earlier version.*run synthct_plan_and_preprocess again"):
        read(tmp_path, ["P"])


@pytest.mark.parametrize("paired", [False, True])
def test_starting_and_drawing_read_no_whole_stack(preprocessed_folder, monkeypatch, paired):
    monkeypatch.setattr(SliceStack, "load", lambda path: pytest.fail(f"{path} was read whole"))
    inflated = []
    read_slice = SliceReader._read
    monkeypatch.setattr(SliceReader, "_read", lambda *arguments: inflated.append(1) or read_slice(*arguments))
    slices = read(preprocessed_folder, TRAIN, paired=paired)
    assert not inflated
    slices.mr_slice(slices.mr[3])
    slices.ct_slice(slices.ct[3])
    assert len(inflated) == 2


def test_the_memory_budget_holds_and_gives_the_same_slices(preprocessed_folder, caplog):
    caplog.set_level("INFO", "synthct")
    whole = read(preprocessed_folder, TRAIN, paired=True)
    assert "from disk" not in caplog.text
    little = read(preprocessed_folder, TRAIN, paired=True, budget=20_000)
    assert "reads the others from disk" in caplog.text
    for key in [*whole.mr, *whole.mr]:
        for name in ("mr_slice", "ct_slice", "known"):
            assert np.array_equal(getattr(whole, name)(key), getattr(little, name)(key))
        assert sum(one.nbytes for one in little._held.values()) == little._held_bytes <= 20_000
    assert len(little._held) == 20_000 // 32**2
    assert len(whole._held) == 3 * len(whole.mr)


def test_a_slice_in_memory_is_not_read_again(preprocessed_folder, monkeypatch):
    slices = read(preprocessed_folder, TRAIN)
    first = slices.ct_slice(slices.ct[0])
    monkeypatch.setattr(SliceReader, "_read", lambda *_: pytest.fail("it was read again"))
    assert np.array_equal(slices.ct_slice(slices.ct[0]), first)


def test_a_copy_for_another_process_reads_for_itself(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN)
    slices.mr_slice(slices.mr[0])
    copy = pickle.loads(pickle.dumps(slices))
    assert slices._held
    assert not copy._held
    assert copy._held_bytes == 0
    assert np.array_equal(copy.mr_slice(slices.mr[0]), slices.mr_slice(slices.mr[0]))


def test_head_outside_the_mrs_field_of_view_is_unknown_too(tmp_path):
    stack = make_stack("P", 0)
    stack.regions[:, -3:] |= HEAD | CT_KNOWN
    stack.regions[:, -3:] &= np.uint8(255 - MR_KNOWN)
    stack.save(tmp_path / "tiny" / "P.npz")
    known = read(tmp_path, ["P"], paired=True).known(("P", 3))
    assert not known[0, -3:].any()
    assert known[0, :-3].all()
