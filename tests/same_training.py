"""Whether two fold folders hold the same training, bit for bit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from synthct.training.checkpoint import load_checkpoint

LATEST, FINAL = "checkpoint_latest.pth", "checkpoint_final.pth"


def assert_same_training(folder: Path, whole: Path) -> None:
    """Everything but the times is the same (weights, optimisers, pools, random states, log); no other file is there."""
    for name in (LATEST, FINAL):
        here, there = load_checkpoint(folder / name), load_checkpoint(whole / name)
        del here["epoch_so_far"]["seconds"], there["epoch_so_far"]["seconds"]
        for part in here.keys() | there.keys():
            assert equal(here[part], there[part]), f"{part} of {name}"
    assert rows(folder) == rows(whole)
    assert (folder / "split.json").read_text() == (whole / "split.json").read_text()
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "training_log.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "ms_per_step")} for row in csv.DictReader(file)]


def assert_same_result(fold: Path, other: Path) -> None:
    """The final models and their logs are the same; how often they were stopped and when does not matter."""
    first, second = load_checkpoint(fold / "checkpoint_final.pth"), load_checkpoint(other / "checkpoint_final.pth")
    for part in (
        "networks",
        "optimisers",
        "pools",
        "averages",
        "generators",
        "epoch",
        "step",
        "rng",
        "training",
        "split",
    ):
        assert equal(first[part], second[part]), part
    assert rows(fold) == rows(other)
