"""The first deep network for sCT of the brain: Han, "MR-based synthetic CT generation using a deep convolutional neural
network method", Medical Physics 44(4), 2017.

A regression of single slices by the mean absolute difference, with a U-Net on the layout of VGG-16. What differs:

- Han started from the weights of a VGG-16 trained on photographs; none come with synthct, all weights start at random.
- Han's slices are axial; here they are of the configuration's plane (``2d_axial`` for Han's).
- Optimiser and batch size are ours: Adam, as for the other methods.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from synthct.imaging.coding import Standardised
from synthct.json_dataclasses import check_ranges
from synthct.networks.vgg_unet import VggUNet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, TrainingPlan
from synthct.training.losses import masked_l1_loss
from synthct.training.trainer import Trainer


@dataclass(frozen=True)
class Han2017Settings:
    """The network's width is Han's, the rest is ours."""

    coding: Standardised = Standardised()  # HU are learnt as they are, neither windowed nor in grey levels
    base_channels: int = 64  # of the first level; eight times as many in the deepest
    batch_size: int = 1
    learning_rate: float = 1e-3
    adam_betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        check_ranges(
            self, base_channels=(1, 512), batch_size=(1, 1024), learning_rate=(1e-12, 1), adam_betas=(0, 1 - 1e-12)
        )


class Han2017(Trainer):
    """Mean absolute difference to the paired CT, wherever it is known."""

    Settings = Han2017Settings
    paired = True
    size_multiple = 1  # the network pads by itself

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        return PlannedSettings(Han2017Settings(base_channels=max(1, round(64 * configuration.network_width))))

    @classmethod
    def training_plan(cls, training: TrainingPlan, settings: Han2017Settings) -> TrainingPlan:
        return replace(training, batch_size=settings.batch_size)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: Han2017Settings) -> dict[str, nn.Module]:
        return {"syn_ct": VggUNet(configuration.input.channels, 1, settings.base_channels)}

    def prepare_training(self) -> None:
        self.syn_ct = self.networks["syn_ct"]
        self.synthesis = self.add_adam("synthesis", self.syn_ct)

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        with self.autocast():
            l1 = masked_l1_loss(self.syn_ct(batch["mr"]), batch["ct"], batch["known"])
        self.update(self.synthesis, l1)
        self.average_statistics()
        return {"l1": l1.detach()}
