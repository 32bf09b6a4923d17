"""Fixtures: a preprocessed folder with paired and unpaired patients, a split, a plan, a batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_training import ONLY_CT, ONLY_MR, PAIRED, TRAIN, VAL, make_configuration, make_plan, make_stack

from synthct.imaging.coding import GreyLevels
from synthct.planning.plan import Configuration, InputPlan, Plan
from synthct.preprocessing.network_input import NetworkInput


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
