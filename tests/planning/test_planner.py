"""From fingerprint to plan: by rules, or as in Wolterink et al. 2017 whatever the data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from synthetic_datasets import case_facts, fingerprint, paired_fingerprint, volume_facts

from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError, TrainingError
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.configurations import reference_configuration
from synthct.planning.method_settings import check_settings, settings_of
from synthct.planning.plan import Configuration, Plan, pixel_mm
from synthct.planning.planner import PLANNERS, make_plan, planned_methods
from synthct.plugins import CONFIGURATIONS, TRAINERS

ODD = {
    "spacing_mm_xyz": (3.0, 2.0, 6.0),
    "head_percentiles": {"0.5": -3.0, "5": 0.0, "50": 20.0, "95": 35.0, "99.5": 40.0},
}


def raw(*channels: str) -> RawDataset:
    return RawDataset(Path("Dataset001_Heads"), channels or ("T1",), ".mha", {}, {}, ())


UNBOUNDED = {"hu_low": -1024.0, "hu_high": 3071.0, "mr_percentiles": [0.5, 99.5]}  # coding of a linear output
NETWORKS = {
    "coding": {
        "ct_window_hu": [-600.0, 1400.0],
        "mr_windows": [{"kind": "fixed", "low": 0.0, "high": 3500.0}],
        "grey_levels": 256,
    },
    "base_channels": 64,
    "n_blocks": 9,
    "discriminator_base_channels": 64,
    "learning_rate": 0.0002,
    "adam_betas": [0.5, 0.999],
}
REFERENCE = {
    "preprocessing": {
        "slice_plane": "sagittal",
        "spacing_mm": [1.0, 0.87, 0.87],
        "slice_scale": 1.125,
        "slice_size": [256, 256],
        "interpolation": "linear",
    },
    "input": {"plane": "sagittal", "neighbours": 0, "mr_channels": 1},
    "training": {
        "padded_size": [286, 286],
        "crop_size": [256, 256],
        "min_head_fraction": 0.01,
        "batch_size": 1,
        "epochs_constant": 100,
        "epochs_decay": 100,
        "iterations_per_epoch": None,
        "precision": "auto",
        "seed": 0,
    },
    "network_width": 1.0,
    "methods": {
        "cyclegan": NETWORKS | {"lambda_cycle": 10.0, "lambda_identity": 0.0, "pool_size": 50},
        "pix2pix": NETWORKS | {"lambda_l1": 100.0},
    },
    "dimensions": 2,
}


def trainers_of(dimensions: int) -> list[str]:
    return [name for name in TRAINERS.ours if TRAINERS.load(name).dimensions == dimensions]


def coding(configuration: Configuration, trainer: str = "cyclegan") -> GreyLevels:
    return settings_of(trainer, configuration, "plans.json").coding


@pytest.mark.parametrize("facts", [paired_fingerprint(24), paired_fingerprint(90, **ODD)])
def test_wolterink2017_is_the_papers_plan_whatever_the_data(facts):
    plan = make_plan("wolterink2017", raw(), facts)
    assert (plan.planner, plan.n_folds) == ("wolterink2017", 4)
    planned = to_plain(plan.configurations["2d"])
    assert set(planned["methods"]) == set(trainers_of(dimensions=2))
    planned["methods"] = {name: planned["methods"][name] for name in ("cyclegan", "pix2pix")}  # the paper's
    assert planned == REFERENCE


def test_data_like_the_papers_get_its_plan_by_the_rules():
    by_rules, as_paper = (make_plan(planner, raw(), paired_fingerprint(18)) for planner in ("default", "wolterink2017"))
    assert by_rules.configurations == as_paper.configurations


def test_other_data_get_their_own():
    plan = make_plan("default", raw(), paired_fingerprint(3, **ODD))
    preprocessing = plan.configurations["2d"].preprocessing
    assert preprocessing.slice_plane == plan.configurations["2d"].input.plane == "axial"
    assert preprocessing.spacing_mm == (6.0, 3.0, 3.0)
    assert preprocessing.slice_size == (76, 76)
    for trainer in ("cyclegan", "pix2pix"):
        assert coding(plan.configurations["2d"], trainer).mr_windows == (MrWindow("fixed", -3.0, 40.0),)
    assert plan.n_folds == 3
    assert plan.file_ending == ".mha" and plan.channel_names == ("T1",)


def test_a_trainer_that_the_pairs_allow_is_recommended():
    apart = {"P1": case_facts(mr=volume_facts()), "P2": case_facts(ct=volume_facts())}
    facts = {"unet": paired_fingerprint(3), "unet_unpaired": fingerprint(apart)}
    for trainer, known in facts.items():
        assert make_plan("default", raw(), known).recommended_trainer == trainer
        assert make_plan("wolterink2017", raw(), known).recommended_trainer == "cyclegan"  # the paper's


def test_a_window_a_channel():
    both = type(case_facts())(mr=(volume_facts(), volume_facts(**ODD)), ct=volume_facts(), files_key="")
    plan = make_plan("default", raw("T1", "T2"), fingerprint({"P": both}))
    assert [window.high for window in coding(plan.configurations["2d"]).mr_windows] == [3500, 40]
    assert plan.configurations["2d"].input.mr_channels == 2


@pytest.mark.parametrize("planner", list(PLANNERS))
@pytest.mark.parametrize("facts", [paired_fingerprint(5), paired_fingerprint(2, **ODD)])
def test_every_reason_explains_a_value_of_the_plan(planner, facts, tmp_path):
    plan = make_plan(planner, raw(), facts)
    assert plan.reasons
    for path, reason in plan.reasons.items():
        value = to_plain(plan)
        for key in re.findall(r"2\.5d\w*|[^.\[\]]+", path):  # the names of configurations that hold a dot
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
    for trainer in ("cyclegan", "pix2pix"):
        widths = [settings_of(trainer, planned, "").base_channels for planned in (low, full)]
        assert widths[0] == widths[1] // 4
    assert low.training.epochs < full.training.epochs
    assert low.training.crop_size == low.preprocessing.slice_size


def test_low_resolution_of_the_papers_plan_halves_it():
    low = make_plan("wolterink2017", raw(), paired_fingerprint(2)).configurations["2d_lowres"]
    assert low.preprocessing.spacing_mm == (2.0, 1.74, 1.74)
    assert low.preprocessing.slice_size == (128, 128)
    assert low.training.padded_size == (143, 143)


@pytest.mark.parametrize(
    ("cases", "folder"),
    [({"P": case_facts(volume_facts())}, "targetsTr"), ({"P": case_facts(ct=volume_facts())}, "imagesTr")],
)
def test_a_dataset_of_one_modality_cannot_be_planned(cases, folder):
    with pytest.raises(PlanError, match=folder):
        make_plan("default", raw(), fingerprint(cases))


def test_an_unknown_planner_is_reported_with_those_that_there_are():
    with pytest.raises(PlanError, match="'mine'.*default, wolterink2017"):
        make_plan("mine", raw(), paired_fingerprint(2))


# -- the settings of the methods ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [None, paired_fingerprint(3, **ODD)], ids=["as the papers", "by the data"])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(("dimensions", "expected"), [(2, {"cyclegan", "pix2pix"}), (3, {"unet3d"})])
def test_every_trainer_that_is_installed_is_planned_and_read_back(facts, n_channels, dimensions, expected):
    if facts is not None:
        mr = (volume_facts(**ODD),) * n_channels
        facts = fingerprint({"P": replace(case_facts(ct=volume_facts()), mr=mr)})
    configuration = replace(reference_configuration(n_channels), dimensions=dimensions)
    methods, reasons = planned_methods(configuration, facts)
    assert list(methods) == trainers_of(dimensions) and expected <= set(methods)
    for name in methods:
        as_planned = TRAINERS.load(name).plan_settings(configuration, facts).settings
        assert settings_of(name, replace(configuration, methods=json.loads(json.dumps(methods))), "p") == as_planned
    assert {path.partition(".")[0] for path in reasons} <= set(methods)


def test_every_configuration_that_is_installed_is_planned_with_the_settings_of_every_trainer():
    plan = make_plan("default", raw(), paired_fingerprint(4))
    assert list(plan.configurations) == ["2d", *CONFIGURATIONS.names()]
    check_settings(plan, "plans.json")
    for name, configuration in plan.configurations.items():
        assert configuration.dimensions == (3 if name == "3d" else 2)
        assert list(configuration.methods) == trainers_of(configuration.dimensions)


def test_a_trainer_of_another_package_that_cannot_be_imported_is_left_out_of_the_plan(monkeypatch):
    points = [EntryPoint("broken", "not_there.at_all:Trainer", "synthct.trainers")]
    monkeypatch.setattr("synthct.plugins.entry_points", lambda group: points * (group == "synthct.trainers"))
    assert "broken" in TRAINERS.names()
    methods, _ = planned_methods(reference_configuration(1), None)
    assert list(methods) == trainers_of(2)
    with pytest.raises(TrainingError, match="broken"):
        settings_of("broken", reference_configuration(1), "plans.json")


@pytest.mark.parametrize("facts", [paired_fingerprint(5), paired_fingerprint(2, **ODD)])
def test_neighbours_and_other_planes_are_drawn_from_the_cache_of_the_full_size(facts):
    configurations = make_plan("default", raw(), facts).configurations
    full = configurations["2d"]
    assert configurations["2.5d"] == replace(full, input=replace(full.input, neighbours=2))
    assert ("2d_axial" in configurations) == (full.input.plane != "axial")  # never the same twice
    for name, plane in (("2d_axial", "axial"), ("2d_coronal", "coronal")):
        if plane == full.input.plane:
            continue
        other = configurations[name]
        assert other.preprocessing == full.preprocessing and other.methods.keys() == full.methods.keys()
        assert other.input == replace(full.input, plane=plane)
        extents_mm = [
            [
                pixels * mm
                for pixels, mm in zip(planned.training.crop_size, pixel_mm(planned.preprocessing, planned.input.plane))
            ]
            for planned in (full, other)
        ]
        assert extents_mm[1] == pytest.approx(extents_mm[0], abs=2 * max(full.preprocessing.network_spacing_mm))
