"""``train_fold`` from Python alone: a model folder that is complete, and what is refused before anything is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from synthetic_datasets import PAIRED, cache_of, make_network_tiny, write_dataset

from synthct.errors import ModelError, PlanError, SynthctError, TrainingError
from synthct.imaging.io import read_image
from synthct.inference import Predictor
from synthct.model_folder import ModelFolder
from synthct.planning.plan import Plan
from synthct.plugins import TRAINERS
from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess
from synthct.training.checkpoint import load_checkpoint
from synthct.training.train_fold import train_fold
from synthct.training.what_to_train import TrainingOptions

pytestmark = pytest.mark.usefixtures("no_figures")
SHORT = TrainingOptions(epochs=1, iterations=2, device=torch.device("cpu"), loaders=0)
LOWRES = "2d_lowres"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A raw dataset and what preprocessing makes of it, with the smallest networks."""
    root = tmp_path_factory.mktemp("prepared")
    raw = write_dataset(root / "raw" / "Dataset001_Heads", {"P1": PAIRED, "P2": PAIRED, "P3": PAIRED, "M": {"mr"}})
    plan_and_preprocess(raw, root / "preprocessed", PlanningOptions(configurations=[LOWRES]))
    make_network_tiny(root / "preprocessed" / "plans.json")
    return root


@pytest.fixture
def preprocessed(prepared, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(prepared / "preprocessed", tmp_path / "preprocessed"))


@pytest.fixture
def mr(prepared) -> sitk.Image:
    return read_image(prepared / "raw" / "Dataset001_Heads" / "imagesTr" / "P1_0000.nii.gz")


@pytest.mark.parametrize("trainer", [name for name in TRAINERS.ours if TRAINERS.load(name).dimensions == 2])
def test_the_model_folder_predicts_wherever_it_is_moved(trainer, preprocessed, mr, tmp_path):
    results = tmp_path / "results"
    folder = train_fold(preprocessed, results, trainer, LOWRES, "0", options=SHORT)
    assert folder == results / f"{trainer}__plans__{LOWRES}"
    assert {path.name for path in folder.iterdir()} == {
        "dataset.json", "dataset_fingerprint.json", "plans.json", "fold_0",
    }  # fmt: skip
    assert ModelFolder(folder).trained_folds() == ["0"]
    moved = tmp_path / "elsewhere" / "any_name"
    shutil.copytree(folder, moved)
    for gone in (results, preprocessed):
        shutil.rmtree(gone)
    predictor = Predictor.from_model_folder(moved, device="cpu")
    assert (predictor.model.trainer, predictor.n_folds) == (trainer, 1)
    sct = predictor.predict(mr)
    assert sct.GetSize() == mr.GetSize()
    assert sct.GetPixelID() == sitk.sitkInt16
    assert np.unique(sitk.GetArrayViewFromImage(sct)).size > 2


def test_folds_become_one_model_and_each_keeps_its_split(preprocessed, tmp_path):
    splits = json.loads((preprocessed / "splits_final.json").read_text())
    for fold in ("0", "1", "all"):
        folder = train_fold(preprocessed, tmp_path, "pix2pix", LOWRES, fold, options=SHORT)
    assert ModelFolder(folder).trained_folds() == ["0", "1", "all"]
    for fold in (0, 1):
        assert json.loads(ModelFolder(folder).fold(fold).split.read_text()) == splits[fold]
    assert json.loads(ModelFolder(folder).fold("all").split.read_text()) == {
        "train": ["M", "P1", "P2", "P3"],
        "val": [],
    }
    assert Predictor.from_model_folder(folder, device="cpu").n_folds == 3


