"""A fold's held-out patients: predicted like new ones, and remembered for those to come."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, small_plan, write_dataset, write_image
from synthetic_heads import make_grid
from tiny_models import tiny_model, write_model

from synthct.dataset.raw import RawDataset
from synthct.errors import ModelError
from synthct.inference import Predictor
from synthct.inference.predict_folder import predict_folder
from synthct.inference.predict_held_out import predict_held_out, record_fold
from synthct.qa import Reference


def predictor_of() -> Predictor:
    return Predictor(tiny_model(small_plan()), "cpu")


def test_held_out_patients_are_predicted_from_the_raw_mr(tmp_path):
    raw = write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED, "Q": PAIRED}, ending=".mha")
    measured = predict_held_out(raw, predictor_of(), ("Q",), tmp_path / "validation")
    assert list(measured) == ["Q"] and os.listdir(tmp_path / "validation") == ["Q.mha"]
    again = predict_folder(predictor_of(), raw.folder / "imagesTr", tmp_path / "cts")
    sct_hu, other = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (tmp_path / "validation" / "Q.mha", again[1])
    )
    assert np.array_equal(sct_hu, other)  # exactly as a new patient


def test_a_given_mask_is_used_for_held_out_patients(tmp_path):
    raw = write_dataset(tmp_path / "Dataset001_Heads", {"Q": PAIRED})
    cube = make_grid((20, 20, 20), (4, 4, 4))
    write_image(cube.place(np.ones(cube.array_shape, np.uint8)), raw.folder / "masksTr" / "Q.nii.gz")
    predict_held_out(RawDataset.open(raw.folder), predictor_of(), ("Q",), tmp_path / "validation")
    inside = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "validation" / "Q.nii.gz"))) > -1000
    assert inside.sum() * 6**3 == pytest.approx(80**3, rel=0.3)


def test_held_out_patients_who_are_gone_are_reported(tmp_path):
    raw = write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED})
    with pytest.raises(ModelError, match="Q, R"):
        predict_held_out(raw, predictor_of(), ("P", "R", "Q"), tmp_path / "validation")
    assert not (tmp_path / "validation").exists()


# -- what is remembered ----------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path) -> RawDataset:
    return write_dataset(tmp_path / "raw" / "Dataset001_Heads", {"P": PAIRED, "Q": PAIRED, "R": {"mr"}, "S": {"ct"}})


def train_fold(raw: RawDataset, model: Path, fold: str, held_out: tuple[str, ...], training: list[str]) -> Reference:
    """What ``synthct_train`` does after a training."""
    predictor = Predictor.from_model_folder(model, [fold], device="cpu")
    measured = predict_held_out(raw, predictor, held_out, model / f"fold_{fold}" / "validation")
    return record_fold(raw, predictor, model, fold, measured, training)


def test_a_fold_leaves_a_record_a_patient_and_a_report_a_held_out_patient(raw, tmp_path):
    model = write_model(tmp_path)
    reference = train_fold(raw, model, "0", ("Q",), ["P", "R", "S"])
    assert reference == Reference.load(model)
    assert {name: record.fold for name, record in reference.patients.items()} == {
        "P": None,
        "Q": "0",
        "R": None,
        "S": None,
    }
    assert reference.patients["S"].mr is None and reference.patients["R"].ct is None
    held_out = reference.patients["Q"]
    assert held_out.output.cycle_error_head > 0 and held_out.uncertainty_head_hu is None
    assert 0.1 < held_out.ct.bone < 0.5 and held_out.ct.air < 0.2
    report = json.loads((model / "fold_0" / "validation_qa" / "Q.json").read_text())
    assert report["patient"] == "Q" and report["status"] in ("pass", "check", "fail")
    brains = [check for check in report["checks"] if check["name"] == "brain_dark"]
    assert [check["n_patients"] for check in brains] == [2]  # P and R, not Q


def test_a_second_fold_adds_the_spread_over_both(raw, tmp_path):
    model = write_model(tmp_path, ("0", "1"))
    first = train_fold(raw, model, "0", ("Q",), ["P"])
    both = train_fold(raw, model, "1", ("P",), ["Q"])
    assert first.patients["Q"] == both.patients["Q"]  # fold 0's record stays
    record = both.patients["P"]
    assert record.fold == "1" and record.ensemble_folds == 2 and record.uncertainty_head_hu > 0
    whole = Predictor.from_model_folder(model, device="cpu").predict_with_qa(
        sitk.ReadImage(str(raw.training["P"].mr[0]))
    )
    assert whole.qa.measured.output.uncertainty_head_hu == pytest.approx(record.uncertainty_head_hu, rel=0.3)


def test_a_fold_that_holds_no_patient_out_leaves_the_scans(raw, tmp_path):
    model = write_model(tmp_path, ("all",))
    reference = train_fold(raw, model, "all", (), ["P", "Q"])
    assert [record.output for record in reference.patients.values()] == [None, None]
    prediction = Predictor.from_model_folder(model, device="cpu").predict_with_qa(
        sitk.ReadImage(str(raw.training["R"].mr[0]))
    )
    assert any("No fold of the model held a patient out" in note for note in prediction.qa.judgement.notes)
