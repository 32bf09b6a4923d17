"""Predictions as tasks of an executor: a worker loads a model once, and again when it has been trained anew."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import SimpleITK as sitk
from synthetic_datasets import write_dataset, write_image
from synthetic_heads import head_mr, make_grid
from tiny_models import write_model

from synthct.dataset.raw import CaseFiles
from synthct.errors import DiskError
from synthct.inference import Predictor, predict_file
from synthct.inference.predict_file import ModelFiles, predict_task
from synthct.inference.predict_folder import predict_folder
from synthct.parallel import CaseRunner


@pytest.fixture
def mrs(tmp_path) -> Path:
    write_dataset(tmp_path / "Dataset001_Heads", {f"P{i}": {"mr"} for i in range(3)})
    return tmp_path / "Dataset001_Heads" / "imagesTr"


@pytest.fixture
def loaded(monkeypatch) -> list[Path]:
    """The model folders in the order in which they were loaded."""
    folders, load = [], Predictor.from_model_folder

    def count(folder: Path, *arguments: object, **options: object) -> Predictor:
        folders.append(folder)
        return load(folder, *arguments, **options)

    monkeypatch.setattr(Predictor, "from_model_folder", count)
    predict_file._load.cache_clear()
    return folders


def test_a_worker_loads_the_model_once_for_all_its_cases(mrs, tmp_path, loaded):
    folder = write_model(tmp_path)
    predictor = Predictor.from_model_folder(folder, device="cpu")
    with ThreadPoolExecutor(2) as executor:
        model = ModelFiles.of(folder, device="cpu")
        written = predict_folder(predictor, mrs, tmp_path / "cts", model=model, runner=CaseRunner(executor=executor))
    assert written == [tmp_path / "cts" / f"P{i}.nii.gz" for i in range(3)]
    assert len(loaded) == 2  # once here, once there
    here = predict_folder(predictor, mrs, tmp_path / "here")
    for path, other in zip(here, written):
        assert sitk.Hash(sitk.ReadImage(str(path))) == sitk.Hash(sitk.ReadImage(str(other)))


def test_a_model_trained_anew_is_loaded_anew(mrs, tmp_path, loaded):
    folder = write_model(tmp_path)
    case = CaseFiles("P0", (mrs / "P0_0000.nii.gz",), None, None)
    for time in (1, 1, 2):
        os.utime(folder / "fold_0" / "checkpoint_final.pth", (time, time))
        predict_task(ModelFiles.of(folder, device="cpu"), case, tmp_path / "P0.nii.gz")
    assert len(loaded) == 2


def test_the_files_of_a_model_travel_and_are_absolute(tmp_path, monkeypatch):
    folder = write_model(tmp_path, ("0", "all"))
    monkeypatch.chdir(tmp_path)
    model = ModelFiles.of(Path(folder.name))
    assert model.folder == folder and model.folds == ("0", "all")
    assert pickle.loads(pickle.dumps(model)) == model
    assert ModelFiles.of(folder, ["all"]).folds == ("all",)


def test_warnings_come_back(tmp_path):
    mr = write_image(head_mr(make_grid(), size=0.6), tmp_path / "P.nii.gz")
    model = ModelFiles.of(write_model(tmp_path), device="cpu")
    (message,) = predict_task(model, CaseFiles("P", (mr,), None, None), tmp_path / "cts" / "P.nii.gz")
    assert message.startswith("P: fail. The volume of the head found in the MR is")


def test_a_place_that_cannot_be_written_to_is_reported(mrs, tmp_path):
    model = ModelFiles.of(write_model(tmp_path), device="cpu")
    (tmp_path / "cts").touch()
    case = CaseFiles("P0", (mrs / "P0_0000.nii.gz",), None, None)
    with pytest.raises(DiskError, match="cts"):
        predict_task(model, case, tmp_path / "cts" / "P0.nii.gz")


def test_an_executor_without_the_files_of_the_model_is_refused(mrs, tmp_path):
    predictor = Predictor.from_model_folder(write_model(tmp_path), device="cpu")
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="needs the files of the model"):
        predict_folder(predictor, mrs, tmp_path / "cts", runner=CaseRunner(executor=executor))
