"""Unpaired translation with critics, akin to CycleGAN: Yi et al., "DualGAN: Unsupervised Dual Learning for
Image-to-Image Translation", ICCV 2017.

Two U-Nets translate MR and CT into each other; the Wasserstein distance takes the place of a classification, and noise
enters by dropout. A prediction is made without noise. What differs:

- The critics of a step see its images ``n_critic`` times, with other noise each time, instead of other images.
- The learning rate falls linearly to zero over the second half of the epochs, as for the other methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthct.imaging.coding import GreyLevels
from synthct.json_dataclasses import check_ranges
from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import initialise
from synthct.networks.noisy_unet import NoisyUNet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings, mr_windows
from synthct.planning.plan import Configuration, Reason
from synthct.training.losses import cycle_loss
from synthct.training.optimisers import frozen
from synthct.training.trainer import Network, Trainer

MAX_LEVELS = 8  # of the U-Net of pix2pix: 256 pixels become 1
RMSPROP_DECAY = 0.9  # of the squared gradient, as in the authors' code


@dataclass(frozen=True)
class DualGANSettings:
    """Sections 3.1 to 3.3 of Yi et al. 2017; where they give a range, a value of it."""

    coding: GreyLevels = GreyLevels()  # for the generators' tanh
    base_channels: int = 64  # of the generators' first level
    n_levels: int = MAX_LEVELS  # how often the generators halve a slice
    discriminator_base_channels: int = 64
    learning_rate: float = 5e-5  # of RMSProp
    n_critic: int = 3  # updates of the critics for one of the generators, 2 to 4
    weight_clip: float = 0.01  # the critics' weights stay between -weight_clip and weight_clip, 0.01 to 0.1
    lambda_mr: float = 100.0  # weight of the reconstruction of MR, 100 to 1000
    lambda_ct: float = 100.0  # of CT

    def __post_init__(self) -> None:
        check_ranges(
            self,
            base_channels=(1, 512),
            n_levels=(2, 12),
            discriminator_base_channels=(1, 512),
            learning_rate=(1e-12, 1),
            n_critic=(1, 100),
            weight_clip=(1e-6, 1e3),
            lambda_mr=(0, 1e6),
            lambda_ct=(0, 1e6),
        )


class DualGAN(Trainer):
    """SynCT and SynMR translate each into the other's modality; the critics DisCT and DisMR score them.

    In the paper's words: U is MR, V is CT, G_A is SynCT, G_B is SynMR, D_A is DisCT, D_B is DisMR.
    """

    Settings = DualGANSettings
    paired = False
    to_predict = ("syn_ct", "syn_mr")
    size_multiple = 1  # the networks take any size

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        windows, window_reasons = mr_windows(configuration, fingerprint)
        width = max(1, round(64 * configuration.network_width))
        crop = configuration.training.crop_size
        settings = DualGANSettings(
            coding=GreyLevels(mr_windows=windows),
            base_channels=width,
            n_levels=max(2, min(MAX_LEVELS, int(math.log2(min(crop))))),
            discriminator_base_channels=width,
        )
        reasons = {f"coding.{path}": reason for path, reason in window_reasons.items()}
        rule = f"halved down to 1 pixel, at most {MAX_LEVELS} times"
        return PlannedSettings(settings, reasons | {"n_levels": Reason(rule, {"crop": list(crop)})})

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: DualGANSettings) -> dict[str, nn.Module]:
        mr, shape = configuration.input.channels, (settings.base_channels, settings.n_levels)
        return {
            "syn_ct": NoisyUNet(mr, 1, *shape),
            "syn_mr": NoisyUNet(1, mr, *shape),
            "dis_ct": PatchDiscriminator(1, settings.discriminator_base_channels),
            "dis_mr": PatchDiscriminator(mr, settings.discriminator_base_channels),
        }

    @classmethod
    def reconstruct(cls, networks: Mapping[str, Network], sct: Tensor) -> Tensor:
        return networks["syn_mr"](sct)

    def prepare_training(self) -> None:
        self.syn_ct, self.syn_mr, self.dis_ct, self.dis_mr = self.networks.values()
        self.synthesis = self.add_rmsprop("synthesis", self.syn_ct, self.syn_mr)
        self.discrimination = self.add_rmsprop("discrimination", self.dis_ct, self.dis_mr)
        noise = self.add_generator("noise")
        for network in (self.syn_ct, self.syn_mr):
            assert isinstance(network, NoisyUNet)
            network.draw_noise_from(noise)

    def add_rmsprop(self, name: str, *networks: nn.Module) -> torch.optim.Optimizer:
        """Momentum makes critics unstable (section 3.3): RMSProp has none."""
        weights = [weight for network in networks for weight in network.parameters()]
        rate = self.settings.learning_rate
        return self.add_optimiser(name, torch.optim.RMSprop(weights, lr=rate, alpha=RMSPROP_DECAY))

    def initialise(self, network: nn.Module) -> None:
        initialise(network, self.generator)

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        mr, ct = batch["mr"], batch["ct"]
        losses: dict[str, Tensor] = {}

        # First the critics (algorithm 1), whose weights are clipped after every update.
        for _ in range(self.settings.n_critic):
            with self.autocast():
                with torch.no_grad():
                    sct, smr = self.syn_ct(mr), self.syn_mr(ct)
                losses["dis_ct"] = score(self.dis_ct, sct) - score(self.dis_ct, ct)  # eq. 1
                losses["dis_mr"] = score(self.dis_mr, smr) - score(self.dis_mr, mr)  # eq. 2
            self.update(self.discrimination, losses["dis_ct"] + losses["dis_mr"])
            self.clip_weights()

        # Then the generators: the critics score, but do not learn.
        with frozen(self.dis_ct, self.dis_mr):
            with self.autocast():
                sct, smr = self.syn_ct(mr), self.syn_mr(ct)
                mr_again, ct_again = self.syn_mr(sct), self.syn_ct(smr)
                losses["syn_ct"], losses["syn_mr"] = -score(self.dis_ct, sct), -score(self.dis_mr, smr)
                losses["reconstruction_mr"] = cycle_loss(mr_again, mr)
                losses["reconstruction_ct"] = cycle_loss(ct_again, ct)
            reconstruction = (
                self.settings.lambda_mr * losses["reconstruction_mr"]
                + self.settings.lambda_ct * losses["reconstruction_ct"]
            )
            self.update(self.synthesis, losses["syn_ct"] + losses["syn_mr"] + reconstruction)  # eq. 3

        return {name: loss.detach() for name, loss in losses.items()}

    def clip_weights(self) -> None:
        """Keep the critics' weights small, so that their scores are Lipschitz continuous (Arjovsky et al. 2017)."""
        limit = self.settings.weight_clip
        with torch.no_grad():
            for critic in (self.dis_ct, self.dis_mr):
                for weight in critic.parameters():
                    weight.clamp_(-limit, limit)


def score(critic: nn.Module, images: Tensor) -> Tensor:
    """A critic's output, the mean over all patches; scalar."""
    return critic(images).float().mean()
