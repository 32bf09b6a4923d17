"""The whole way of a 3-D model, through the commands: training, held-out patients, a model file, new MRs, metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, write_dataset

from synthct.commands import evaluate, export_model, install_model, plan_and_preprocess, predict, train
from synthct.imaging.geometry import Grid
from synthct.json_dataclasses import to_plain
from synthct.training.unet3d import UNet3dSettings

DATASET = "Dataset001_Heads"
TINY = UNet3dSettings(widths=(2, 4), blocks=(1, 1), patch=(32, 64, 64), batch_size=1, warm_up_steps=1)
FULL = UNet3dSettings(patch=(96, 64, 64))
SHORT = ["--epochs", "1", "--iterations", "2", "--loaders", "0", "-device", "cpu"]


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A preprocessed dataset of three pairs, with a tiny 3-D configuration and one of the full width in its plan."""
    monkeypatch.chdir(tmp_path)
    for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        (tmp_path / root).mkdir()
    raw = tmp_path / "synthct_raw" / DATASET
    write_dataset(raw, {"P1": PAIRED, "P2": PAIRED, "P3": PAIRED})
    write_dataset(raw, {"T1": PAIRED}, part="Ts")
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    path = tmp_path / "synthct_preprocessed" / DATASET / "plans.json"
    plan = json.loads(path.read_text())
    for name, settings in (("3d_tiny", TINY), ("3d_wide", FULL)):
        methods = {"unet3d": to_plain(settings)}
        plan["configurations"][name] = {"inherits_from": "2d_lowres", "dimensions": 3, "methods": methods}
    path.write_text(json.dumps(plan))
    return tmp_path


def test_a_3d_model_trains_predicts_travels_and_is_evaluated(checkout, capsys):
    assert train.main(["1", "unet3d", "-c", "3d_tiny", *SHORT]) == 0
    model = checkout / "synthct_results" / DATASET / "unet3d__plans__3d_tiny"
    assert list((model / "fold_0" / "validation").glob("P*.nii.gz"))
    mrs = str(checkout / "synthct_raw" / DATASET / "imagesTs")
    capsys.readouterr()
    assert predict.main(["-i", mrs, "-o", "cts", "-device", "cpu"]) == 0
    assert "unet3d__plans__3d_tiny" in (message := capsys.readouterr().out) and "3-D patches: on a CPU" in message
    mr = sitk.ReadImage(str(Path(mrs) / "T1_0000.nii.gz"))
    sct = sitk.ReadImage("cts/T1.nii.gz")
    assert Grid.of(sct) == Grid.of(mr) and np.ptp(sitk.GetArrayFromImage(sct)) > 100

    assert evaluate.main(["-np", "1"]) == 0
    metrics = list(csv.DictReader((model.parent / "evaluation" / "metrics_unet3d.csv").open()))
    assert metrics and all(0 < float(row["mae_hu"]) < 2000 for row in metrics)

    assert export_model.main(["-m", str(model), "-o", "model.zip"]) == 0
    assert install_model.main(["model.zip", "-o", "installed"]) == 0
    assert predict.main(["-i", mrs, "-o", "again", "-m", "installed", "-device", "cpu"]) == 0
    again = sitk.ReadImage("again/T1.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(sct))


def test_the_full_width_is_refused_on_a_cpu_in_one_sentence(checkout, capsys):
    assert train.main(["1", "unet3d", "-c", "3d_wide", *SHORT]) == 2
    message = capsys.readouterr().err
    assert "96 x 64 x 64 voxels" in message and "train it on a GPU, or train unet with -c 2d" in message
    assert "Traceback" not in message and not list((checkout / "synthct_results").rglob("*.pth"))
