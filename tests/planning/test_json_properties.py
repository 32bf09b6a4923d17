"""Any JSON at any key of the files that users edit: read as something valid, or refused by the file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import places, read_or_message, values, with_value, without, written
from synthetic_datasets import case_facts, fingerprint, small_plan, volume_facts

from synthct.dataset.raw import RawDataset
from synthct.dataset.registration_record import RegistrationRecord
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import check_settings, settings_of
from synthct.planning.plan import Plan, Reason
from synthct.planning.planner import make_plan
from synthct.planning.splits import Split, load_splits, make_splits, save_splits

PLAN = to_plain(Plan(**(vars(small_plan(2)) | {"reasons": {"n_folds": Reason("rule", {"measured": [1, None]})}})))
FACTS = fingerprint({"P1": case_facts(volume_facts(), volume_facts()), "P2": case_facts(ct=volume_facts())})
SPLITS = to_plain((Split(("A", "B"), ("C",)), Split(("A", "C"), ("B",))))
REGISTRATION = {
    "format_version": 1, "mode": "auto", "files_key": "k",
    "registration": {"matrix": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], "offset_mm": [1.0, 2.0, 3.0],
                     "status": "registered", "alignment": None, "problems_found": ["o"]},
}  # fmt: skip
SEVERAL = PLAN | {
    "configurations": PLAN["configurations"]
    | {"2.5d": {"inherits_from": "small", "input": {"neighbours": 1}}, "long": {"inherits_from": "small"}}
}
DATASET = {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("json")


def edits(content) -> st.SearchStrategy:
    """``content`` with any value at any place."""
    return st.builds(with_value, st.just(content), st.sampled_from(list(places(content))), values)


def read_plan(path: Path) -> Plan:
    """A plan with valid settings of every method."""
    plan = Plan.load(path)
    check_settings(plan, str(path))
    return plan


# -- plans -----------------------------------------------------------------------------------------------------------

NONSENSE = (
    None,
    -1,
    0,
    10**9,
    1e300,
    -1e300,
    10**400,
    float("inf"),
    float("nan"),
    "",
    "nonsense\n",
    True,
    [],
    {},
    [[]],
)
ANYTHING_GOES = ("reasons", "synthct_version", "planner")  # reported, or not read


@pytest.mark.parametrize("path", list(places(PLAN))[1:], ids=lambda path: ".".join(map(str, path)))
def test_nonsense_at_any_key_of_a_plan_is_refused_by_the_key(folder, path):
    if path[0] in ANYTHING_GOES:
        pytest.skip("any text explains a plan")
    for value in NONSENSE:
        file = written(with_value(PLAN, path, value), folder / "plans.json")
        try:
            plan = read_plan(file)
        except Exception as fault:
            message = str(fault)
            assert type(fault).__name__ == "PlanError" and str(file) in message and "\n" not in message, message
            # NaN and infinity are not JSON, whatever the key; else the key or the one above it is named.
            names = [str(name) for name in path if not isinstance(name, int)]
            not_finite = isinstance(value, float) and value * 0 != 0
            assert not_finite or names[-1] in message or names[-2] in message, message
        else:
            assert is_sensible(path, value), f"{path} = {value!r} was read as {plan}"


def is_sensible(path: tuple, value: object) -> bool:
    """Whether a value of NONSENSE is none at this key."""
    key = next(name for name in reversed(path) if isinstance(name, str))
    fine = {
        0: ("epochs_decay", "lambda_cycle", "lambda_identity", "lambda_l1", "pool_size", "seed", "min_head_fraction",
            "adam_betas", "ct_window_hu", "low", "neighbours"),
        10**9: ("seed",),
        None: ("iterations_per_epoch", "recommended_trainer"),
        -1: ("ct_window_hu",),
    }  # fmt: skip
    if key == "methods":
        return value == {}  # those of the methods' papers
    return not isinstance(value, (bool, str, list, dict)) and key in fine.get(value, ())


@pytest.mark.parametrize("path", list(places(PLAN))[1:], ids=lambda path: ".".join(map(str, path)))
def test_a_plan_that_lacks_a_key_is_refused_or_takes_the_default(folder, path):
    plan = read_or_message(read_plan, written(without(PLAN, path), folder / "plans.json"))
    may_be_left_out = (
        path in (("register",), ("recommended_trainer",), ("reasons",)) or path[0] == "reasons" and len(path) != 3
    )
    may_be_left_out |= path[2:] in (("network_width",), ("dimensions",)) or path[2:3] == ("methods",) and len(path) <= 4
    assert (plan is not None) == may_be_left_out


@given(edits(PLAN) | edits(SEVERAL))
def test_any_json_at_any_key_of_a_plan_is_read_and_written_back_or_refused(folder, content):
    plan = read_or_message(read_plan, written(content, folder / "plans.json"))
    if plan is not None:
        plan.save(folder / "back.json")
        assert Plan.load(folder / "back.json") == plan


windows = st.builds(MrWindow, st.just("fixed"), st.floats(-50, 0), st.floats(1, 1e6)) | st.builds(
    MrWindow, st.just("percentile"), st.floats(0, 49), st.floats(51, 100)
)


@given(
    st.lists(windows, min_size=2, max_size=2),
    st.tuples(*[st.floats(0.1, 20)] * 3),
    st.tuples(*[st.integers(12, 512)] * 2),
    st.integers(1, 1000),
    st.dictionaries(st.text(), st.builds(Reason, st.text(), st.floats(allow_nan=False, allow_infinity=False))),
)
def test_a_plan_is_the_same_after_json(folder, two_windows, spacing_mm, quarters, n_folds, reasons):
    coding = GreyLevels(mr_windows=tuple(two_windows))
    size = tuple(4 * quarter for quarter in quarters)
    plan = small_plan(2, coding=coding, spacing_mm=spacing_mm, slice_size=size)
    plan = Plan(**(vars(plan) | {"n_folds": n_folds, "reasons": reasons}))
    plan.save(folder / "plans.json")
    assert read_plan(folder / "plans.json") == plan
    assert settings_of("pix2pix", plan.configurations["small"], "plans.json").coding == coding


# -- the other files ---------------------------------------------------------------------------------------------------


@given(edits(to_plain(FACTS)))
def test_any_json_at_any_key_of_a_fingerprint_is_refused_or_can_be_planned_from(folder, content):
    facts = read_or_message(Fingerprint.load, written(content, folder / "dataset_fingerprint.json"))
    if facts is not None:
        facts.save(folder / "back.json")
        assert Fingerprint.load(folder / "back.json") == facts
        if any(case.mr for case in facts.cases.values()) and any(case.ct for case in facts.cases.values()):
            raw = RawDataset(folder / "Dataset001_Heads", ("T1",), ".nii.gz", {}, {}, ())
            plan = make_plan("default", raw, facts)
            plan.save(folder / "plans.json")
            assert Plan.load(folder / "plans.json") == plan
            splits = make_splits(facts, plan.n_folds)
            assert {patient for split in splits for patient in (*split.train, *split.val)} == set(facts.cases)


@given(edits(DATASET))
def test_any_json_at_any_key_of_dataset_json_is_refused_or_names_every_channel(folder, content):
    path = written(content, folder / "dataset.json")
    raw = read_or_message(lambda path: RawDataset.open(path.parent), path)
    if raw is not None:
        assert len(raw.channel_names) == len(content["channel_names"]) and all(raw.channel_names)
        assert raw.file_ending == content["file_ending"]


@given(edits(REGISTRATION))
def test_any_json_at_any_key_of_a_registration_is_refused_or_a_rigid_transform(folder, content):
    record = read_or_message(RegistrationRecord.load, written(content, folder / "P1.json"))
    if record is not None:
        assert record.registration.moves_as(record.registration.mr_to_ct())


patients = st.lists(st.sampled_from("ABCDE") | st.text(max_size=2), max_size=5)


@given(edits(SPLITS) | st.lists(st.fixed_dictionaries({"train": patients, "val": patients}), max_size=3))
def test_any_split_file_is_refused_or_parts_the_patients_in_every_fold(folder, content):
    path = written(content, folder / "splits_final.json")
    splits = read_or_message(lambda path: load_splits(path, "ABC"), path)
    for split in splits or ():
        assert split.train
        assert len({*split.train, *split.val}) == len(split.train) + len(split.val)
        assert {*split.train, *split.val} <= set("ABC")


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_in_place_of_json_are_refused_or_read(folder, content):
    path = folder / "any.json"
    path.write_bytes(content)
    for read in (Plan.load, Fingerprint.load, lambda path: load_splits(path, [])):
        assert read_or_message(read, path) is None


# -- splits that are made ----------------------------------------------------------------------------------------------


@st.composite
def some_patients(draw) -> dict:
    pairs = draw(st.sets(st.text("abcXYZ019_", min_size=1, max_size=4), min_size=2, max_size=30))
    lonely = draw(st.sets(st.text("mn", min_size=1, max_size=3), max_size=4))
    both = {patient: case_facts(volume_facts(), volume_facts()) for patient in pairs}
    return both | {patient: case_facts(volume_facts()) for patient in lonely}


@given(some_patients(), st.integers(2, 6), st.randoms(), st.integers(0, 2**32 - 1))
def test_made_splits_hold_every_pair_out_once_evenly_and_in_any_order_of_patients(folder, cases, n_folds, random, seed):
    pairs = sorted(patient for patient, case in cases.items() if case.paired)
    n_folds = min(n_folds, len(pairs))
    splits = make_splits(fingerprint(cases), n_folds, seed)
    assert sorted(patient for split in splits for patient in split.val) == pairs
    sizes = [len(split.val) for split in splits]
    assert len(splits) == n_folds and max(sizes) - min(sizes) <= 1
    for split in splits:
        assert sorted([*split.train, *split.val]) == sorted(cases)
    shuffled = list(cases.items())
    random.shuffle(shuffled)
    assert make_splits(fingerprint(dict(shuffled)), n_folds, seed) == splits
    save_splits(splits, folder / "splits_final.json")
    assert load_splits(folder / "splits_final.json", cases) == splits
    assert json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))
