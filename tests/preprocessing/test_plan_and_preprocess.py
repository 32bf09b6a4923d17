"""Raw dataset to plan, splits and cache: what is done is not done again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from preprocessed_dataset import (
    JSONS,
    PATIENTS,
    REPORT,
    cached,
    edit,
    held_out,
    page,
    read,
    times,
    widen,
)
from synthetic_datasets import PAIRED, cache_of, keep_registration, write_dataset

from synthct.dataset.raw import RawDataset
from synthct.dataset.registration_record import REGISTRATIONS
from synthct.errors import DatasetError, PlanError
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan
from synthct.preprocessing.plan_and_preprocess import plan_and_preprocess
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, MR_KNOWN, SliceStack


def test_the_files_are_those_of_the_layout_and_a_second_run_writes_nothing(run, folder, raw_folder):
    plan = run(configurations=None)
    before = times(folder)
    caches = {cached(folder, configuration) for configuration in plan.configurations}
    assert caches == {cached(folder, "2d"), cached(folder, "2d_lowres")}  # the others take that of 2d
    assert set(before) == JSONS | REPORT | {f"{cache}/{p}.npz" for cache in caches for p in PATIENTS}
    assert Plan.load(folder / "plans.json") == plan and plan.n_folds == 3
    assert read(folder / "dataset.json") == read(raw_folder / "dataset.json")
    assert sorted(sum(held_out(folder), [])) == ["P1", "P2", "P3"]
    assert run(configurations=None) == plan
    assert times(folder) == before


def test_a_changed_image_is_measured_and_done_again_alone(first_run, run, folder, raw_folder):
    before = times(folder)
    os.utime(raw_folder / "imagesTr" / "M_0000.nii.gz", ns=(1, 1))
    run()
    changed = {name for name, time in times(folder).items() if before[name] != time}
    assert changed == {"dataset_fingerprint.json", f"{cached(folder)}/M.npz", "report/M.jpg", "report/M.json"}


def test_a_removed_patient_leaves_fingerprint_splits_and_cache(first_run, run, folder, raw_folder):
    for path in (raw_folder / "imagesTr" / "P3_0000.nii.gz", raw_folder / "targetsTr" / "P3.nii.gz"):
        path.unlink()
    assert run().n_folds == 2
    assert not (cache_of(folder) / "P3.npz").exists() and not (folder / "report" / "P3.jpg").exists()
    assert "P3" not in page(folder)
    assert "P3" not in read(folder / "dataset_fingerprint.json")["cases"]
    assert sorted(sum(held_out(folder), [])) == ["P1", "P2"]


def test_a_new_patient_joins_everything(first_run, run, folder, raw_folder):
    write_dataset(raw_folder, {"P4": PAIRED})
    assert run().n_folds == 4
    assert (cache_of(folder) / "P4.npz").is_file()
    assert sorted(sum(held_out(folder), [])) == ["P1", "P2", "P3", "P4"]


# -- report -----------------------------------------------------------------------------------------------------------


def apart(raw_folder: Path, *patients: str) -> None:
    """Move the CTs of these patients away from their MRs."""
    for patient in patients:
        path = raw_folder / "targetsTr" / f"{patient}.nii.gz"
        ct = sitk.ReadImage(str(path))
        ct.SetOrigin([x + shift for x, shift in zip(ct.GetOrigin(), (30, -20, 0))])
        sitk.WriteImage(ct, str(path))


def test_the_report_shows_every_case_and_the_run_says_where_it_is(run, folder, caplog):
    caplog.set_level("INFO", "synthct")
    run()
    assert f"Pictures of all 5 cases, 0 of them flagged, are in {folder / 'preprocessing_report.html'}" in caplog.text
    assert "5 training cases, 0 flagged" in page(folder) and "3 paired, 1 MR alone, 1 CT alone" in page(folder)


def test_a_flagged_case_is_reported_at_every_run_and_comes_first_in_the_report(
    first_run, run, folder, raw_folder, caplog
):
    apart(raw_folder, "P3")
    for _ in range(2):
        caplog.clear()
        run()
        (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warning.startswith("P3: The heads in MR and CT agree only by Dice 0.")
    assert 0 < page(folder).index('id="case-P3"') < page(folder).index('id="case-C"')


def test_many_flagged_cases_are_reported_in_part(first_run, run, folder, raw_folder, caplog, monkeypatch):
    monkeypatch.setattr("synthct.preprocessing.plan_and_preprocess.MAX_WARNINGS", 1)
    apart(raw_folder, "P1", "P2", "P3")
    run()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text[:4] for text in warnings] == ["P1: ", "and "]
    assert warnings[1] == "and 2 more flagged cases, see the report."


def test_a_missing_report_is_written_again_though_nothing_else_changed(first_run, run, folder):
    (folder / "preprocessing_report.html").unlink()
    before = times(folder)
    run()
    assert set(times(folder)) - set(before) == {"preprocessing_report.html"}
    assert all(times(folder)[name] == time for name, time in before.items())


# -- options and failures --------------------------------------------------------------------------------------------


def test_clean_throws_edits_and_leftovers_away(first_run, run, folder):
    plan = Plan.load(folder / "plans.json")
    edit(folder / "plans.json", widen)
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["P1"], "val": []}]))
    (folder / "leftover").touch()
    assert run(clean=True) == plan
    assert len(held_out(folder)) == 3
    assert not (folder / "leftover").exists()


@pytest.mark.parametrize("clean", [True, False])
def test_verify_only_writes_nothing(run, folder, clean):
    assert run(verify_only=True, clean=clean) is None
    assert not folder.exists()


@pytest.mark.parametrize("clean", [True, False])
def test_verify_only_changes_nothing(first_run, run, folder, clean):
    before = times(folder)
    assert run(verify_only=True, clean=clean) is None
    assert times(folder) == before


def test_a_dataset_with_problems_writes_nothing_and_throws_nothing_away(first_run, run, folder, raw_folder):
    before = times(folder)
    (raw_folder / "targetsTr" / "C.nii.gz").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="C.nii.gz cannot be read"):
        run(clean=True)
    assert times(folder) == before


@pytest.mark.parametrize("clean", [True, False])
def test_an_unknown_configuration_is_reported_before_anything_is_written(run, folder, clean):
    with pytest.raises(PlanError, match="no configuration '4d'; it has 2d, 2d_lowres"):
        run(configurations=["4d"], clean=clean)
    assert not folder.exists()


def test_an_unknown_planner_is_reported(run):
    with pytest.raises(PlanError, match="no planner 'x'"):
        run(planner="x")


def test_a_dataset_without_ct_is_reported(tmp_path):
    raw = write_dataset(tmp_path / "Dataset002_Mr", {"P": {"mr"}})
    with pytest.raises(PlanError, match="has no CT to learn from"):
        plan_and_preprocess(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_description_with_a_byte_order_mark_is_copied_without(run, folder, raw_folder):
    text = (raw_folder / "dataset.json").read_text()
    (raw_folder / "dataset.json").write_text(text, encoding="utf-8-sig")
    run()
    assert (folder / "dataset.json").read_text(encoding="utf-8") == text


def test_a_ct_without_tissue_is_refused_by_its_file(tmp_path):
    raw = write_dataset(tmp_path / "Dataset003_Air", {"P": PAIRED})
    ct = raw.training["P"].ct
    sitk.WriteImage(sitk.Clamp(sitk.ReadImage(str(ct)), upperBound=-500), str(ct))
    with pytest.raises(DatasetError, match="targetsTr/P.nii.gz"):
        plan_and_preprocess(RawDataset.open(raw.folder), tmp_path / "out")


# -- registration --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(raw_folder, folder):
    """Registrations as ``--register auto`` would have left them: P1's CT is 12 mm off, P2's failed, P3's is aligned."""
    cases = RawDataset.open(raw_folder).training
    there = folder / REGISTRATIONS
    keep_registration(cases["P1"], there, shift_mm=(12.0, 0.0, 0.0))
    keep_registration(cases["P2"], there, status="failed", problems_found=("the CT covers only 10% of the MR's head",))
    keep_registration(cases["P3"], there, status="aligned")


