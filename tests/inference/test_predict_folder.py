"""Folders of MRs to folders of sCTs, the newest model, and a fold's held-out patients."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import small_plan, write_image
from synthetic_heads import head_mr, make_grid
from tiny_models import tiny_model, write_model

from synthct.errors import ImageError, ModelError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import FILE_ENDINGS
from synthct.inference import Predictor
from synthct.inference.predict_file import QaSettings
from synthct.inference.predict_folder import FolderOptions, list_mrs, newest_model_folder, predict_folder
from synthct.model_folder import ModelFolder

GRID = make_grid((34, 42, 42), (6, 6, 6), "RAI", (10, 0, 0), (20, 30, 40))
HEAD = {"centre_mm": (20.0, 30.0, 40.0)}


@pytest.fixture
def mrs(tmp_path) -> Path:
    (tmp_path / "mrs").mkdir()
    return tmp_path / "mrs"


def predictor_of(mr_channels: int = 1) -> Predictor:
    return Predictor(tiny_model(small_plan(mr_channels)), "cpu")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


# -- listing ---------------------------------------------------------------------------------------------------------


def test_mrs_are_listed_by_patient_with_or_without_channel_number(mrs):
    touch(mrs, "B_0000.nii.gz", "A.mha", ".hidden.nii", "notes.txt", "C 1_0000.nrrd", "D.mhd", "D.zraw")
    listed = {patient: [path.name for path in paths] for patient, paths in list_mrs(mrs, 1).items()}
    assert listed == {"A": ["A.mha"], "B": ["B_0000.nii.gz"], "C 1": ["C 1_0000.nrrd"], "D": ["D.mhd"]}


def test_other_numbers_belong_to_the_patients_name_where_there_is_one_channel(mrs):
    touch(mrs, "PAT_0012.nii.gz", "PAT_0013.nii.gz", "Q_0001_0000.nii.gz")
    assert list(list_mrs(mrs, 1)) == ["PAT_0012", "PAT_0013", "Q_0001"]


def test_channels_are_listed_in_order(mrs):
    touch(mrs, "P_0001.nii", "P_0000.nii", "Q_0000.nii", "Q_0001.nii")
    assert [path.name for path in list_mrs(mrs, 2)["P"]] == ["P_0000.nii", "P_0001.nii"]


@pytest.mark.parametrize(
    ("names", "channels", "named"),
    [
        ([], 1, "no MR"),
        (["notes.txt"], 1, "no MR"),
        (["P_0000.nii"], 2, "'P' .*0001"),
        (["P_0001.nii"], 2, "'P' .*0000"),
        (["P_0000.nii", "P_0001.nii"], 1, "'P' .*0001"),
        (["P_0000.nii", "P.nii"], 1, "P.nii .*'P'"),
        (["P_0000.nii", "P_0000.mha"], 1, "P_0000.nii .*'P'"),
    ],
)
def test_what_cannot_be_listed_is_reported(mrs, names, channels, named):
    touch(mrs, *names)
    with pytest.raises(ImageError, match=named) as fault:
        list_mrs(mrs, channels)
    assert str(mrs) in str(fault.value)


def test_what_is_no_folder_is_reported(mrs):
    for path in (mrs / "gone", mrs / "file"):
        touch(mrs, "file")
        with pytest.raises(ImageError, match=str(path)):
            list_mrs(path, 1)


# -- predicting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_the_sct_has_the_patients_name_and_the_mrs_format(mrs, tmp_path, ending):
    mr = write_image(head_mr(GRID, **HEAD), mrs / f"P.1_0000{ending}")
    (written,) = predict_folder(predictor_of(), mrs, tmp_path / "new" / "cts")
    assert written == tmp_path / "new" / "cts" / f"P.1{ending}"
    sct = sitk.ReadImage(str(written))
    assert Grid.of(sct) == Grid.of(sitk.ReadImage(str(mr)))
    assert sct.GetPixelID() == sitk.sitkInt16
    assert sitk.GetArrayFromImage(sct).min() == -1000 < sitk.GetArrayFromImage(sct).max()


def test_several_channels_make_one_sct(mrs, tmp_path):
    for channel in range(2):
        write_image(head_mr(GRID, seed=channel, **HEAD), mrs / f"P_{channel:04d}.nii")
    (written,) = predict_folder(predictor_of(2), mrs, tmp_path / "cts")
    assert written.name == "P.nii"


def test_an_mr_that_cannot_be_used_is_reported_by_file_and_leaves_nothing(mrs, tmp_path):
    write_image(GRID.place(np.zeros(GRID.array_shape, np.int16)), mrs / "P.nii.gz")
    with pytest.raises(ImageError, match=str(mrs / "P.nii.gz")):
        predict_folder(predictor_of(), mrs, tmp_path / "cts")
    assert not (tmp_path / "cts").exists() or not list((tmp_path / "cts").iterdir())


def test_an_unknown_output_format_is_reported(mrs, tmp_path):
    touch(mrs, "P.nii")
    with pytest.raises(ImageError, match="'png'.*dicom, nii.gz"):
        predict_folder(predictor_of(), mrs, tmp_path / "cts", FolderOptions(output_format="png"))


def test_the_folder_of_the_mrs_is_not_written_to(mrs):
    touch(mrs, "P.nii")
    with pytest.raises(ImageError, match="mrs"):
        predict_folder(predictor_of(), mrs, mrs / ".." / "mrs")


# -- quality assurance -----------------------------------------------------------------------------------------------


def test_each_patient_gets_a_report_beside_the_scts(mrs, tmp_path, caplog):
    write_image(head_mr(GRID, **HEAD), mrs / "P_0000.nii.gz")
    write_image(head_mr(GRID, size=0.6, **HEAD), mrs / "Q_0000.nii.gz")
    predict_folder(predictor_of(), mrs, tmp_path / "cts")
    assert sorted(path.name for path in (tmp_path / "cts").rglob("*.*")) == ["P.json", "P.nii.gz", "Q.json", "Q.nii.gz"]
    report = json.loads((tmp_path / "cts" / "qa" / "Q.json").read_text())
    assert report["format_version"] == 2 and report["patient"] == "Q" and report["model"] == predictor_of().model_hash
    assert report["status"] == "fail" and "heads have 2 to 7.5 l" in report["reasons"][0]
    assert report["measurements"]["mr"]["head_volume_l"] < 2 and report["checks"][0]["status"] == "fail"
    assert [record.getMessage()[:8] for record in caplog.records if "fail" in record.getMessage()] == ["Q: fail."]


@pytest.mark.parametrize("output_format", [None, "mha", "dicom"])
def test_maps_are_images_in_the_folder_qa(mrs, tmp_path, output_format):
    mr = head_mr(GRID, **HEAD)
    write_image(mr, mrs / "P.nii.gz")
    predictor = Predictor(tiny_model(small_plan(), (0, 1)), "cpu")
    settings = QaSettings("fast", save_uncertainty=True, save_cycle_error=True)
    predict_folder(predictor, mrs, tmp_path / "cts", FolderOptions(output_format=output_format), settings=settings)
    ending = "mha" if output_format == "mha" else "nii.gz"
    names = {f"P_uncertainty.{ending}", f"P_cycle_error.{ending}", "P.json"}
    assert {path.name for path in (tmp_path / "cts" / "qa").iterdir()} == names
    uncertainty = sitk.ReadImage(str(tmp_path / "cts" / "qa" / f"P_uncertainty.{ending}"))
    assert 0 < sitk.GetArrayFromImage(uncertainty).max() < 2000
    if output_format != "dicom":
        assert uncertainty.GetSize() == mr.GetSize()


def test_quality_assurance_can_be_left_out_and_leaves_no_report_of_an_earlier_sct(mrs, tmp_path):
    write_image(head_mr(GRID, **HEAD), mrs / "P.nii.gz")
    predict_folder(predictor_of(), mrs, tmp_path / "cts")
    assert (tmp_path / "cts" / "qa" / "P.json").is_file()
    predict_folder(predictor_of(), mrs, tmp_path / "cts", settings=QaSettings("off"))
    assert not (tmp_path / "cts" / "qa" / "P.json").exists()


def test_maps_that_a_model_cannot_give_are_refused_before_anything_is_predicted(mrs, tmp_path):
    write_image(head_mr(GRID, **HEAD), mrs / "P.nii.gz")
    pix2pix = Predictor(tiny_model(small_plan(), (0, 1), "pix2pix"), "cpu")
    with pytest.raises(ModelError, match="one fold"):
        predict_folder(predictor_of(), mrs, tmp_path / "cts", settings=QaSettings(save_uncertainty=True))
    with pytest.raises(ModelError, match="cyclegan"):
        predict_folder(pix2pix, mrs, tmp_path / "cts", settings=QaSettings(save_cycle_error=True))
    assert not (tmp_path / "cts").exists()


# -- models ----------------------------------------------------------------------------------------------------------


def test_the_newest_model_is_the_one_whose_training_ended_last(tmp_path):
    folders = [
        write_model(tmp_path / dataset, ("0", "all"), trainer=trainer)
        for dataset, trainer in (("Dataset001_A", "cyclegan"), ("Dataset001_A", "pix2pix"), ("Dataset002_B", "pix2pix"))
    ]
    for age, folder in enumerate((folders[1], folders[2], folders[0])):
        os.utime(folder / "fold_0" / "checkpoint_final.pth", (1e9 - 100 * age, 1e9 - 100 * age))
        os.utime(folder / "fold_all" / "checkpoint_final.pth", (1e8, 1e8))
    assert newest_model_folder(tmp_path) == folders[1]
    os.utime(folders[0] / "fold_all" / "checkpoint_final.pth")
    assert newest_model_folder(tmp_path) == folders[0]
    assert newest_model_folder(tmp_path, "Dataset*/pix2pix__plans__*") == folders[1]
    assert newest_model_folder(tmp_path, "Dataset002_B/*") == folders[2]
    assert ModelFolder(folders[0]).trained_folds() == ["0", "all"]


def test_without_a_model_the_remedy_is_reported(tmp_path):
    (tmp_path / "Dataset001_A" / "cyclegan__plans__2d" / "fold_0").mkdir(parents=True)
    with pytest.raises(ModelError, match=f"{tmp_path}.*synthct_train"):
        newest_model_folder(tmp_path)
    assert ModelFolder(tmp_path / "Dataset001_A" / "cyclegan__plans__2d").trained_folds() == []


# -- going on --------------------------------------------------------------------------------------------------------


def test_a_prediction_goes_on_with_what_is_not_finished(mrs, tmp_path):
    cts, go_on = tmp_path / "cts", FolderOptions(go_on=True)
    for name in "PQRS":
        write_image(head_mr(GRID, **HEAD), mrs / f"{name}.nii.gz")
    predict_folder(predictor_of(), mrs, cts)
    (cts / "P.nii.gz").unlink()
    (cts / "qa" / "Q.json").unlink()  # as a prediction that was killed before its report leaves it
    report = json.loads((cts / "qa" / "R.json").read_text())
    (cts / "qa" / "R.json").write_text(json.dumps(report | {"model": "another"}))
    kept = (cts / "S.nii.gz").stat().st_mtime_ns
    written = predict_folder(predictor_of(), mrs, cts, go_on)
    assert [path.name for path in written] == ["P.nii.gz", "Q.nii.gz", "R.nii.gz"]
    assert (cts / "S.nii.gz").stat().st_mtime_ns == kept
    assert predict_folder(predictor_of(), mrs, cts, go_on) == []


def test_without_quality_assurance_every_sct_that_is_there_counts_as_finished(mrs, tmp_path):
    write_image(head_mr(GRID, **HEAD), mrs / "P.nii.gz")
    off = QaSettings("off")
    assert len(predict_folder(predictor_of(), mrs, tmp_path / "cts", settings=off)) == 1
    assert predict_folder(predictor_of(), mrs, tmp_path / "cts", FolderOptions(go_on=True), settings=off) == []
