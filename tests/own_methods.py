"""Methods as other packages would bring them: their own settings, coding, networks and way to an sCT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_datasets import small_plan
from torch import Tensor, nn

from synthct.imaging.coding import Coding, MrStatistics
from synthct.inference.read_model import Model, predicting_networks
from synthct.json_dataclasses import to_plain
from synthct.planning.plan import Configuration, Plan
from synthct.training.trainer import Network, Trainer

PACKAGE = "my-method 0.1"


def plug_in(monkeypatch: pytest.MonkeyPatch, **trainers: type[Trainer]) -> None:
    """Bring trainers by name, as the entry points of the installed package ``my-method`` would."""
    name, version = PACKAGE.split()
    points = [
        SimpleNamespace(
            name=trainer, value=f"my_method:{kind.__name__}", load=lambda kind=kind: kind,
            dist=SimpleNamespace(name=name, version=version),
        )
        for trainer, kind in trainers.items()
    ]  # fmt: skip
    monkeypatch.setattr("synthct.plugins.entry_points", lambda group: points if group == "synthct.trainers" else [])


def unplug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the package again."""
    plug_in(monkeypatch)


@dataclass(frozen=True)
class Thousands(Coding):
    """One unit of the network is 1000 scanner units, and 1000 HU."""

    hu_limits: tuple[float, float] = (-1000.0, 3000.0)

    mr_outside = ct_outside = -1.0

    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        return np.where(inside, mr / 1000, -1).astype(np.float32)

    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        return np.where(inside, hu / 1000, -1).astype(np.float32)

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return np.float32(1000) * output

    @property
    def hu_range(self) -> tuple[float, float]:
        return self.hu_limits


class NotTrained(Trainer):
    """What is not asked of a method here."""

    paired = True

    def prepare_training(self) -> None:
        raise NotImplementedError

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        raise NotImplementedError


# -- one that copies -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CopySettings:
    """Which of the slices around the middle one is copied: 0 the middle one itself, -2 two before it."""

    coding: Thousands = Thousands()
    learning_rate: float = 1e-3
    which: int = 0


class CopyChannel(nn.Module):
    """Its output is one channel of its input."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, image: Tensor) -> Tensor:
        return image[:, self.channel : self.channel + 1]


class Copy(NotTrained):
    """The sCT is the MR, in a network without weights."""

    Settings = CopySettings

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: CopySettings) -> dict[str, nn.Module]:
        return {"syn_ct": CopyChannel(configuration.input.neighbours + settings.which)}


def copying_model(plane: str = "sagittal", neighbours: int = 0, **settings: Any) -> Model:
    """A model in memory that copies slices of a plane; the method must be plugged in as ``copy``."""
    plan = small_plan()
    small = plan.configurations["small"]
    seen = replace(small.input, plane=plane, neighbours=neighbours)
    changed = replace(small, input=seen, methods={"copy": to_plain(CopySettings(**settings))})
    return Model(replace(plan, configurations={"small": changed}), "small", "copy", [{"syn_ct": {}}])


# -- one with weights of every kind ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class OddSettings:
    """Unlike any of ours."""

    hounsfield: Thousands = Thousands((-1024.0, 3071.0))  # the coding, under a name of its own
    learning_rate: float = 1e-3
    width: int = 3
    dropped: tuple[float, ...] = (0.1, 0.2)


class OddNetwork(nn.Module):
    """Weights in float64, float32 and bfloat16, BatchNorm's int64 counter, a flag, a tied weight."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.into = nn.Conv2d(channels, width, 3, padding=1, dtype=torch.float64)
        self.norm = nn.BatchNorm2d(width)
        self.gains = nn.Parameter(torch.ones(width, dtype=torch.bfloat16))
        self.same_gains = self.gains
        self.register_buffer("inverted", torch.tensor(False))
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.norm(self.into(image.double()).float())
        hu = self.out(features * self.gains.float()[:, None, None])
        return torch.where(self.inverted, -hu, hu)


class Odd(NotTrained):
    """Two networks one after the other; a third is for the training alone."""

    Settings = OddSettings
    to_predict = ("coarse", "fine", "sharpened")

    @classmethod
    def coding(cls, settings: OddSettings) -> Coding:
        return settings.hounsfield

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: OddSettings) -> dict[str, nn.Module]:
        return {
            "coarse": OddNetwork(configuration.input.channels, settings.width),
            "critic": nn.Conv2d(1, 1, 1),
            "fine": OddNetwork(1, settings.width + 1),
            "sharpened": nn.Identity(),
        }

    @classmethod
    def synthesize(cls, networks: Mapping[str, Network], mr: Tensor) -> Tensor:
        return networks["sharpened"](networks["fine"](networks["coarse"](mr)))


def odd_plan(**settings: Any) -> Plan:
    """A plan with one configuration for the method ``odd``: axial slices, each with a neighbour on either side."""
    plan = small_plan()
    small = plan.configurations["small"]
    seen = replace(small.input, plane="axial", neighbours=1)
    changed = replace(small, input=seen, methods={"odd": to_plain(OddSettings()) | settings})
    return replace(plan, configurations={"small": changed})


def odd_networks(plan: Plan, seed: int = 0, trainer: str = "odd") -> dict[str, dict[str, Tensor]]:
    """Weights of its networks as torch draws them; BatchNorm has seen a few batches."""
    model = Model(plan, "small", trainer, [])
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        networks = predicting_networks(model.method, model.configuration, model.settings)
        for network in networks.values():
            if isinstance(network, OddNetwork):
                network.norm(torch.randn(4, len(network.gains), 8, 8))
                network.out.weight.data *= 3
    return {name: network.state_dict() for name, network in networks.items()}
