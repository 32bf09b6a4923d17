"""Fixtures: a raw dataset, and what a first run of planning and preprocessing makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from preprocessed_dataset import PATIENTS
from synthetic_datasets import write_dataset

from synthct.dataset.raw import RawDataset
from synthct.planning.plan import Plan
from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess


@pytest.fixture(scope="session")
def done_once(tmp_path_factory) -> Path:
    """A raw dataset, and what a first run makes of it."""
    root = tmp_path_factory.mktemp("done_once")
    raw = write_dataset(root / "raw" / "Dataset001_Heads", PATIENTS)
    plan_and_preprocess(raw, root / "preprocessed" / "Dataset001_Heads", PlanningOptions(configurations=["2d_lowres"]))
    return root


@pytest.fixture
def raw_folder(tmp_path, done_once) -> Path:
    """A copy, with the files' times, so that nothing of it counts as changed."""
    return Path(shutil.copytree(done_once / "raw", tmp_path / "raw")) / "Dataset001_Heads"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where a preprocessed dataset is to be; not there yet."""
    return tmp_path / "preprocessed" / "Dataset001_Heads"


@pytest.fixture
def first_run(folder, done_once) -> None:
    """The preprocessed dataset of a first run is there."""
    shutil.copytree(done_once / "preprocessed" / "Dataset001_Heads", folder)


@pytest.fixture
def run(raw_folder, folder):
    """Plan and preprocess the small configuration."""

    def plan(**options) -> Plan | None:
        options = {"configurations": ["2d_lowres"]} | options
        return plan_and_preprocess(RawDataset.open(raw_folder), folder, PlanningOptions(**options))

    return plan
