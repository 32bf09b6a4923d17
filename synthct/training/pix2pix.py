"""pix2pix for MR-to-CT synthesis from paired slices: the comparison of Wolterink et al. 2017 (section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthct.json_dataclasses import check_ranges
from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator, initialise
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration
from synthct.training.gan_settings import GanSettings
from synthct.training.losses import discriminator_loss, masked_l1_loss, synthesis_loss
from synthct.training.optimisers import frozen
from synthct.training.trainer import Trainer


@dataclass(frozen=True)
class Pix2PixSettings(GanSettings):
    """The networks and grey levels of the CycleGAN, the weight of Isola et al. 2017."""

    lambda_l1: float = 100.0  # weight of the voxel-wise loss

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, lambda_l1=(0, 1e6))


class Pix2Pix(Trainer):
    """SynCT of the same architecture as CycleGAN's, and one discriminator that sees the MR beside the CT.

    The adversarial loss is eq. 1's least squares. The original uses cross entropy; with one criterion for both
    methods the comparison is that of paired with unpaired training.
    """

    Settings = Pix2PixSettings
    paired = True

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        return Pix2PixSettings.planned(configuration, fingerprint)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: Pix2PixSettings) -> dict[str, nn.Module]:
        mr = configuration.input.channels
        return {
            "syn_ct": ResnetGenerator(mr, 1, settings.base_channels, settings.n_blocks),
            "dis_ct": PatchDiscriminator(mr + 1, settings.discriminator_base_channels),
        }

    def prepare_training(self) -> None:
        self.syn_ct, self.dis_ct = self.networks.values()
        self.synthesis = self.add_adam("synthesis", self.syn_ct)
        self.discrimination = self.add_adam("discrimination", self.dis_ct)

    def initialise(self, network: nn.Module) -> None:
        initialise(network, self.generator)

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        mr, ct, known = batch["mr"], batch["ct"], batch["known"]
        with self.autocast():
            sct = self.syn_ct(mr)
        # Where the head lies outside a scan's field of view that scan shows air. Neither loss may ask for it: the
        # voxel-wise loss leaves it out, the discriminator is shown the same in both.
        shown = torch.where(known > 0, sct.float(), ct)

        # First the discriminator, on the real and the synthetic pair (the order of Isola et al.'s implementation).
        with self.autocast():
            real, synthetic = torch.cat((mr, ct), dim=1), torch.cat((mr, shown.detach()), dim=1)
            dis_ct = 0.5 * discriminator_loss(self.dis_ct, real, synthetic)  # eq. 1
        self.update(self.discrimination, dis_ct)

        # Then SynCT: the discriminator judges, but does not learn.
        with frozen(self.dis_ct):
            with self.autocast():
                adversarial = synthesis_loss(self.dis_ct(torch.cat((mr, shown), dim=1)))  # eq. 1, SynCT's side
                l1 = masked_l1_loss(sct, ct, known)
            self.update(self.synthesis, adversarial + self.settings.lambda_l1 * l1)

        return {"syn_ct": adversarial.detach(), "l1": l1.detach(), "dis_ct": dis_ct.detach()}