def test_who_failed_to_be_registered_is_used_but_not_as_a_pair(run, folder, kept, caplog):
    run(register="auto")
    pairs = {
        patient: case.paired for patient, case in Fingerprint.load(folder / "dataset_fingerprint.json").cases.items()
    }
    assert pairs == {"P1": True, "P2": False, "P3": True, "M": False, "C": False}
    facts = {p: SliceFacts.load(cache_of(folder) / f"{p}.npz") for p in ("P1", "P2")}
    assert facts["P1"].paired and not facts["P2"].paired
    assert facts["P2"].head_fraction(MR_KNOWN).any() and facts["P2"].head_fraction(CT_KNOWN).any()
    held_out = [fold["val"] for fold in json.loads((folder / "splits_final.json").read_text())]
    assert sorted(sum(held_out, [])) == ["P1", "P3"]
    output = "P2: the registration of CT to MR failed (the CT covers only 10% of the MR's head)"
    assert any(output in message and "not as a pair" in message for message in caplog.messages)


def test_the_mode_is_remembered_until_another_is_asked_for(run, folder, kept):
    assert run(register="auto").register == "auto"
    first = times(folder)
    assert run().register == "auto"
    assert times(folder) == first
    assert run(register="off").register == "off"
    assert Fingerprint.load(folder / "dataset_fingerprint.json").cases["P2"].paired


def test_a_registered_ct_lies_elsewhere_in_the_slices(run, folder, kept):
    run(register="auto")
    registered = SliceStack.load(cache_of(folder) / "P1.npz")
    run(register="off")
    unregistered = SliceStack.load(cache_of(folder) / "P1.npz")
    assert (registered.mr == unregistered.mr).mean() > 0.95  # but where the heads' outlines differ
    shift = np.argmax([agreement(registered.ct, np.roll(unregistered.ct, by, axis=0)) for by in range(-12, 13)]) - 12
    assert abs(shift) * registered.info["grid"]["spacing_mm_xyz"][2] == pytest.approx(12, abs=3)


def test_scans_that_lie_apart_are_a_problem_only_where_they_are_not_registered(raw_folder, folder, run):
    path = raw_folder / "targetsTr" / "P1.nii.gz"
    ct = sitk.ReadImage(str(path))
    ct.SetOrigin((2000.0, 0.0, 0.0))
    sitk.WriteImage(ct, str(path))
    with pytest.raises(DatasetError, match="register the CT to the MR"):
        run(verify_only=True)
    assert run(verify_only=True, register="auto") is None


def agreement(first, second) -> float:
    return float(((first > -600) & (second > -600)).sum())
