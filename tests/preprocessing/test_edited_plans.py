"""What users have edited is kept and followed; what an earlier version left is replaced, and its plan kept."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from plan_of_format_1 import OF_FORMAT_1
from preprocessed_dataset import (
    PATIENTS,
    REPORT,
    cached,
    coarsen,
    cyclegan_coding,
    edit,
    held_out,
    read,
    times,
    widen,
)
from synthetic_datasets import PAIRED, cache_of, write_dataset

from synthct.errors import DatasetError, PlanError
from synthct.planning.plan import Plan
from synthct.preprocessing.slice_stack import SliceStack


def test_an_edited_plan_is_kept_and_followed(first_run, run, folder, caplog):
    before, unused = times(folder), cache_of(folder)
    edit(folder / "plans.json", coarsen)
    for _ in range(2):
        plan = run()
        assert plan.configurations["2d_lowres"].preprocessing.spacing_mm == (9, 8, 8)
        assert "has been edited and is kept" in caplog.text
    assert Plan.load(folder / "plans.json") == plan
    assert cache_of(folder) != unused and not unused.exists()
    assert {path.stem for path in cache_of(folder).glob("*.npz")} == set(PATIENTS)
    grid = SliceStack.load(cache_of(folder) / "P1.npz").info["grid"]
    assert grid["spacing_mm_xyz"] == pytest.approx([9, 9, 9])  # 8 mm and the scale of slices, 9 / 8
    assert all(times(folder)[name] == before[name] for name in REPORT - {"preprocessing_report.html"})


def test_edited_settings_of_a_method_leave_the_slices_and_are_shown_in_the_report(first_run, run, folder):
    before = times(folder)
    edit(folder / "plans.json", widen)
    assert cyclegan_coding(run()).ct_window_hu == (-1000, 2000)
    changed = {name for name, time in times(folder).items() if before[name] != time}
    assert changed - {"plans.json"} == REPORT
    assert read(folder / "report" / "P1.json")["facts"]["CT window"] == "-1000 to 2000 HU"


def test_a_configuration_that_is_added_by_hand_can_be_preprocessed_and_shares_the_cache(first_run, run, folder):
    before = times(folder)
    added = {"inherits_from": "2d", "input": {"neighbours": 1}}
    edit(folder / "plans.json", lambda plan: plan["configurations"].update(mine=added))
    assert run(configurations=["mine", "2d"]).configurations["mine"].input.neighbours == 1
    assert cached(folder, "mine") == cached(folder, "2d") != cached(folder)
    assert all(times(folder)[f"{cached(folder)}/{p}.npz"] == before[f"{cached(folder)}/{p}.npz"] for p in PATIENTS)


@pytest.mark.parametrize(
    ("trainer", "change", "key"),
    [
        ("cyclegan", {"pool_sise": 3}, "pool_sise"),
        ("pix2pix", {"lambda_l1": -1}, "lambda_l1"),
        ("cyclegan", {"coding": {"grey_levels": 1000}}, "grey_levels"),
    ],
)
def test_a_wrong_setting_of_a_method_is_an_error_before_anything_is_done(first_run, run, folder, trainer, change, key):
    edit(folder / "plans.json", lambda plan: plan["configurations"]["2d_lowres"]["methods"][trainer].update(change))
    before = times(folder)
    with pytest.raises(PlanError, match=key) as fault:
        run()
    assert f"configurations.2d_lowres: methods.{trainer}" in str(fault.value).replace("the key '", "")
    assert times(folder) == before


def test_an_edited_plan_is_kept_when_patients_come(first_run, run, folder, raw_folder):
    edit(folder / "plans.json", widen)
    write_dataset(raw_folder, {"P4": PAIRED})
    assert cyclegan_coding(run()).ct_window_hu == (-1000, 2000)


def test_a_plan_of_an_earlier_version_is_not_an_edited_one(first_run, run, folder, caplog):
    edit(folder / "plans.json", lambda plan: plan.update(synthct_version="0.0.1"))
    run()
    assert "edited" not in caplog.text


def test_an_edited_number_of_folds_makes_new_splits(first_run, run, folder):
    edit(folder / "plans.json", lambda plan: plan.update(n_folds=2))
    run()
    assert len(held_out(folder)) == 2


def test_edited_splits_are_kept_even_when_patients_come(first_run, run, folder, raw_folder):
    splits = [{"train": ["P1", "M", "C"], "val": ["P2", "P3"]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    write_dataset(raw_folder, {"P4": PAIRED})
    run()
    assert read(folder / "splits_final.json") == splits


def test_edited_splits_that_no_longer_fit_are_reported_by_name(first_run, run, folder, raw_folder):
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["P1", "M"], "val": ["P2"]}]))
    (raw_folder / "imagesTr" / "M_0000.nii.gz").unlink()
    with pytest.raises(PlanError, match="splits_final.json: fold 0 names M, whom the dataset does not have"):
        run()


@pytest.mark.parametrize("content", ["null", "{}", "3"])
def test_damaged_splits_are_reported_and_left_as_they_are(first_run, run, folder, content):
    (folder / "splits_final.json").write_text(content)
    with pytest.raises(PlanError, match="splits_final.json: 'folds' must be a list, not .*; restore the file"):
        run()
    assert (folder / "splits_final.json").read_text() == content


def test_a_wrong_edit_of_the_plan_is_reported_by_name(first_run, run, folder):
    edit(folder / "plans.json", lambda plan: plan.update(folds=3))
    with pytest.raises(PlanError, match="plans.json: the key 'folds' is unknown"):
        run()


def test_a_fingerprint_of_another_version_is_measured_anew(first_run, run, folder, caplog):
    edit(folder / "dataset_fingerprint.json", lambda content: content.update(format_version=99))
    run()
    assert "measured anew" in caplog.text
    assert read(folder / "dataset_fingerprint.json")["format_version"] == 1


def test_a_channel_more_makes_a_new_plan(first_run, run, folder, raw_folder):
    patients = {patient: scans & {"mr"} for patient, scans in PATIENTS.items()}
    write_dataset(raw_folder, patients, channels=("T1", "T2"))
    assert len(cyclegan_coding(run()).mr_windows) == 2


def test_a_channel_more_than_an_edited_plan_has_is_reported(first_run, run, folder, raw_folder):
    edit(folder / "plans.json", widen)
    patients = {patient: scans & {"mr"} for patient, scans in PATIENTS.items()}
    write_dataset(raw_folder, patients, channels=("T1", "T2"))
    with pytest.raises(PlanError, match="plans for the MR channels T1, but dataset.json names T1, T2"):
        run()


def test_a_run_that_names_no_planner_keeps_that_of_the_plan(first_run, run, folder):
    run(planner="wolterink2017")
    assert run().planner == "wolterink2017"
    assert run(planner="default").planner == "default"


def test_another_planner_plans_anew(first_run, run, folder):
    assert run(planner="wolterink2017").planner == "wolterink2017"
    assert read(folder / "plans.json")["configurations"]["2d"]["preprocessing"]["spacing_mm"] == [1.0, 0.87, 0.87]


# -- what an earlier version left --------------------------------------------------------------------------------------


@pytest.fixture
def of_format_1(first_run, folder) -> str:
    """The plan and the caches of synthct 0.1 take the place of today's; the text of the plan."""
    plan = OF_FORMAT_1 | {"channel_names": ["T1"], "n_folds": 3, "register": "off", "configurations": {}}
    for name in ("2d", "2d_lowres"):
        plan["configurations"][name] = configuration = json.loads(json.dumps(OF_FORMAT_1["configurations"]["2d"]))
        configuration["preprocessing"]["mr_windows"] = configuration["preprocessing"]["mr_windows"][:1]
        configuration["network"]["mr_channels"] = 1
        (folder / name).mkdir()
        np.savez(folder / name / "P1.npz", mr=np.zeros((1, 2, 4, 4), np.uint8), regions=np.zeros((2, 4, 4), np.uint8))
    text = json.dumps(plan, indent=1)
    (folder / "plans.json").write_text(text)
    return text


