"""CycleGAN for MR-to-CT synthesis from unpaired slices: section 3 of Wolterink et al. 2017."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthct.errors import TrainingError
from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator
from synthct.planning.plan import Configuration
from synthct.training.distributed import ALONE, Ranks
from synthct.training.losses import cycle_loss, discriminator_loss, synthesis_loss
from synthct.training.trainer import Trainer, frozen


class CycleGAN(Trainer):
    """SynCT and SynMR translate each into the other's modality; DisCT and DisMR tell real from synthetic images."""

    paired = False

    def __init__(
        self, configuration: Configuration, device: torch.device | str, seed: int | None = None, ranks: Ranks = ALONE
    ) -> None:
        super().__init__(configuration, device, seed, ranks)
        plan, training = configuration.network, configuration.training
        if training.lambda_identity > 0 and plan.mr_channels != 1:
            raise TrainingError(
                f"The identity loss feeds CT to SynMR and so needs one MR channel, not {plan.mr_channels}; "
                "set lambda_identity to 0 in plans.json."
            )
        self.lambda_cycle = training.lambda_cycle
        self.lambda_identity = training.lambda_identity

        # Section 3.1: one architecture for both synthesis networks, one for both discriminators.
        self.syn_ct = self.add_network(
            "syn_ct", ResnetGenerator(plan.mr_channels, 1, plan.base_channels, plan.n_blocks)
        )
        self.syn_mr = self.add_network(
            "syn_mr", ResnetGenerator(1, plan.mr_channels, plan.base_channels, plan.n_blocks)
        )
        self.dis_ct = self.add_network("dis_ct", PatchDiscriminator(1, plan.discriminator_base_channels))
        self.dis_mr = self.add_network("dis_mr", PatchDiscriminator(plan.mr_channels, plan.discriminator_base_channels))

        self.synthesis = self.add_optimiser("synthesis", self.syn_ct, self.syn_mr)
        self.discrimination = self.add_optimiser("discrimination", self.dis_ct, self.dis_mr)
        self.pool_ct = self.add_pool("ct")
        self.pool_mr = self.add_pool("mr")

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        mr, ct = batch["mr"], batch["ct"]
        losses: dict[str, Tensor] = {}

        # First the synthesis networks. The discriminators judge, but do not learn.
        with frozen(self.dis_ct, self.dis_mr):
            with self.autocast():
                # Forward cycle: MR -> sCT -> MR. Backward cycle: CT -> sMR -> CT (Fig. 3).
                sct, smr = self.syn_ct(mr), self.syn_mr(ct)
                mr_again, ct_again = self.syn_mr(sct), self.syn_ct(smr)

                losses["syn_ct"] = synthesis_loss(self.dis_ct(sct))  # eq. 1, SynCT's side
                losses["syn_mr"] = synthesis_loss(self.dis_mr(smr))  # eq. 2, SynMR's side
                losses["cycle_mr"] = cycle_loss(mr_again, mr)  # eq. 3, first term
                losses["cycle_ct"] = cycle_loss(ct_again, ct)  # eq. 3, second term
                if self.lambda_identity > 0:  # not in the seed: an image of the target modality should stay as it is
                    losses["identity"] = cycle_loss(self.syn_ct(ct), ct) + cycle_loss(self.syn_mr(mr), mr)

            synthesis = (
                losses["syn_ct"] + losses["syn_mr"] + self.lambda_cycle * (losses["cycle_mr"] + losses["cycle_ct"])
            )
            if self.lambda_identity > 0:
                synthesis = synthesis + self.lambda_identity * self.lambda_cycle * losses["identity"]
            self.update(self.synthesis, synthesis)

        # Then the discriminators, on real images and on synthetic ones from the history. They learn at half the pace.
        with self.autocast():
            losses["dis_ct"] = 0.5 * discriminator_loss(self.dis_ct, ct, self.pool_ct.exchange(sct.float()))  # eq. 1
            losses["dis_mr"] = 0.5 * discriminator_loss(self.dis_mr, mr, self.pool_mr.exchange(smr.float()))  # eq. 2
        self.update(self.discrimination, losses["dis_ct"] + losses["dis_mr"])

        return {name: loss.detach() for name, loss in losses.items()}