def test_folds_of_different_plans_are_not_one_model(preprocessed, tmp_path):
    folder = train_fold(preprocessed, tmp_path, "pix2pix", LOWRES, "0", options=SHORT)
    before = ModelFolder(folder).plans.read_text()
    path = preprocessed / "plans.json"
    plan = json.loads(path.read_text())
    plan["configurations"][LOWRES]["methods"]["pix2pix"]["lambda_l1"] = 10.0
    path.write_text(json.dumps(plan))
    with pytest.raises(TrainingError, match="fold_0") as fault:
        train_fold(preprocessed, tmp_path, "pix2pix", LOWRES, "1", options=SHORT)
    assert str(folder) in str(fault.value)
    assert not ModelFolder(folder).fold(1).path.exists()
    assert ModelFolder(folder).plans.read_text() == before
    # The settings of the other method are of no matter to this model.
    train_fold(preprocessed, tmp_path, "cyclegan", LOWRES, "0", options=SHORT)
    plan["configurations"][LOWRES]["methods"]["pix2pix"]["lambda_l1"] = 20.0
    path.write_text(json.dumps(plan))
    train_fold(preprocessed, tmp_path, "cyclegan", LOWRES, "1", options=SHORT)


def test_disjoint_patients_are_a_model_of_their_own(preprocessed, tmp_path):
    folder = train_fold(preprocessed, tmp_path, "cyclegan", LOWRES, "0", disjoint=True, options=SHORT)
    assert folder.name == f"cyclegan_disjoint__plans__{LOWRES}"
    assert load_checkpoint(ModelFolder(folder).fold(0).final)["disjoint"]


def test_settings_that_the_plan_does_not_state_are_planned_now_and_stated_in_the_model(preprocessed, tmp_path):
    path = preprocessed / "plans.json"
    plan = json.loads(path.read_text())
    for configuration in plan["configurations"].values():
        configuration.get("methods", {}).pop("pix2pix", None)
    plan["configurations"][LOWRES]["network_width"] = 0.03  # of 64 channels
    path.write_text(json.dumps(plan))
    folder = train_fold(preprocessed, tmp_path, "pix2pix", LOWRES, "0", options=SHORT)
    stated = Plan.load(ModelFolder(folder).plans).configuration(LOWRES).methods["pix2pix"]
    assert stated["base_channels"] == 2
    assert load_checkpoint(ModelFolder(folder).fold(0).final)["settings"] == stated
    assert "pix2pix" not in Plan.load(path).configuration(LOWRES).methods


def without_slices(preprocessed: Path) -> None:
    (cache_of(preprocessed) / "P2.npz").unlink()


def with_unknown_setting(preprocessed: Path) -> None:
    path = preprocessed / "plans.json"
    plan = json.loads(path.read_text())
    plan["configurations"][LOWRES]["methods"]["pix2pix"]["lambda_1l"] = 10.0
    path.write_text(json.dumps(plan))


def untouched(preprocessed: Path) -> None:
    """Nothing is wrong in the files."""


@pytest.mark.parametrize(
    ("spoil", "changes", "error", "named"),
    [
        (without_slices, {}, PlanError, "P2"),
        (with_unknown_setting, {}, PlanError, "methods.pix2pix.lambda_1l"),
        (untouched, {"trainer": "pix3pix"}, TrainingError, "pix3pix"),
        (untouched, {"configuration": "4d"}, PlanError, "4d"),
        (untouched, {"fold": "9"}, PlanError, "9"),
        (untouched, {"disjoint": True}, TrainingError, "pix2pix"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(spoil, changes, error, named, preprocessed, tmp_path):
    spoil(preprocessed)
    arguments = {"trainer": "pix2pix", "configuration": LOWRES, "fold": "0"} | changes
    with pytest.raises(error, match=named) as fault:
        train_fold(preprocessed, tmp_path / "results", **arguments, options=SHORT)
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "results").exists()


def test_a_training_that_fails_at_its_start_leaves_no_model(preprocessed, tmp_path):
    path = preprocessed / "plans.json"
    plan = json.loads(path.read_text())
    plan["configurations"][LOWRES]["training"]["crop_size"] = [16, 16]  # too small for the discriminator
    path.write_text(json.dumps(plan))
    with pytest.raises(SynthctError, match="crop_size"):
        train_fold(preprocessed, tmp_path / "results", "pix2pix", LOWRES, "0", options=SHORT)
    with pytest.raises(ModelError):
        Predictor.from_model_folder(tmp_path / "results" / f"pix2pix__plans__{LOWRES}", device="cpu")
