"""pix2pix for MR-to-CT synthesis from paired slices: the seed's comparison (section 4), after Isola et al. 2017."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator
from synthct.planning.plan import Configuration
from synthct.training.distributed import ALONE, Ranks
from synthct.training.losses import discriminator_loss, masked_l1_loss, synthesis_loss
from synthct.training.trainer import Trainer, frozen


class Pix2Pix(Trainer):
    """SynCT of the same architecture as CycleGAN's, and one discriminator that sees the MR beside the CT.

    The adversarial loss is eq. 1's least squares. The original uses cross entropy; with one criterion for both
    methods the comparison is that of paired with unpaired training.
    """

    paired = True

    def __init__(
        self, configuration: Configuration, device: torch.device | str, seed: int | None = None, ranks: Ranks = ALONE
    ) -> None:
        super().__init__(configuration, device, seed, ranks)
        plan = configuration.network
        self.lambda_l1 = configuration.training.lambda_l1
        self.syn_ct = self.add_network(
            "syn_ct", ResnetGenerator(plan.mr_channels, 1, plan.base_channels, plan.n_blocks)
        )
        self.dis_ct = self.add_network(
            "dis_ct", PatchDiscriminator(plan.mr_channels + 1, plan.discriminator_base_channels)
        )
        self.synthesis = self.add_optimiser("synthesis", self.syn_ct)
        self.discrimination = self.add_optimiser("discrimination", self.dis_ct)

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
            self.update(self.synthesis, adversarial + self.lambda_l1 * l1)

        return {"syn_ct": adversarial.detach(), "l1": l1.detach(), "dis_ct": dis_ct.detach()}
