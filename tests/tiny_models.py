"""Model folders with tiny untrained networks, as the training would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from synthetic_datasets import small_plan

from synthct.networks import ResnetGenerator
from synthct.networks.generator import initialise
from synthct.planning.plan import Plan
from synthct.training.checkpoint import save_checkpoint

Networks = dict[str, dict[str, torch.Tensor]]


def tiny_networks(plan: Plan, seed: int = 0) -> Networks:
    """Weights of a CycleGAN's generators."""
    network = plan.configurations["small"].network
    channels = {"syn_ct": (network.mr_channels, 1), "syn_mr": (1, network.mr_channels)}
    states = {}
    for name, (into, out) in channels.items():
        generator = ResnetGenerator(into, out, network.base_channels, network.n_blocks)
        initialise(generator, torch.Generator().manual_seed(seed))
        states[name] = generator.state_dict()
    return states


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
        write_checkpoint(folder / f"fold_{fold}", tiny_networks(plan, seed))
    return folder
