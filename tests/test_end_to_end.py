"""The whole way as a user goes it, through the commands: phantoms in, tables and figures out."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import cache_of

from synthct.commands import evaluate, make_example, plan_and_preprocess, predict, train
from synthct.evaluation.baseline import BASELINES
from synthct.imaging.geometry import Grid
from synthct.inference import Predictor

DATASET = "Dataset001_HeadPhantom"
SEED_COLUMNS = ["patient", "fold", "mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed"]  # come first


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder in which every command has been run once, as in the quickstart."""
    folder = tmp_path_factory.mktemp("home")
    for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        (folder / root).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
            patch.delenv(root, raising=False)
        patch.chdir(folder)
        raw = folder / "synthct_raw" / DATASET
        short = ["-c", "2d_lowres", "--epochs", "2", "--iterations", "3", "--loaders", "0", "-device", "cpu"]
        for command, arguments in (
            (make_example, ["--train", "4", "--test", "1", "--voxel_scale", "4", "-np", "1"]),
            (plan_and_preprocess, ["-d", "1", "-c", "2d_lowres", "-np", "1"]),
            (train, ["1", "cyclegan", *short]),
            (train, ["1", "pix2pix", *short]),
            (predict, ["-i", str(raw / "imagesTs"), "-o", "cts", "-device", "cpu"]),
            (evaluate, ["-np", "1"]),
        ):
            assert command.main(arguments) == 0, command.__name__
    return folder


def test_preprocessing_writes_plan_splits_fingerprint_slices_and_report(home):
    folder = home / "synthct_preprocessed" / DATASET
    assert {path.name for path in folder.iterdir()} == {
        "dataset.json", "dataset_fingerprint.json", "plans.json", "splits_final.json",
        cache_of(folder).name, "preprocessing_report.html", "report",
    }  # fmt: skip
    assert sorted(path.name for path in cache_of(folder).iterdir()) == [f"HEAD_00{i}.npz" for i in range(1, 5)]


def test_a_training_leaves_a_complete_model_folder(home):
    split = json.loads((home / "synthct_preprocessed" / DATASET / "splits_final.json").read_text())[0]
    for trainer in ("cyclegan", "pix2pix"):
        model = home / "synthct_results" / DATASET / f"{trainer}__plans__2d_lowres"
        assert {path.name for path in model.iterdir()} == {
            "dataset.json", "dataset_fingerprint.json", "plans.json", "fold_0", "qa_reference.json",
        }  # fmt: skip
        assert {path.name for path in (model / "fold_0").iterdir()} == {
            "checkpoint_final.pth", "checkpoint_latest.pth", "progress.png", "split.json", "training_log.csv",
            "validation", "validation_qa",
        }  # fmt: skip
        assert sorted(path.name for path in (model / "fold_0" / "validation").iterdir()) == [
            f"{patient}.nii.gz" for patient in split["val"]
        ]
        log = list(csv.DictReader((model / "fold_0" / "training_log.csv").open()))
        assert [(row["epoch"], row["step"]) for row in log] == [("1", "3"), ("2", "6")]


def test_a_prediction_is_hu_on_exactly_the_mrs_grid(home):
    mr = sitk.ReadImage(str(home / "synthct_raw" / DATASET / "imagesTs" / "HEAD_005_0000.nii.gz"))
    sct = sitk.ReadImage(str(home / "cts" / "HEAD_005.nii.gz"))
    assert Grid.of(sct) == Grid.of(mr)
    assert sct.GetPixelID() == sitk.sitkInt16
    values = sitk.GetArrayFromImage(sct)
    assert values[0, 0, 0] == -1000
    inside = values[values > -1000]
    assert -1000 < inside.min() and inside.max() <= 1400 and np.unique(inside).size > 100


def test_the_model_trained_last_predicts_and_is_named(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    raw = home / "synthct_raw" / DATASET
    assert predict.main(["-i", str(raw / "imagesTs"), "-o", "again", "-device", "cpu"]) == 0
    assert "pix2pix__plans__2d_lowres, fold 0" in capsys.readouterr().out
    first, second = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(home / f / "HEAD_005.nii.gz"))) for f in ("cts", "again")
    )
    assert (first == second).all()


