"""Commands whose work a cluster does: the same files as without, and what is refused in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, write_dataset, write_image
from synthetic_heads import head_mr, make_grid
from tiny_models import write_model

from synthct.commands import plan_and_preprocess, predict
from synthct.qa.qa_report import read_status

NAME = "Dataset001_Heads"


@pytest.fixture
def raw(checkout) -> Path:
    write_dataset(checkout / "synthct_raw" / NAME, {"P1": PAIRED, "P2": {"mr"}, "P3": {"ct"}})
    return checkout / "synthct_raw" / NAME


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_preprocessing_writes_the_same_files(raw, checkout, scheduler, monkeypatch):
    for name, how in (("here", ["-np", "1"]), ("cluster", ["--scheduler", scheduler])):
        (checkout / name).mkdir()
        monkeypatch.setenv("synthct_preprocessed", name)  # relative, where the workers have other current directories
        assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", *how]) == 0
    assert len(content(checkout / "here")) == 14
    assert content(checkout / "here") == content(checkout / "cluster")


def test_problems_of_a_dataset_are_listed(raw, scheduler, refused):
    for path in (raw / "imagesTr").iterdir():
        path.write_bytes(b"no image")
    reported = refused("plan_and_preprocess", "-d", "1", "--verify_only", "--scheduler", scheduler)
    assert reported.count("\n  - ") == 2


def test_predictions_are_the_same(raw, checkout, scheduler, capsys):
    model = write_model(checkout / "synthct_results" / NAME, ("0", "1"))
    mrs = str((raw / "imagesTr").relative_to(checkout))
    how = ["-i", mrs, "-device", "cpu", "--precision", "float32"]
    assert predict.main([*how, "-o", "here"]) == 0
    capsys.readouterr()
    assert predict.main([*how, "-o", "there", "--scheduler", scheduler]) == 0
    reported = capsys.readouterr().out
    assert str(model) in reported and scheduler in reported
    assert {path.name for path in Path("there").iterdir()} == {"P1.nii.gz", "P2.nii.gz", "qa"}
    for name in ("P1", "P2"):
        here, there = (read_status(Path(folder, "qa", f"{name}.json"))[0] for folder in ("here", "there"))
        assert here == there
    for path in Path("there").glob("*.nii.gz"):
        here, there = (sitk.ReadImage(str(Path(folder) / path.name)) for folder in ("here", "there"))
        difference = sitk.GetArrayFromImage(here) - sitk.GetArrayFromImage(there)
        assert np.abs(difference).max() <= 1  # HU; the workers have another number of threads, so sums another order


def test_warnings_of_the_workers_are_reported(checkout, scheduler, capsys):
    write_model(checkout / "synthct_results" / NAME)
    grid = make_grid((34, 42, 42), (4, 4, 4))
    write_image(head_mr(grid, size=0.6), checkout / "mrs" / "P.nii.gz")
    assert predict.main(["-i", "mrs", "-o", "cts", "-device", "cpu", "--scheduler", scheduler]) == 0
    assert "Warning: P: fail" in capsys.readouterr().err


def test_an_mr_that_cannot_be_used_is_reported_by_file(checkout, scheduler, refused):
    write_model(checkout / "synthct_results" / NAME)
    grid = make_grid()
    write_image(grid.place(np.zeros(grid.array_shape, np.int16)), checkout / "mrs" / "P.nii.gz")
    reported = refused("predict", "-i", "mrs", "-o", "cts", "-device", "cpu", "--scheduler", scheduler)
    assert str(checkout / "mrs" / "P.nii.gz") in reported


def test_a_device_that_the_workers_do_not_have_is_reported(raw, checkout, scheduler, refused):
    write_model(checkout / "synthct_results" / NAME)
    arguments = ["-i", str(raw / "imagesTr"), "-o", "cts", "-device", "abacus", "--scheduler", scheduler]
    assert "'abacus'" in refused("predict", *arguments)
    assert not Path("cts").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:x", "tcp://127.0.0.1"])
def test_a_wrong_address_is_reported_and_nothing_is_written(raw, checkout, refused, address):
    write_model(checkout / "synthct_results" / NAME)
    for arguments in (["plan_and_preprocess", "-d", "1"], ["predict", "-i", str(raw / "imagesTr"), "-o", "cts"]):
        reported = refused(*arguments, "--scheduler", address)
        assert f"'{address}'" in reported
    assert not Path("cts").exists() and list((checkout / "synthct_preprocessed").iterdir()) == []


def test_without_the_package_the_extra_is_named(raw, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    reported = refused("plan_and_preprocess", "-d", "1", "--scheduler", "tcp://127.0.0.1:8786")
    assert "synthct[cluster]" in reported


def test_without_the_option_the_package_is_not_needed(raw, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "synthct.cluster", None)
    assert plan_and_preprocess.main(["-d", "1", "--verify_only", "-np", "1"]) == 0
