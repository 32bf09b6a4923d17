"""A method, a metric and a configuration of another package, installed and used as a user would: to the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from synthetic_datasets import write_dataset

from synthct.planning.plan import Plan

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_method"
DATASET = "Dataset001_Heads"
FOLDERS = ("synthct_raw", "synthct_preprocessed", "synthct_results")


class Workplace:
    """Three dataset folders, and commands run in processes that see the installed package."""

    def __init__(self, folder: Path, packages: Path) -> None:
        self.folder, self.packages = folder, packages
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)

    def run(self, command: str, *arguments: object, with_package: bool = True) -> subprocess.CompletedProcess[str]:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join([str(self.packages), root] if with_package else [root])
        return subprocess.run(
            [sys.executable, "-m", f"synthct.commands.{command}", *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    def must(self, command: str, *arguments: object) -> str:
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """The example, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    # From a copy: a build writes into its source.
    source = tmp_path_factory.mktemp("source") / "own_method"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, packages) -> Workplace:
    """A dataset, planned, and the method trained on it for a few steps."""
    place = Workplace(tmp_path_factory.mktemp("here"), packages)
    write_dataset(place.folder / "synthct_raw" / DATASET, {f"P{i}": {"mr", "ct"} for i in range(1, 5)})
    place.must("plan_and_preprocess", "-d", 1, "-c", "2d_tiny", "-np", 1)
    place.must("train", 1, "masked_l1", "-c", "2d_tiny", "--iterations", 6, "--loaders", 0)
    return place


def model_folder(place: Workplace) -> Path:
    return place.folder / "synthct_results" / DATASET / "masked_l1__plans__2d_tiny"


def predicted(place: Workplace, model: Path, output: str) -> np.ndarray:
    mrs = place.folder / "mrs"
    if not mrs.exists():
        mrs.mkdir()
        source = next((place.folder / "synthct_raw" / DATASET / "imagesTr").glob("P1_0000.*"))
        (mrs / source.name).write_bytes(source.read_bytes())
    place.must("predict", "-i", mrs, "-o", output, "-m", model)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(place.folder / output / "P1.nii.gz")))


def test_its_settings_stand_in_the_plan_beside_those_of_the_other_methods(trained):
    methods = Plan.load(model_folder(trained) / "plans.json").configurations["2d_tiny"].methods
    assert {"cyclegan", "pix2pix", "masked_l1"} <= methods.keys()
    assert methods["masked_l1"] == {"coding": {}, "width": 16, "learning_rate": 1e-3, "weight_decay": 1e-4}


def test_it_trains_and_predicts_the_patients_that_it_held_out(trained):
    fold = model_folder(trained) / "fold_0"
    assert (fold / "checkpoint_final.pth").is_file()
    held_out = json.loads((fold / "split.json").read_text())["val"]
    assert {path.name for path in (fold / "validation").iterdir()} == {f"{patient}.nii.gz" for patient in held_out}


def test_it_is_evaluated_with_the_metric_of_the_package(trained):
    trained.must("evaluate", "-d", 1)
    table = pd.read_csv(trained.folder / "synthct_results" / DATASET / "evaluation" / "metrics_masked_l1.csv")
    assert table["within_50_hu_percent"].between(0, 100).all()


def test_exported_and_installed_elsewhere_it_predicts_equal_hu(trained, tmp_path, packages):
    here = predicted(trained, model_folder(trained), "cts")
    assert here.min() == -1000 and len(np.unique(here)) > 10
    trained.must("export_model", "-m", model_folder(trained), "-o", tmp_path / "model.zip")
    elsewhere = Workplace(tmp_path / "elsewhere", packages)
    elsewhere.must("install_model", tmp_path / "model.zip")
    installed = elsewhere.folder / "synthct_results" / DATASET / "masked_l1__plans__2d_tiny"
    assert np.array_equal(predicted(trained, installed, "cts_again"), here)


def test_without_the_package_the_model_is_refused_by_its_name(trained):
    done = trained.run("predict", "-i", "mrs", "-o", "none", "-m", model_folder(trained), with_package=False)
    assert done.returncode == 2
    assert "masked_l1" in done.stderr and "own-method 0.1" in done.stderr and "Traceback" not in done.stderr