def test_a_model_folder_copied_elsewhere_predicts_alone_and_as_the_command_does(home, tmp_path, monkeypatch):
    copy = shutil.copytree(home / "synthct_results" / DATASET / "pix2pix__plans__2d_lowres", tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    mr = sitk.ReadImage(str(home / "synthct_raw" / DATASET / "imagesTs" / "HEAD_005_0000.nii.gz"))
    sct = Predictor.from_model_folder(copy, device="cpu").predict(mr)
    expected = sitk.ReadImage(str(home / "cts" / "HEAD_005.nii.gz"))
    assert (sitk.GetArrayFromImage(sct) == sitk.GetArrayFromImage(expected)).all()


def test_evaluation_writes_a_row_a_patient_with_the_seeds_columns_first(home):
    split = json.loads((home / "synthct_preprocessed" / DATASET / "splits_final.json").read_text())[0]
    folder = home / "synthct_results" / DATASET / "evaluation"
    for model in ("cyclegan", "pix2pix", *BASELINES):
        rows = list(csv.DictReader((folder / f"metrics_{model}.csv").open()))
        assert list(rows[0])[:6] == SEED_COLUMNS
        assert [row["patient"] for row in rows] == split["val"]
        assert all(float(row["mae_hu"]) > 0 and row["mask"] == "ct_and_mr" for row in rows)
    summary = list(csv.DictReader((folder / "summary.csv").open()))
    assert [row["model"] for row in summary] == ["cyclegan", "pix2pix", *BASELINES]
    comparison = list(csv.DictReader((folder / "comparison.csv").open()))
    assert {(row["model_a"], row["model_b"]) for row in comparison} == {("cyclegan", "pix2pix")}
    figures = {path.name.split("_")[0] for path in folder.glob("*.png")}
    assert figures == {"figure", "figure4", "figure5", "figure6"}


def test_two_folders_are_scored_against_each_other(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    references = home / "synthct_raw" / DATASET / "targetsTs"
    assert evaluate.main(["-p", "cts", "-r", str(references), "-o", "scores", "-np", "1"]) == 0
    assert "HEAD_005" in capsys.readouterr().out
    rows = list(csv.DictReader((home / "scores" / "metrics_cts.csv").open()))
    assert list(rows[0])[:6] == SEED_COLUMNS and rows[0]["mask"] == "ct"


def test_a_second_preprocessing_does_nothing(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    before = {path: path.stat().st_mtime_ns for path in (home / "synthct_preprocessed").rglob("*.npz")}
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    assert "0 cached cases written, 4 unchanged" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (home / "synthct_preprocessed").rglob("*.npz")}


def test_raw_data_are_never_written_to(home):
    raw = home / "synthct_raw" / DATASET
    assert {path.name for path in raw.rglob("*") if path.is_file()} == {
        "dataset.json",
        *(f"HEAD_00{i}_0000.nii.gz" for i in range(1, 6)),
        *(f"HEAD_00{i}.nii.gz" for i in range(1, 6)),
    }


def test_who_was_held_out_is_what_the_model_was_trained_by(home, tmp_path, monkeypatch):
    copy = shutil.copytree(home, tmp_path / "home")
    monkeypatch.chdir(copy)
    splits = copy / "synthct_preprocessed" / DATASET / "splits_final.json"
    folds = json.loads(splits.read_text())
    splits.write_text(json.dumps([folds[1], folds[0], *folds[2:]]))
    assert train.main(["1", "pix2pix", "-c", "2d_lowres", "--val", "-device", "cpu"]) == 0
    validation = copy / "synthct_results" / DATASET / "pix2pix__plans__2d_lowres" / "fold_0" / "validation"
    assert sorted(path.name for path in validation.iterdir()) == [f"{patient}.nii.gz" for patient in folds[0]["val"]]


def test_a_training_on_disjoint_patients_is_a_model_of_its_own(home, tmp_path, monkeypatch):
    copy = shutil.copytree(home, tmp_path / "home")
    monkeypatch.chdir(copy)
    short = ["-c", "2d_lowres", "--epochs", "1", "--iterations", "2", "--loaders", "0", "-device", "cpu"]
    assert train.main(["1", "cyclegan", "--disjoint", *short]) == 0
    assert (copy / "synthct_results" / DATASET / "cyclegan_disjoint__plans__2d_lowres" / "fold_0").is_dir()


def test_a_configuration_that_is_not_preprocessed_is_reported_and_leaves_no_folder(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert train.main(["1", "cyclegan", "-c", "2d"]) == 2
    assert "run synthct_plan_and_preprocess for the configuration 2d" in capsys.readouterr().err
    assert not (home / "synthct_results" / DATASET / "cyclegan__plans__2d").exists()
