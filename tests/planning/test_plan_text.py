"""Plans as they are written: configurations that inherit from another, and plans of format 1."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import written
from plan_of_format_1 import OF_FORMAT_1
from synthetic_datasets import paired_fingerprint, small_plan

from synthct.dataset.raw import RawDataset
from synthct.errors import ModelError, PlanError
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.method_settings import check_settings, settings_of
from synthct.planning.plan import Plan
from synthct.planning.plan_text import INHERITS, upgraded, upgraded_training, with_differences, with_inherited
from synthct.planning.planner import make_plan


def load(plain: Any, folder: Path) -> Plan:
    return Plan.load(written(plain, folder / "plans.json"))


@pytest.fixture
def two_d() -> dict:
    """A plan whose one configuration is named 2d, as JSON holds it."""
    return small_plan(name="2d").to_plain()


# -- configurations that inherit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("planner", ["default", "wolterink2017"])
def test_a_written_plan_says_of_the_other_configurations_only_what_differs(planner, tmp_path):
    raw = RawDataset(Path("Dataset001_Heads"), ("T1",), ".nii.gz", {}, {}, ())
    plan = make_plan(planner, raw, paired_fingerprint(4))
    plan.save(tmp_path / "plans.json")
    content = json.loads((tmp_path / "plans.json").read_text())["configurations"]
    assert content["2.5d"] == {INHERITS: "2d", "input": {"neighbours": 2}}
    assert content["2.5d_lowres"] == {
        INHERITS: "2d_lowres",
        "input": {"neighbours": 2},
    }  # follows a change of 2d_lowres
    assert content["2d_axial"].keys() <= {INHERITS, "input", "training", "methods"}
    planned = {name: configuration.methods for name, configuration in plan.configurations.items()}
    for method, settings in content["2d_axial"].get("methods", {}).items():  # a method may plan by the crop
        assert settings == {
            key: value for key, value in planned["2d_axial"][method].items() if value != planned["2d"][method][key]
        }
    assert INHERITS not in content["2d"]
    assert Plan.load(tmp_path / "plans.json") == plan


tables = st.recursive(
    st.none() | st.integers(0, 2) | st.text("ab", max_size=1) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["2d", "x", "y"]), st.dictionaries(st.sampled_from("abc"), tables), min_size=1))
def test_differences_and_what_they_inherit_make_the_whole_again(configurations):
    plan = {"configurations": configurations, "n_folds": 4}
    before = copy.deepcopy(plan)
    text = json.loads(json.dumps(with_differences(plan)))
    assert plan == before
    assert with_inherited(text, "plans.json", PlanError) == plan


def test_a_configuration_added_by_hand_takes_all_else_from_its_parent(two_d, tmp_path):
    two_d["configurations"]["mine"] = {INHERITS: "2d", "input": {"neighbours": 1}}
    plan = load(two_d, tmp_path)
    full = plan.configurations["2d"]
    assert plan.configurations["mine"] == replace(full, input=replace(full.input, neighbours=1))
    check_settings(plan, "plans.json")
    assert load(plan.to_plain(), tmp_path) == plan


def test_a_setting_deep_in_a_method_can_be_changed_by_hand_alone(two_d, tmp_path):
    difference = {"cyclegan": {"coding": {"ct_window_hu": [-1000, 2000]}}}
    two_d["configurations"] = {"wide": {INHERITS: "2d", "methods": difference}} | two_d["configurations"]
    plan = load(two_d, tmp_path)
    wide, full = (settings_of("cyclegan", plan.configurations[name], "") for name in ("wide", "2d"))
    assert wide == replace(full, coding=replace(full.coding, ct_window_hu=(-1000, 2000)))


def test_two_configurations_of_one_parent_share_nothing_that_can_be_changed(two_d):
    two_d["configurations"] |= {"a": {INHERITS: "2d"}, "b": {INHERITS: "2d"}}
    whole = with_inherited(two_d, "plans.json", PlanError)["configurations"]
    whole["a"]["input"]["neighbours"] = 7
    assert whole["b"]["input"]["neighbours"] == whole["2d"]["input"]["neighbours"] == 0


@pytest.mark.parametrize("parent", ["3d", "mine", "heir", None, 2, ["2d"], {"2d": 1}, "x" * 500, "a\nb"])
@pytest.mark.parametrize("error", [PlanError, ModelError])
def test_a_wrong_parent_is_an_error_that_names_file_configuration_and_parent(two_d, parent, error):
    two_d["configurations"] |= {"mine": {INHERITS: parent}, "heir": {INHERITS: "mine"}}
    with pytest.raises(error) as fault:
        Plan.from_plain(two_d, "plans.json", error)
    message = str(fault.value)
    named = "heir" if parent == "heir" else "mine"  # of a circle, the one that closes it
    assert message.startswith("plans.json: ") and f"configurations.{named}.{INHERITS}" in message
    assert repr("mine" if parent == "heir" else parent)[:20] in message and "\n" not in message and len(message) < 400


def test_a_configuration_may_inherit_from_one_that_inherits(two_d, tmp_path):
    two_d["configurations"] |= {
        "coarse": {INHERITS: "2d", "preprocessing": {"slice_scale": 2.0}},
        "coarse_2.5d": {INHERITS: "coarse", "input": {"neighbours": 2}},
    }
    plan = load(two_d, tmp_path)
    assert plan.configurations["coarse_2.5d"].preprocessing == plan.configurations["coarse"].preprocessing
    assert plan.configurations["coarse_2.5d"].input.neighbours == 2


def test_a_wrong_key_beside_the_inherited_ones_is_named(two_d, tmp_path):
    two_d["configurations"]["mine"] = {INHERITS: "2d", "input": {"neighbour": 1}}
    with pytest.raises(PlanError, match=r"configurations\.mine\.input\.neighbour'"):
        load(two_d, tmp_path)


# -- format 1 ----------------------------------------------------------------------------------------------------------


def test_a_plan_of_format_1_has_the_same_values_in_their_new_places(tmp_path):
    plan = load(OF_FORMAT_1, tmp_path)
    check_settings(plan, "plans.json")
    assert (plan.n_folds, plan.register, plan.channel_names) == (4, "auto", ("T1", "T2"))
    configuration = plan.configurations["2d"]
    then = OF_FORMAT_1["configurations"]["2d"]
    moved = {"ct_window_hu", "mr_windows", "grey_levels"}
    assert to_plain(configuration.preprocessing) == {
        key: value for key, value in then["preprocessing"].items() if key not in moved
    }
    assert to_plain(configuration.input) == {"plane": "axial", "neighbours": 0, "mr_channels": 2}
    training = to_plain(configuration.training)
    assert training == {key: then["training"][key] for key in training}
    windows = (MrWindow("fixed", -3.0, 40.0), MrWindow("percentile", 0.5, 99.5))
    for trainer in ("cyclegan", "pix2pix"):
        settings = settings_of(trainer, configuration, "plans.json")
        assert settings.coding == GreyLevels((-1000.0, 2000.0), windows, 128)
        assert (settings.base_channels, settings.n_blocks, settings.discriminator_base_channels) == (16, 4, 32)
        assert (settings.learning_rate, settings.adam_betas) == (0.0003, (0.6, 0.99))
    cyclegan = settings_of("cyclegan", configuration, "plans.json")
    assert (cyclegan.lambda_cycle, cyclegan.lambda_identity, cyclegan.pool_size) == (11.0, 0.5, 40)
    assert settings_of("pix2pix", configuration, "plans.json").lambda_l1 == 90.0


def test_no_value_of_format_1_is_lost():
    """Every number and word of the old configuration stands somewhere in the new one."""

    def scalars(value: Any) -> list:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return [value] if items is None else [scalar for item in items for scalar in scalars(item)]

    then, now = (scalars(plan["configurations"]) for plan in (OF_FORMAT_1, upgraded(OF_FORMAT_1)))
    assert set(then) <= set(now)


def test_reading_format_1_leaves_its_content_as_it_was_and_format_2_is_not_touched(two_d):
    before = copy.deepcopy(OF_FORMAT_1)
    upgraded(OF_FORMAT_1)
    assert OF_FORMAT_1 == before
    assert upgraded(two_d) is two_d


@pytest.mark.parametrize(
    "configurations",
    [None, [], {"2d": None}, {"2d": []}, {"2d": {}}, {"2d": {"preprocessing": 1, "network": 2, "training": 3}}],
)
def test_what_says_that_it_is_of_format_1_and_is_not_is_refused(configurations, tmp_path):
    with pytest.raises(PlanError, match="plans.json: "):
        load(OF_FORMAT_1 | {"configurations": configurations}, tmp_path)


def test_a_checkpoints_training_of_format_1_is_that_of_format_2():
    then = OF_FORMAT_1["configurations"]["2d"]["training"]
    assert upgraded_training(then) == upgraded(OF_FORMAT_1)["configurations"]["2d"]["training"]
    assert upgraded_training(None) is None
