"""Plan and fingerprint to JSON and back; whatever does not fit is told with its file and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_datasets import case_facts, fingerprint, small_plan, volume_facts

from synthct.errors import PlanError
from synthct.imaging.coding import MrWindow
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan, Reason


@pytest.fixture
def path(tmp_path) -> Path:
    small_plan(2).save(tmp_path / "plans.json")
    return tmp_path / "plans.json"


def edit(path: Path, dotted: str, value: object) -> None:
    """Set, or with ``...`` delete, the value at a dotted path of a JSON file."""
    content = json.loads(path.read_text())
    *above, last = dotted.split(".")
    table = content
    for name in above:
        table = table[int(name) if isinstance(table, list) else name]
    if value is ...:
        del table[last]
    else:
        table[int(last) if isinstance(table, list) else last] = value
    path.write_text(json.dumps(content))


def told(path: Path) -> str:
    with pytest.raises(PlanError) as fault:
        Plan.load(path)
    assert str(fault.value).startswith(f"{path}: ") and "\n" not in str(fault.value)
    return str(fault.value)


def test_a_plan_is_the_same_after_json(path):
    assert Plan.load(path) == small_plan(2)


def test_reasons_hold_any_json(tmp_path):
    plan = Plan(**(vars(small_plan()) | {"reasons": {"n_folds": Reason("r", {"a": [1, {"b": None}]})}}))
    plan.save(tmp_path / "plans.json")
    assert Plan.load(tmp_path / "plans.json") == plan


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("planer", "default", "'planer' is unknown"),
        ("n_folds", ..., "'n_folds' is missing"),
        ("n_folds", "4", "'n_folds' must be of type int"),
        ("configurations.small.training.learning_rat", 1, "'configurations.small.training.learning_rat' is unknown"),
        ("configurations.small.preprocessing.slice_plane", "oblique", "must be one of 'sagittal', 'axial', 'coronal'"),
        ("configurations.small.preprocessing.mr_windows.1.kind", "fixd", "mr_windows[1].kind' is 'fixd'"),
        ("configurations.small.preprocessing.mr_windows.1.high", ..., "mr_windows[1].high' is missing"),
    ],
)
def test_an_unknown_missing_or_wrongly_typed_key_is_named(path, key, value, words):
    edit(path, key, value)
    assert words in told(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing.spacing_mm", [1, 0.05, 0.87]),
        ("preprocessing.spacing_mm", [21, 1, 1]),
        ("preprocessing.slice_scale", 0),
        ("preprocessing.slice_size", [250, 256]),
        ("preprocessing.slice_size", [8, 8]),
        ("preprocessing.ct_window_hu", [1400, -600]),
        ("preprocessing.grey_levels", 257),
        ("preprocessing.grey_levels", 1),
        ("preprocessing.mr_windows.0.high", -1),
        ("preprocessing.mr_windows.0.high", 101),
        ("network.base_channels", 0),
        ("network.n_blocks", -1),
        ("training.crop_size", [30, 32]),
        ("training.padded_size", [40, 48]),
        ("training.batch_size", 0),
        ("training.epochs_constant", 0),
        ("training.epochs_decay", -1),
        ("training.iterations_per_epoch", 0),
        ("training.learning_rate", 0),
        ("training.learning_rate", 2),
        ("training.adam_betas", [0.5, 1.0]),
        ("training.min_head_fraction", 1),
        ("training.lambda_cycle", -10),
        ("training.pool_size", -1),
        ("training.precision", "float16"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_key(path, key, value):
    edit(path, f"configurations.small.{key}", value)
    message = told(path)
    *section, name = key.split(".")
    assert f"configurations.small.{section[0]}" in message
    assert (section[1] if len(section) > 1 else name) in message


@pytest.mark.parametrize(("key", "value"), [("n_folds", 0), ("configurations", {})])
def test_a_value_of_the_whole_plan_out_of_range_is_told(path, key, value):
    edit(path, key, value)
    assert key in told(path)


def test_windows_and_channels_must_agree(path):
    edit(path, "configurations.small.network.mr_channels", 1)
    assert "mr_windows holds 2 windows but network.mr_channels is 1" in told(path)
    edit(path, "configurations.small.network.mr_channels", 2)
    edit(path, "channel_names", ["T1"])
    assert "channel_names holds 1" in told(path) and "small" in told(path)


def test_another_format_is_told_with_the_remedy(path):
    edit(path, "format_version", 2)
    assert "plan the dataset again" in told(path)


def test_a_missing_plan_is_told(tmp_path):
    with pytest.raises(PlanError, match="plans.json is missing"):
        Plan.load(tmp_path / "plans.json")


def test_an_unknown_configuration_is_told_with_those_that_there_are():
    with pytest.raises(PlanError, match="no configuration '3d'; it has small"):
        small_plan().configuration("3d")


def test_a_percentile_window_lies_in_0_to_100_and_a_fixed_one_anywhere():
    MrWindow("fixed", -50, 30000)
    with pytest.raises(ValueError, match=r"0\.\.100"):
        MrWindow("percentile", -1, 99)


def test_slices_are_coarser_in_plane_than_the_volume_by_the_seeds_scale():
    preprocessing = small_plan(spacing_mm=(1.0, 0.87, 0.87)).configuration("small").preprocessing
    assert preprocessing.network_spacing_mm == pytest.approx((1.0, 0.97875, 0.97875))


# -- fingerprint -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_the_same_after_json(tmp_path):
    cases = {"P1": case_facts(volume_facts(), volume_facts(minimum=-1024.0)), "P2": case_facts(ct=volume_facts())}
    fingerprint(cases).save(tmp_path / "f.json")
    assert Fingerprint.load(tmp_path / "f.json") == fingerprint(cases)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cases.P1.mr.0.size_xyz", [1, 2], "cases.P1.mr[0].size_xyz' must hold 3 values"),
        ("cases.P1.ct", ..., "'cases.P1.ct' is missing"),
        ("cases.P1.weight_kg", 70, "'cases.P1.weight_kg' is unknown"),
        ("format_version", 2, "format_version"),
    ],
)
def test_a_fingerprint_that_does_not_fit_is_told(tmp_path, key, value, words):
    fingerprint({"P1": case_facts(volume_facts(), volume_facts())}).save(tmp_path / "f.json")
    edit(tmp_path / "f.json", key, value)
    with pytest.raises(PlanError) as fault:
        Fingerprint.load(tmp_path / "f.json")
    assert words in str(fault.value) and str(tmp_path / "f.json") in str(fault.value)
