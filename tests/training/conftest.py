"""Fixtures: a preprocessed folder with paired and unpaired patients, a split, a plan, a batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_training import (
    ONLY_CT,
    ONLY_MR,
    PAIRED,
    TRAIN,
    VAL,
    for_trainer,
    make_configuration,
    make_plan,
    make_stack,
    what_to_train,
)

from synthct.imaging.coding import GreyLevels
from synthct.parallel import quiet
from synthct.planning.plan import Configuration, InputPlan, Plan
from synthct.preprocessing.network_input import NetworkInput
from synthct.training import run as run_module
from synthct.training.loop import train
from synthct.training.what_to_train import TrainingOptions


@pytest.fixture(scope="session")
def preprocessed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``tiny/<patient>.npz``."""
    folder = tmp_path_factory.mktemp("preprocessed")
    for number, patient in enumerate(PAIRED):
        make_stack(patient, number).save(folder / "tiny" / f"{patient}.npz")
    make_stack(ONLY_MR, 10, ct=False).save(folder / "tiny" / f"{ONLY_MR}.npz")
    make_stack(ONLY_CT, 11, mr=False).save(folder / "tiny" / f"{ONLY_CT}.npz")
    return folder


@pytest.fixture
def split() -> dict[str, list[str]]:
    return {"train": list(TRAIN), "val": list(VAL)}


@pytest.fixture
def configuration() -> Configuration:
    return make_configuration()


@pytest.fixture
def plan(configuration: Configuration) -> Plan:
    return make_plan(configuration)


@pytest.fixture
def with_training(plan: Plan):
    """``plan`` with other training values."""

    def change(**values) -> Plan:
        tiny = plan.configurations["tiny"]
        training = dataclasses.replace(tiny.training, **values)
        return dataclasses.replace(plan, configurations={"tiny": dataclasses.replace(tiny, training=training)})

    return change


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """A paired batch of one head, as the loader makes it."""
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), GreyLevels())
    image = network_input.paired(make_stack("PAIR", 0), 4)
    return {name: torch.from_numpy(array)[None] for name, array in image.items()} | {
        "known": torch.ones((1, 1, *image["ct"].shape[1:]))
    }


@pytest.fixture
def figures():
    """Ask for them."""


@pytest.fixture
def no_figures(request, monkeypatch):
    """Figures take longer than the tiny trainings; only the tests that ask for ``figures`` draw them."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(run_module.ProgressFigure, "draw", lambda *_: None)


@pytest.fixture
def run(plan, preprocessed_folder, split, tmp_path):
    """``train`` on the tiny plan, into a folder of that name, in this process; changes of what, or of the options."""

    def go(name: str, folder: str = "fold_0", *, progress=quiet, **changes) -> Path:
        in_force = for_trainer(changes.pop("plan", plan), name)
        what = what_to_train(name, in_force, preprocessed_folder, tmp_path / folder, split)
        known_fields = {field.name for field in dataclasses.fields(what)} & changes.keys()
        what = dataclasses.replace(what, **{field: changes.pop(field) for field in known_fields})
        options = TrainingOptions(**{"device": torch.device("cpu"), "loaders": 0} | changes)
        return train(what, options, progress=progress)

    return go
