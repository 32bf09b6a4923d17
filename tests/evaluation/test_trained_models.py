import json

import pytest
from made_up import make_model, make_tested

from synthct.errors import ModelError
from synthct.evaluation.trained_models import find_models


def test_a_trainer_with_one_configuration_is_labelled_by_its_name(tmp_path):
    for name in ("cyclegan__plans__2d", "pix2pix__plans__2d", "pix2pix__plans__2d_lowres"):
        make_model(tmp_path / name, {"P1": 0.0}, split={"train": ["P2"], "val": ["P1"]})
    (tmp_path / "evaluation").mkdir()
    models = find_models(tmp_path)
    assert [model.label for model in models] == ["cyclegan", "pix2pix__2d", "pix2pix__2d_lowres"]
    assert [(model.trainer, model.configuration) for model in models] == [
        ("cyclegan", "2d"),
        ("pix2pix", "2d"),
        ("pix2pix", "2d_lowres"),
    ]


def test_every_patient_is_taken_from_the_fold_that_held_him_out(tmp_path, caplog):
    folder = tmp_path / "cyclegan__plans__2d"
    make_model(folder, {"P1": 0.0, "P2": 0.0}, split={"train": ["P3"], "val": ["P1"]}, fold=0)
    make_model(folder, {"P1": 0.0, "P3": 0.0}, split={"train": ["P2"], "val": ["P1", "P3"]}, fold=1)
    make_model(folder, {"P4": 0.0}, split={"train": ["P4"], "val": ["P4"]}, fold="all")
    (model,) = find_models(tmp_path)
    assert {patient: held_out.fold for patient, held_out in model.held_out.items()} == {"P1": 0, "P3": 1}
    assert model.held_out["P3"].trained_on == ("P2",)
    assert model.held_out["P3"].sct == folder / "fold_1" / "validation" / "P3.nii.gz"
    assert "P2 out" in caplog.text and "P1 is scored on fold 0" in caplog.text


def test_stale_predictions_of_an_earlier_split_are_never_scored(tmp_path, caplog):
    folder = tmp_path / "cyclegan__plans__2d"
    stale = {"P1": 0.0, "TRAINED_ON": 0.0, "GONE": 0.0}
    make_model(folder, stale, split={"train": ["TRAINED_ON"], "val": ["P1", "NOT_PREDICTED"]})
    (model,) = find_models(tmp_path)
    assert list(model.held_out) == ["P1"]
    assert "TRAINED_ON.nii.gz" in caplog.text and "GONE.nii.gz" in caplog.text


def test_models_without_predictions_and_half_written_files_are_passed_over(tmp_path):
    folder = make_model(tmp_path / "cyclegan__plans__2d", {}, split={"train": [], "val": ["P1"]})
    (folder / "fold_0" / "validation" / ".1234.partial.P1.nii.gz").touch()
    assert find_models(tmp_path) == ()
    assert find_models(tmp_path / "missing") == ()


def test_a_malformed_split_names_its_file(tmp_path):
    folder = make_model(tmp_path / "cyclegan__plans__2d", {"P1": 0.0}, split={"train": [], "val": ["P1"]})
    (folder / "fold_0" / "split.json").write_text(json.dumps({"train": []}))
    with pytest.raises(ModelError, match=r"split\.json"):
        find_models(tmp_path)


@pytest.fixture
def with_test_set(tmp_path):
    folder = tmp_path / "cyclegan__plans__2d"
    make_model(folder, {"P1": 0.0}, split={"train": ["P2"], "val": ["P1"]}, fold=0)
    make_model(folder, {"P2": 0.0}, split={"train": ["P1"], "val": ["P2"]}, fold=1)
    make_tested(folder, {"T1": 0.0, "P2": 0.0}, folds=(0, 1))
    return folder


def test_test_patients_are_those_whom_no_fold_trained_on(with_test_set, caplog):
    (with_test_set / "test" / "LEFT_OVER.nii.gz").touch()
    (model,) = find_models(with_test_set.parent)
    assert list(model.tested) == ["T1"] and list(model.held_out) == ["P1", "P2"]
    assert model.tested["T1"].fold is None and model.tested["T1"].trained_on == ("P1", "P2")
    assert model.predictions("test") is model.tested and model.predictions("cross_validation") is model.held_out
    assert "P2.nii.gz" in caplog.text and "LEFT_OVER.nii.gz" in caplog.text


def test_a_test_set_predicted_by_an_earlier_model_is_not_scored(with_test_set, caplog):
    (with_test_set / "fold_1" / "checkpoint_final.pth").write_text("trained again")
    (model,) = find_models(with_test_set.parent)
    assert model.tested == {}
    assert "fold 1" in caplog.text and "--test_set" in caplog.text


def test_a_test_set_whose_prediction_was_interrupted_is_not_scored(with_test_set, caplog):
    (with_test_set / "test" / "predicted_by.json").unlink()
    (model,) = find_models(with_test_set.parent)
    assert model.tested == {} and str(model.folder / "test") in caplog.text
