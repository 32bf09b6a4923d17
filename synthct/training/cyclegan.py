"""CycleGAN for MR-to-CT synthesis from unpaired slices: section 3 of Wolterink et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthct.errors import TrainingError
from synthct.json_dataclasses import added_later, check_ranges
from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator, initialise
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration
from synthct.training.gan_settings import GanSettings
from synthct.training.losses import cycle_loss, discriminator_loss, synthesis_loss
from synthct.training.optimisers import frozen
from synthct.training.trainer import Network, Trainer


@dataclass(frozen=True)
class CycleGANSettings(GanSettings):
    """The values of Wolterink et al. 2017 (section 4); the last five are not in the paper, and off."""

    lambda_cycle: float = 10.0  # weight of the cycle loss (eq. 3)
    lambda_identity: float = 0.0  # of an identity loss, relative to lambda_cycle; the paper has none
    pool_size: int = 50  # synthetic images that the discriminators' history holds
    discriminator_layers: int = added_later(3)  # strided ones: 3 see 70 pixels, 2 see 34, 1 sees 16
    discriminator_learning_rate: float | None = added_later(None)  # None: learning_rate
    early_lambda_cycle: float | None = added_later(None)  # of the first steps; None: lambda_cycle
    early_share: float = added_later(0.2)  # of all steps, which are the first ones
    position_matched: bool = added_later(False)  # MR and CT slices of a step lie at similar places in their heads

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            lambda_cycle=(0, 1e6),
            lambda_identity=(0, 1e6),
            pool_size=(0, 100_000),
            discriminator_layers=(1, 3),
            discriminator_learning_rate=(1e-12, 1),
            early_lambda_cycle=(0, 1e6),
            early_share=(0, 1),
        )


class CycleGAN(Trainer):
    """SynCT and SynMR translate each into the other's modality; DisCT and DisMR distinguish real images."""

    Settings = CycleGANSettings
    paired = False
    to_predict = ("syn_ct", "syn_mr")

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        return cls.Settings.planned(configuration, fingerprint)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: CycleGANSettings) -> dict[str, nn.Module]:
        # Section 3.1: one architecture for both synthesis networks, one for both discriminators.
        mr, (width, blocks) = configuration.input.channels, (settings.base_channels, settings.n_blocks)
        dis_width, layers = settings.discriminator_base_channels, settings.discriminator_layers
        return {
            "syn_ct": ResnetGenerator(mr, 1, width, blocks),
            "syn_mr": ResnetGenerator(1, mr, width, blocks),
            "dis_ct": PatchDiscriminator(1, dis_width, layers),
            "dis_mr": PatchDiscriminator(mr, dis_width, layers),
        }

    @classmethod
    def reconstruct(cls, networks: Mapping[str, Network], sct: Tensor) -> Tensor:
        return networks["syn_mr"](sct)

    def prepare_training(self) -> None:
        if self.settings.lambda_identity > 0 and self.configuration.input.channels != 1:
            raise TrainingError(
                "The identity loss feeds CT to SynMR and so needs one MR channel, not "
                f"{self.configuration.input.channels}; set lambda_identity to 0 in plans.json."
            )
        self.syn_ct, self.syn_mr, self.dis_ct, self.dis_mr, *others = self.networks.values()
        self.synthesis = self.add_adam("synthesis", self.syn_ct, self.syn_mr, *others)
        self.discrimination = self.add_adam("discrimination", self.dis_ct, self.dis_mr)
        if self.settings.discriminator_learning_rate is not None:
            self.rates["discrimination"] = self.settings.discriminator_learning_rate / self.settings.learning_rate
        self.lambda_cycle = torch.tensor(self.settings.lambda_cycle, device=self.device)
        self.pool_ct = self.add_pool("ct", self.settings.pool_size)
        self.pool_mr = self.add_pool("mr", self.settings.pool_size)

    def initialise(self, network: nn.Module) -> None:
        initialise(network, self.generator)

    @property
    def position_matched(self) -> bool:
        return self.settings.position_matched

    def before_step(self, step: int, steps: int) -> None:
        early, is_early = self.settings.early_lambda_cycle, step < self.settings.early_share * steps
        self.lambda_cycle.fill_(self.settings.lambda_cycle if early is None or not is_early else early)

    def more_losses(self, mr: Tensor, ct: Tensor, sct: Tensor, smr: Tensor) -> dict[str, Tensor]:
        """What the synthesis networks learn from beyond the paper, by name, weighted; nothing here.

        Args:
            mr, ct, sct, smr: real images and those made of them, (batch, channels, rows, cols) in [-1, 1].
        """
        return {}

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        mr, ct = batch["mr"], batch["ct"]
        lambda_cycle, lambda_identity = self.lambda_cycle, self.settings.lambda_identity
        losses: dict[str, Tensor] = {}

        # First the synthesis networks. The discriminators judge, but do not learn.
        with frozen(self.dis_ct, self.dis_mr):
            with self.autocast():
                # Forward cycle: MR -> sCT -> MR. Backward cycle: CT -> sMR -> CT (Fig. 3).
                sct, smr = self.at_once(lambda: self.syn_ct(mr), lambda: self.syn_mr(ct))
                ct_again, mr_again = self.at_once(lambda: self.syn_ct(smr), lambda: self.syn_mr(sct))

                losses["syn_ct"] = synthesis_loss(self.dis_ct(sct))  # eq. 1, SynCT's side
                losses["syn_mr"] = synthesis_loss(self.dis_mr(smr))  # eq. 2, SynMR's side
                losses["cycle_mr"] = cycle_loss(mr_again, mr)  # eq. 3, first term
                losses["cycle_ct"] = cycle_loss(ct_again, ct)  # eq. 3, second term
                if lambda_identity > 0:  # not in the paper: an image of the target modality should stay as it is
                    losses["identity"] = cycle_loss(self.syn_ct(ct), ct) + cycle_loss(self.syn_mr(mr), mr)
                more = self.more_losses(mr, ct, sct, smr)

            synthesis = losses["syn_ct"] + losses["syn_mr"] + lambda_cycle * (losses["cycle_mr"] + losses["cycle_ct"])
            if lambda_identity > 0:
                synthesis = synthesis + lambda_identity * lambda_cycle * losses["identity"]
            self.update(self.synthesis, sum(more.values(), start=synthesis))

        # Then the discriminators, on real images and on synthetic ones from the history. They learn at half the pace.
        with self.autocast():
            sct, smr = self.pool_ct.exchange(sct.float()), self.pool_mr.exchange(smr.float())
            dis_ct, dis_mr = self.at_once(
                lambda: discriminator_loss(self.dis_ct, ct, sct),  # eq. 1
                lambda: discriminator_loss(self.dis_mr, mr, smr),  # eq. 2
            )
            losses |= more | {"dis_ct": 0.5 * dis_ct, "dis_mr": 0.5 * dis_mr}
        self.update(self.discrimination, losses["dis_ct"] + losses["dis_mr"])

        return {name: loss.detach() for name, loss in losses.items()}
