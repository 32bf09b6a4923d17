"""From fingerprint to plan: by rules, or as in the seed whatever the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_datasets import case_facts, fingerprint, paired_fingerprint, volume_facts

from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.imaging.coding import MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.plan import Plan
from synthct.planning.planner import PLANNERS, make_plan

ODD = {
    "spacing_mm_xyz": (3.0, 2.0, 6.0),
    "head_percentiles": {"0.5": -3.0, "5": 0.0, "50": 20.0, "95": 35.0, "99.5": 40.0},
}


def raw(*channels: str) -> RawDataset:
    return RawDataset(Path("Dataset001_Heads"), channels or ("T1",), ".mha", {}, {}, ())


@pytest.mark.parametrize("facts", [paired_fingerprint(24), paired_fingerprint(90, **ODD)])
def test_wolterink2017_is_the_seed_whatever_the_data(facts):
    plan = make_plan("wolterink2017", raw(), facts)
    assert (plan.planner, plan.n_folds) == ("wolterink2017", 4)
    assert to_plain(plan.configurations["2d"]) == {
        "preprocessing": {
            "slice_plane": "sagittal",
            "spacing_mm": [1.0, 0.87, 0.87],
            "slice_scale": 1.125,
            "slice_size": [256, 256],
            "interpolation": "linear",
            "ct_window_hu": [-600.0, 1400.0],
            "mr_windows": [{"kind": "fixed", "low": 0.0, "high": 3500.0}],
            "grey_levels": 256,
        },
        "network": {"mr_channels": 1, "base_channels": 64, "n_blocks": 9, "discriminator_base_channels": 64},
        "training": {
            "padded_size": [286, 286],
            "crop_size": [256, 256],
            "min_head_fraction": 0.01,
            "batch_size": 1,
            "epochs_constant": 100,
            "epochs_decay": 100,
            "iterations_per_epoch": None,
            "learning_rate": 0.0002,
            "adam_betas": [0.5, 0.999],
            "lambda_cycle": 10.0,
            "lambda_identity": 0.0,
            "lambda_l1": 100.0,
            "pool_size": 50,
            "precision": "auto",
            "seed": 0,
        },
    }


def test_data_like_the_seeds_get_the_seeds_plan_by_the_rules():
    by_rules, as_seed = (make_plan(planner, raw(), paired_fingerprint(18)) for planner in ("default", "wolterink2017"))
    assert by_rules.configurations == as_seed.configurations


def test_other_data_get_their_own():
    plan = make_plan("default", raw(), paired_fingerprint(3, **ODD))
    preprocessing = plan.configurations["2d"].preprocessing
    assert preprocessing.slice_plane == "axial"
    assert preprocessing.spacing_mm == (6.0, 3.0, 3.0)
    assert preprocessing.slice_size == (76, 76)
    assert preprocessing.mr_windows == (MrWindow("fixed", -3.0, 40.0),)
    assert plan.n_folds == 3
    assert plan.file_ending == ".mha" and plan.channel_names == ("T1",)


def test_a_window_a_channel():
    both = type(case_facts())(mr=(volume_facts(), volume_facts(**ODD)), ct=volume_facts(), files_key="")
    plan = make_plan("default", raw("T1", "T2"), fingerprint({"P": both}))
    assert [window.high for window in plan.configurations["2d"].preprocessing.mr_windows] == [3500, 40]
    assert plan.configurations["2d"].network.mr_channels == 2


@pytest.mark.parametrize("planner", list(PLANNERS))
@pytest.mark.parametrize("facts", [paired_fingerprint(5), paired_fingerprint(2, **ODD)])
def test_every_reason_explains_a_value_of_the_plan(planner, facts, tmp_path):
    plan = make_plan(planner, raw(), facts)
    assert plan.reasons
    for path, reason in plan.reasons.items():
        value = to_plain(plan)
        for key in re.findall(r"[^.\[\]]+", path):
            value = value[int(key)] if isinstance(value, list) else value[key]
        assert len(reason.rule) > 10, path
    plan.save(tmp_path / "plans.json")
    assert Plan.load(tmp_path / "plans.json") == plan


@pytest.mark.parametrize("planner", list(PLANNERS))
@pytest.mark.parametrize("spacing", [(0.1, 0.1, 0.1), (1.0, 1.0, 1.0), (4.0, 4.0, 4.0), (1.0, 1.0, 15.0), (20.0,) * 3])
def test_low_resolution_is_coarser_smaller_and_shorter_for_any_spacing(planner, spacing):
    plan = make_plan(planner, raw(), paired_fingerprint(2, spacing_mm_xyz=spacing))
    full, low = plan.configurations["2d"], plan.configurations["2d_lowres"]
    assert all(a >= b for a, b in zip(low.preprocessing.spacing_mm, full.preprocessing.spacing_mm))
    assert all(a <= b for a, b in zip(low.preprocessing.slice_size, full.preprocessing.slice_size))
    assert low.network.base_channels == full.network.base_channels // 4
    assert low.training.epochs < full.training.epochs
    assert low.training.crop_size == low.preprocessing.slice_size


def test_low_resolution_of_the_seed_halves_it():
    low = make_plan("wolterink2017", raw(), paired_fingerprint(2)).configurations["2d_lowres"]
    assert low.preprocessing.spacing_mm == (2.0, 1.74, 1.74)
    assert low.preprocessing.slice_size == (128, 128)
    assert low.training.padded_size == (143, 143)


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ({"P": case_facts(volume_facts())}, "has no CT to learn from; put some into targetsTr"),
        ({"P": case_facts(ct=volume_facts())}, "has no MR to learn from; put some into imagesTr"),
    ],
)
def test_a_dataset_of_one_modality_cannot_be_planned(cases, words):
    with pytest.raises(PlanError, match=words):
        make_plan("default", raw(), fingerprint(cases))


def test_an_unknown_planner_is_told_with_those_that_there_are():
    with pytest.raises(PlanError, match="no planner 'mine'; the planners are default, wolterink2017"):
        make_plan("mine", raw(), paired_fingerprint(2))
