"""Model folders that cannot be used are refused, with the file and the remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from synthetic_datasets import small_configuration, small_plan
from tiny_models import write_checkpoint, write_model

from synthct.errors import ModelError
from synthct.inference import Predictor
from synthct.planning.plan import Plan


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_model(tmp_path / "results" / "Dataset001_Heads", folds=("0", "1"))


def message_of(folder: Path, **options) -> str:
    with pytest.raises(ModelError) as fault:
        Predictor.from_model_folder(folder, device="cpu", **options)
    assert "\n" not in str(fault.value) and str(fault.value).endswith(".")
    return str(fault.value)


def test_a_folder_that_is_no_model_folder_is_reported(folder, tmp_path):
    for other in (tmp_path, folder / "fold_0"):
        assert str(other) in message_of(other)


def test_an_untrained_or_missing_fold_is_reported(folder):
    assert "fold_7" in message_of(folder, folds=[7])
    assert "checkpoint_best.pth" in message_of(folder, checkpoint="checkpoint_best.pth")


def test_a_damaged_plan_is_reported(folder):
    (folder / "plans.json").write_text("{")
    assert str(folder / "plans.json") in message_of(folder)


def test_a_plan_without_the_models_configuration_is_reported(folder):
    plan = Plan.load(folder / "plans.json")
    replace(plan, configurations={"other": plan.configurations["small"]}).save(folder / "plans.json")
    assert "plans.json" in message_of(folder) and "'small'" in message_of(folder)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_reported(folder, content):
    path = folder / "fold_1" / "checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    assert str(path) in message_of(folder)


def test_a_foreign_checkpoint_is_reported(folder):
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"state_dict": {}}, path)
    assert str(path) in message_of(folder)


@pytest.mark.parametrize("networks", [{}, {"syn_mr": {}}, [], {"syn_ct": 3}])
def test_a_checkpoint_without_the_network_is_reported(folder, networks):
    write_checkpoint(folder / "fold_0", networks)
    assert "syn_ct" in message_of(folder)


def test_a_network_of_another_size_is_reported(folder):
    plan = small_plan()
    small = small_configuration()
    wider = {name: settings | {"base_channels": 4} for name, settings in small.methods.items()}
    replace(plan, configurations={"small": replace(small, methods=wider)}).save(folder / "plans.json")
    message = message_of(folder)
    assert "does not fit the network in plans.json" in message and "restore the plans.json" in message
