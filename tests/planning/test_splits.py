"""Folds by patient: everyone with both scans is held out once; files edited by hand are checked by name."""

from __future__ import annotations

import json

import pytest
from synthetic_datasets import case_facts, fingerprint, paired_fingerprint, volume_facts

from synthct.errors import PlanError
from synthct.planning.splits import Split, load_splits, make_splits, save_splits, split_of_fold

UNPAIRED = {"M1": case_facts(volume_facts()), "C1": case_facts(ct=volume_facts())}


def with_unpaired(pairs: int):
    return fingerprint(dict(paired_fingerprint(pairs).cases) | UNPAIRED)


def test_the_papers_24_patients_split_18_and_6_in_4_folds():
    splits = make_splits(paired_fingerprint(24), 4)
    assert [(len(split.train), len(split.val)) for split in splits] == [(18, 6)] * 4


@pytest.mark.parametrize(("pairs", "folds"), [(24, 4), (7, 4), (2, 2), (5, 3)])
def test_each_pair_is_held_out_once_and_unpaired_patients_always_train(pairs, folds):
    facts = with_unpaired(pairs)
    splits = make_splits(facts, folds)
    held_out = [patient for split in splits for patient in split.val]
    assert sorted(held_out) == sorted(paired_fingerprint(pairs).cases)
    for split in splits:
        assert not set(split.train) & set(split.val)
        assert set(split.train) | set(split.val) == set(facts.cases)
        assert set(UNPAIRED) <= set(split.train)
        assert split.val


def test_a_single_fold_holds_no_patient_out():
    assert make_splits(with_unpaired(3), 1) == (Split(("C1", "M1", "P00", "P01", "P02"), ()),)


def test_the_same_patients_split_alike_in_any_order():
    facts = paired_fingerprint(24)
    backwards = fingerprint(dict(reversed(facts.cases.items())))
    assert make_splits(facts, 4) == make_splits(backwards, 4)
    assert make_splits(facts, 4) != make_splits(facts, 4, seed=1)


def test_splits_are_the_same_after_json(tmp_path):
    splits = make_splits(with_unpaired(5), 4)
    save_splits(splits, tmp_path / "splits_final.json")
    assert load_splits(tmp_path / "splits_final.json", with_unpaired(5).cases) == splits
    assert json.loads((tmp_path / "splits_final.json").read_text())[0].keys() == {"train", "val"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([{"train": ["P00", "Q"], "val": ["P01"]}], "fold 0 .*Q"),
        ([{"train": ["P00"], "val": []}, {"train": ["P00"], "val": ["P00"]}], "fold 1 .*P00"),
        ([{"train": ["P00", "P00"], "val": []}], "fold 0 .*P00"),
        ([{"train": [], "val": ["P00"]}], "fold 0 "),
        ([{"train": ["P00"]}], r"'folds\[0\].val'"),
        ([{"train": ["P00"], "val": [], "test": []}], r"'folds\[0\].test'"),
        ([{"train": "P00", "val": []}], r"'folds\[0\].train'"),
        ([{"train": [1], "val": []}], r"'folds\[0\].train\[0\]'"),
        ({"train": ["P00"], "val": []}, "'folds'"),
        ([], "no fold"),
    ],
)
def test_splits_that_do_not_fit_are_reported_by_name(tmp_path, content, named):
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(content))
    with pytest.raises(PlanError, match=named) as fault:
        load_splits(path, ["P00", "P01"])
    assert str(path) in str(fault.value)


def test_a_fold_is_a_number_or_all():
    splits = make_splits(with_unpaired(4), 2)
    assert split_of_fold(splits, "1", []) == splits[1]
    assert split_of_fold(splits, "all", ["b", "a"]) == Split(("a", "b"), ())


@pytest.mark.parametrize("fold", ["2", "-1", "x", "", "²", "01", "0.0"])
def test_an_unknown_fold_is_reported_with_those_that_there_are(fold):
    with pytest.raises(PlanError, match="0, 1 and all"):
        split_of_fold(make_splits(with_unpaired(4), 2), fold, [])


def test_a_patient_of_a_split_file_is_reported_on_one_line_whatever_the_name(tmp_path):
    (tmp_path / "splits_final.json").write_text(
        json.dumps([{"train": ["a\nb", *(f"b{i}" for i in range(99))], "val": []}])
    )
    with pytest.raises(PlanError) as fault:
        load_splits(tmp_path / "splits_final.json", ["P00"])
    assert "\n" not in str(fault.value) and "95 more" in str(fault.value)
