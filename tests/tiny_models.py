"""Model folders with tiny untrained networks, as the training would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from synthetic_datasets import small_plan

from synthct.inference.read_model import Model, predicting_networks
from synthct.networks.generator import initialise
from synthct.planning.plan import Plan
from synthct.training.checkpoint import save_checkpoint

Networks = dict[str, dict[str, torch.Tensor]]


def tiny_networks(plan: Plan, seed: int = 0, trainer: str = "cyclegan") -> Networks:
    """Weights of the networks that a prediction needs."""
    model = Model(plan, "small", trainer, [])
    generator = torch.Generator().manual_seed(seed)
    networks = predicting_networks(model.method, model.configuration, model.settings)
    for network in networks.values():
        initialise(network, generator)
        generator.manual_seed(seed)
    return {name: network.state_dict() for name, network in networks.items()}


def tiny_model(plan: Plan, seeds: tuple[int, ...] = (0,), trainer: str = "cyclegan") -> Model:
    """A model in memory, of a fold a seed."""
    return Model(plan, "small", trainer, [tiny_networks(plan, seed, trainer) for seed in seeds])


def write_checkpoint(fold_folder: Path, networks: Networks, **changes: Any) -> Path:
    """A final checkpoint that holds these networks."""
    content = {
        "trainer": "cyclegan",
        "configuration": "small",
        "plan": {},
        "training": {},
        "split": {"train": [], "val": []},
        "epoch": 1,
        "step": 1,
        "networks": networks,
        "optimisers": {},
        "pools": {},
    }
    save_checkpoint(fold_folder / "checkpoint_final.pth", content | changes)
    return fold_folder / "checkpoint_final.pth"


def write_model(
    dataset_folder: Path, folds: tuple[str, ...] = ("0",), mr_channels: int = 1, trainer: str = "cyclegan"
) -> Path:
    """A model folder; the weights of each fold are drawn with another seed."""
    plan = small_plan(mr_channels)
    folder = dataset_folder / f"{trainer}__plans__small"
    plan.save(folder / "plans.json")
    for seed, fold in enumerate(folds):
        write_checkpoint(folder / f"fold_{fold}", tiny_networks(plan, seed, trainer), trainer=trainer)
    return folder
