"""A method of your own: a small U-Net, masked L1, on MRs of mean 0 and SD 1 and on HU without a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from synthct.imaging.coding import Coding
from synthct.training.losses import masked_l1_loss
from synthct.training.trainer import Trainer


@dataclass(frozen=True)
class Standardised(Coding):
    """MR: how many SDs from the mean of the case's head. CT: 1000 HU are 1, from air at -1024 HU to metal at 3071."""

    mr_outside, ct_outside = -3.0, -1.024
    hu_range = (-1024.0, 3071.0)

    def mr_to_network(self, mr, inside, statistics):
        channels = [(channel - of.mean) / max(of.sd, 1e-6) for channel, of in zip(mr, statistics)]
        return np.where(inside, channels, self.mr_outside).astype(np.float32)

    def ct_to_network(self, hu, inside):
        return np.where(inside, hu / 1000, self.ct_outside).astype(np.float32)

    def network_to_hu(self, output):
        return np.clip(output * 1000, *self.hu_range).astype(np.float32)


@dataclass(frozen=True)
class MaskedL1Settings:
    coding: Standardised = Standardised()
    width: int = 16  # channels at full resolution
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4


class SmallUNet(nn.Module):
    """Two levels; (batch, channels, rows, cols) -> (batch, 1, rows, cols)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down, self.deep, self.up = _block(channels, width), _block(width, 2 * width), _block(3 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, mr: torch.Tensor) -> torch.Tensor:
        fine = self.down(mr)
        coarse = interpolate(self.deep(nn.functional.max_pool2d(fine, 2)), scale_factor=2, mode="bilinear")
        return self.out(self.up(torch.cat((fine, coarse), dim=1)))


def _block(into: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.LeakyReLU(0.01))


class MaskedL1(Trainer):
    Settings = MaskedL1Settings
    paired = True
    size_multiple = 2  # the network halves a slice once

    @classmethod
    def build_networks(cls, configuration, settings):
        return {"syn_ct": SmallUNet(configuration.input.channels, settings.width)}

    def prepare_training(self):
        weights = self.networks["syn_ct"].parameters()
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        self.adam = self.add_optimiser("adam", torch.optim.AdamW(weights, lr=rate, weight_decay=decay))

    def training_step(self, batch):
        sct = self.networks["syn_ct"](batch["mr"])
        l1 = masked_l1_loss(sct, batch["ct"], batch["head"])
        self.update(self.adam, l1)
        return {"l1": l1.detach()}
