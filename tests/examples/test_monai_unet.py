"""``examples/monai_unet``: a network of MONAI as a trainer, from the plan to an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from own_methods import plug_in
from synthetic_datasets import write_dataset

from synthct.exchange import export_model, install_model
from synthct.inference import Predictor
from synthct.inference.predict_held_out import validate_fold
from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess
from synthct.training.train_fold import train_fold
from synthct.training.what_to_train import TrainingOptions

pytest.importorskip("monai", reason="monai is not installed: its network is not trained")

EXAMPLE = Path(__file__).parents[2] / "examples" / "monai_unet"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Any]:
    """A dataset, its plan, and the method trained for three steps."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as installed:
        installed.syspath_prepend(str(EXAMPLE))
        from monai_unet.trainer import MonaiUNet

        plug_in(installed, monai_unet=MonaiUNet)
        raw = write_dataset(folder / "Dataset001_Heads", {f"P{i}": {"mr", "ct"} for i in range(1, 4)})
        plan = plan_and_preprocess(raw, folder / "preprocessed", PlanningOptions(configurations=["2d_lowres"]))
        options = TrainingOptions(epochs=1, iterations=3, loaders=0)
        model = train_fold(folder / "preprocessed", folder / "results", "monai_unet", "2d_lowres", "0", options=options)
        validation = validate_fold(raw, folder / "preprocessed", model, "0")
        yield {"folder": folder, "raw": raw, "plan": plan, "model": model, "validation": validation}


def test_its_width_is_planned_beside_the_other_methods(trained):
    full, low = (trained["plan"].configurations[name].methods["monai_unet"] for name in ("2d", "2d_lowres"))
    assert full["channels"] == [32, 64, 128, 256] and low["channels"] == [16, 32, 64, 128]


def test_it_predicts_the_patients_that_it_held_out(trained):
    (patient,) = trained["validation"].measured
    sct = sitk.ReadImage(str(trained["model"] / "fold_0" / "validation" / f"{patient}.nii.gz"))
    mr = sitk.ReadImage(str(trained["raw"].training[patient].mr[0]))
    assert sct.GetSize() == mr.GetSize() and len(np.unique(sitk.GetArrayViewFromImage(sct))) > 10


def test_exported_and_installed_it_predicts_equal_hu(trained, tmp_path):
    zipped = tmp_path / "model.zip"
    export_model(trained["model"], zipped)
    install_model(zipped, folder=tmp_path / "installed")
    mr = sitk.ReadImage(str(trained["raw"].training["P1"].mr[0]))
    here, there = (
        sitk.GetArrayFromImage(Predictor.from_model_folder(folder, device="cpu").predict(mr))
        for folder in (trained["model"], tmp_path / "installed")
    )
    assert np.array_equal(here, there)


def test_a_wrong_number_of_levels_is_refused(trained):
    from monai_unet.trainer import MonaiUNetSettings

    with pytest.raises(ValueError, match="channels must hold 4 levels, not 2"):
        MonaiUNetSettings(channels=(8, 16))


def test_its_entry_point_names_the_trainer():
    text = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."synthct.trainers"]\nmonai_unet = "monai_unet.trainer:MonaiUNet"\n' in text