def test_a_plan_of_format_1_is_kept_under_another_name_and_planned_anew(of_format_1, run, folder, caplog):
    caplog.set_level("INFO", "synthct")
    plan = run()
    assert (folder / "plans_of_earlier_version.json").read_text() == of_format_1
    assert Plan.load(folder / "plans.json") == plan and read(folder / "plans.json")["format_version"] == 2
    assert plan.planner == "default" and "2.5d" in plan.configurations
    assert plan.configurations["2d"].preprocessing.interpolation == "linear"  # not the old plan's
    assert "plans_of_earlier_version.json" in caplog.text
    before = times(folder)
    assert run() == plan
    assert times(folder) == before


def test_caches_of_an_earlier_version_are_removed_and_those_of_today_used(of_format_1, run, folder, caplog):
    caplog.set_level("INFO", "synthct")
    there = times(folder)
    run()
    assert not (folder / "2d").exists() and not (folder / "2d_lowres").exists()
    assert str(folder / "2d") in caplog.text
    assert {path.stem for path in cache_of(folder).glob("*.npz")} == set(PATIENTS)
    assert all(times(folder)[f"{cached(folder)}/{p}.npz"] == there[f"{cached(folder)}/{p}.npz"] for p in PATIENTS)


def test_the_planner_of_a_plan_of_format_1_is_kept(of_format_1, run, folder):
    edit(folder / "plans.json", lambda plan: plan.update(planner="wolterink2017"))
    assert run().planner == "wolterink2017"


def test_a_plan_of_format_1_stays_where_the_dataset_has_problems(of_format_1, run, folder, raw_folder):
    before = times(folder)
    (raw_folder / "targetsTr" / "C.nii.gz").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="C.nii.gz"):
        run()
    assert times(folder) == before


def test_caches_that_no_configuration_uses_are_removed_and_those_of_the_plan_stay(first_run, run, folder):
    unused = folder / "slices_axial_9.00x9.00x9.00mm_abcdef"
    shutil.copytree(cache_of(folder), unused)
    (folder / "slices_of_mine.txt").touch()
    (folder / "my_notes").mkdir()
    shutil.copytree(cache_of(folder), cache_of(folder, "2d"))  # not asked for, but in the plan
    run()
    assert not unused.exists()
    assert all(path.exists() for path in (folder / "slices_of_mine.txt", folder / "my_notes", cache_of(folder, "2d")))
