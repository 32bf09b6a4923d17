"""Metrics and configurations of other packages; trainers of theirs are tested where one is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, cache_of, make_network_tiny, write_dataset

from synthct import plugins
from synthct.commands import plan_and_preprocess, train
from synthct.errors import DatasetError, PlanError
from synthct.evaluation.evaluate import evaluate_folders
from synthct.evaluation.metrics import METRICS, Metric, all_metrics, metrics_in, metrics_of, unusable_metrics
from synthct.model_folder import ModelFolder
from synthct.planning.plan import Configuration, Plan

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch) -> Install:
    """Install entry points of a group: what each loads by its name, or the error that loading it raises."""

    def install_in(wanted: str, **loaded: Any) -> None:
        points = [_entry_point(name, value) for name, value in loaded.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == wanted else [])

    return install_in


def _entry_point(name: str, loaded: Any) -> SimpleNamespace:
    def load() -> Any:
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    return SimpleNamespace(name=name, value=f"package:{name}", load=load, dist=None)


def greatest_error(pair) -> float:
    return np.abs(pair.sct - pair.ct)[pair.mask].max()


GREATEST = Metric("max_error_hu", "greatest error", "HU", True, greatest_error, "max |sCT - CT|", "another package")
CLIPPED = replace(GREATEST, column="max_error_hu_clipped", clip_hu=(0.0, 50.0), protocols=("synthrad2025",))


# -- metrics ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    """An sCT that is wrong by 20 HU in half of the ball and by 100 HU in the other."""
    z, y, x = np.indices((40, 40, 40)) - 20
    ball = np.hypot(np.hypot(z, y), x) < 15
    for name, hu in (("cts", np.where(x < 0, 60, 140)), ("references", np.full(ball.shape, 40))):
        image = sitk.GetImageFromArray(np.where(ball, hu, -1000).astype(np.int16))
        image.SetSpacing((5.0, 5.0, 5.0))
        (tmp_path / name).mkdir()
        sitk.WriteImage(image, str(tmp_path / name / "P1.nii.gz"))
    return tmp_path / "cts", tmp_path / "references"


def test_a_metric_of_another_package_is_a_column_of_every_table(install, folders, tmp_path):
    install("synthct.metrics", greatest=GREATEST, clipped=lambda: CLIPPED)
    evaluation = evaluate_folders(*folders, tmp_path / "out")
    columns = ["max_error_hu_clipped", "max_error_hu"]  # by the entry points' names
    table = pd.read_csv(tmp_path / "out" / "metrics_cts.csv")
    assert list(table.columns[2:-6]) == [*(metric.column for metric in METRICS), *columns]
    assert table["max_error_hu"][0] == 100
    assert table["max_error_hu_clipped"][0] == 10  # 140 and 40 HU are clipped to 50 and 40
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert summary["max_error_hu_mean"][0] == 100 and summary["max_error_hu_n"][0] == 1
    described = pd.read_csv(tmp_path / "out" / "columns.csv").set_index("column")
    assert described["formula"]["max_error_hu"] == "max |sCT - CT|"
    assert described["clipping"]["max_error_hu_clipped"] == "0 to 50 HU"
    assert described["protocols"]["max_error_hu_clipped"] == "synthrad2025 all"
    assert "max |sCT - CT|" in evaluation.report.read_text(encoding="utf-8")
    assert not any("left out" in warning for warning in evaluation.warnings)


def test_a_metric_of_another_package_belongs_to_its_protocols(install):
    install("synthct.metrics", greatest=GREATEST, clipped=CLIPPED)
    assert all_metrics() == metrics_of("all") == (*METRICS, CLIPPED, GREATEST)
    assert CLIPPED in metrics_of("synthrad2025") and GREATEST not in metrics_of("synthrad2025")
    assert CLIPPED not in metrics_of("seed")
    assert metrics_in(["max_error_hu", "mae_hu"]) == (METRICS[0], GREATEST)


def test_metrics_that_cannot_be_used_are_reported_and_left_out(install, folders, tmp_path):
    install(
        "synthct.metrics",
        broken=ImportError("no module named elsewhere"),
        number=3.0,
        text=lambda: "a metric",
        again=replace(GREATEST, column="mae_hu"),
        patient=replace(GREATEST, column="patient"),
        greatest=GREATEST,
        twice=replace(GREATEST, title="the same column"),
    )
    assert all_metrics() == (*METRICS, GREATEST)
    faults = unusable_metrics()
    assert [next(name for name in ("again", "broken", "number", "patient", "text", "twice") if f"'{name}'" in fault)
            for fault in faults] == ["again", "broken", "number", "patient", "text", "twice"]  # fmt: skip
    assert "no module named elsewhere" in faults[1]
    evaluation = evaluate_folders(*folders, tmp_path / "out", protocol="seed")
    assert evaluation.warnings[: len(faults)] == faults
    assert "no module named elsewhere" in evaluation.report.read_text(encoding="utf-8")


def test_a_metric_that_fails_on_a_patient_is_named(install, folders, tmp_path):
    def fail(pair) -> float:
        raise ZeroDivisionError("an empty region")

    install("synthct.metrics", failing=replace(GREATEST, compute=fail))
    with pytest.raises(DatasetError, match="max_error_hu.*ZeroDivisionError: an empty region"):
        evaluate_folders(*folders, tmp_path / "out")


# -- configurations --------------------------------------------------------------------------------------------------


def every_third_slice(full: Configuration) -> tuple[Configuration, str]:
    """Thick sagittal slices with a neighbour on each side."""
    slices, rows, cols = full.preprocessing.spacing_mm
    preprocessing = replace(full.preprocessing, spacing_mm=(3 * slices, 3 * rows, 3 * cols), slice_size=(64, 64))
    return replace(
        full,
        preprocessing=preprocessing,
        input=replace(full.input, neighbours=1),
        training=replace(full.training, padded_size=(68, 68), crop_size=(64, 64)),
    ), "every third slice"


def test_a_configuration_of_another_package_is_planned_preprocessed_and_trained(install, tmp_path, monkeypatch):
    install("synthct.configurations", thick=every_third_slice)
    monkeypatch.chdir(tmp_path)
    for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        (tmp_path / root).mkdir()
    write_dataset(tmp_path / "synthct_raw" / "Dataset001_Heads", {"P1": PAIRED, "P2": PAIRED})
    assert plan_and_preprocess.main(["-d", "1", "-c", "thick", "-np", "1"]) == 0
    preprocessed = tmp_path / "synthct_preprocessed" / "Dataset001_Heads"
    written = json.loads((preprocessed / "plans.json").read_text())
    assert list(written["configurations"])[-1] == "thick"
    assert written["configurations"]["thick"]["inherits_from"] == "2d"
    assert written["configurations"]["thick"]["input"] == {"neighbours": 1}
    assert written["reasons"]["configurations.thick"]["rule"] == "every third slice"
    reasons = [path for path in written["reasons"] if path.startswith("configurations.thick.")]
    assert all(path.endswith(".n_blocks") for path in reasons)  # other settings are as in 2d, and so why
    assert sorted(path.name for path in cache_of(preprocessed, "thick").iterdir()) == ["P1.npz", "P2.npz"]
    assert Plan.load(preprocessed / "plans.json").configuration("thick").input.channels == 3

    make_network_tiny(preprocessed / "plans.json", "thick")
    length = ["--epochs", "1", "--iterations", "1", "--loaders", "0", "-device", "cpu"]
    for trainer in ("cyclegan", "pix2pix"):
        assert train.main(["1", trainer, "-c", "thick", *length]) == 0
        model = ModelFolder(tmp_path / "synthct_results" / "Dataset001_Heads" / f"{trainer}__plans__thick")
        assert model.trained_folds() == ["0"] and list(model.fold(0).validation.glob("*.nii.gz"))


def test_a_configuration_that_cannot_be_imported_names_its_package(install):
    install("synthct.configurations", broken=ImportError("no module named elsewhere"), number=3)
    assert plugins.CONFIGURATIONS.names()[-2:] == ["broken", "number"]
    with pytest.raises(PlanError, match="'broken'.*package:broken.*no module named elsewhere"):
        plugins.CONFIGURATIONS.load("broken")
    with pytest.raises(PlanError, match="'number'.*package:number"):
        plugins.CONFIGURATIONS.load("number")
