"""MONAI's residual U-Net, trained on pairs with a masked L1 loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from monai.networks.nets import UNet
from torch import Tensor, nn

from synthct.imaging.coding import Standardised
from synthct.json_dataclasses import check_ranges
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, Reason
from synthct.training.losses import masked_l1_loss
from synthct.training.trainer import Trainer

LEVELS = 4


@dataclass(frozen=True)
class MonaiUNetSettings:
    """They stand in ``plans.json`` as ``methods.monai_unet``."""

    coding: Standardised = Standardised()  # MR standardised in the head; CT in thousands of HU
    channels: tuple[int, ...] = (32, 64, 128, 256)  # from full resolution down
    residual_units: int = 2  # convolutions of a level
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_ranges(self, channels=(1, 1024), residual_units=(0, 8), learning_rate=(1e-12, 1), weight_decay=(0, 1))
        if len(self.channels) != LEVELS:
            raise ValueError(f"channels must hold {LEVELS} levels, not {len(self.channels)}")


class MonaiUNet(Trainer):
    """Masked L1 of the HU inside the head, where both scans are known."""

    Settings = MonaiUNetSettings
    paired = True
    size_multiple = 2 ** (LEVELS - 1)  # the network halves a slice so often, and does not pad

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        width = max(4, round(32 * math.sqrt(configuration.network_width)))
        reason = Reason(
            "32 channels at full resolution, by the root of network_width",
            {"network_width": configuration.network_width},
        )
        return PlannedSettings(cls.Settings(channels=(width, 2 * width, 4 * width, 8 * width)), {"channels": reason})

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: MonaiUNetSettings) -> dict[str, nn.Module]:
        network = UNet(
            spatial_dims=2,
            in_channels=configuration.input.channels,
            out_channels=1,
            channels=settings.channels,
            strides=(2,) * (LEVELS - 1),
            num_res_units=settings.residual_units,
            norm="instance",
        )
        return {"syn_ct": network}

    def prepare_training(self) -> None:
        self.adam = self.add_adam(
            "adam", self.networks["syn_ct"], betas=(0.9, 0.999), weight_decay=self.settings.weight_decay
        )

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        with self.autocast():
            l1 = masked_l1_loss(self.networks["syn_ct"](batch["mr"]), batch["ct"], batch["head"])
        self.update(self.adam, l1, clip=1.0)
        return {"l1": l1.detach()}
