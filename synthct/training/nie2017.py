"""A GAN on pairs whose loss looks at edges too: Nie et al., "Medical Image Synthesis with Context-Aware Generative
Adversarial Networks", MICCAI 2017.

A fully convolutional generator without pooling learns from the squared error, the difference of gradients and a
discriminator of the CT alone. Layers as in the authors' published code (github.com/ginobilinie/medSynthesis). What
differs:

- Nie et al. train on 3-D patches of 32 voxels a side; here networks see 2-D slices (2.5-D with neighbouring slices),
  and the discriminator judges their patches of 48 x 48 pixels, the size in the authors' 2-D code.
- No auto-context: Nie et al. train further networks one after the other, each of which sees the sCT of the one before.
- The learning rate is ours: theirs fits their intensities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from synthct.imaging.coding import Standardised
from synthct.json_dataclasses import check_ranges
from synthct.networks.fcn import FullyConvolutionalGenerator
from synthct.networks.fully_connected_discriminator import PATCH, FullyConnectedDiscriminator
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, TrainingPlan
from synthct.training.losses import masked_mean
from synthct.training.optimisers import frozen
from synthct.training.trainer import Trainer


@dataclass(frozen=True)
class Nie2017Settings:
    """Widths and weights of Nie et al. 2017; Adam's betas of their code."""

    coding: Standardised = Standardised()  # HU in thousands, neither windowed nor in grey levels
    base_channels: int = 32  # of the generator's first layers; the later ones have twice as many
    discriminator_base_channels: int = 32
    batch_size: int = 1
    learning_rate: float = 1e-3
    adam_betas: tuple[float, float] = (0.5, 0.999)
    lambda_adversarial: float = 0.5  # lambda 1
    lambda_voxel: float = 1.0  # lambda 2
    lambda_gradient: float = 1.0  # lambda 3

    def __post_init__(self) -> None:
        check_ranges(
            self,
            base_channels=(1, 512),
            discriminator_base_channels=(1, 512),
            batch_size=(1, 1024),
            learning_rate=(1e-12, 1),
            adam_betas=(0, 1 - 1e-12),
            lambda_adversarial=(0, 1e6),
            lambda_voxel=(0, 1e6),
            lambda_gradient=(0, 1e6),
        )


class Nie2017(Trainer):
    """SynCT and a discriminator that sees CT or sCT without the MR."""

    Settings = Nie2017Settings
    paired = True
    size_multiple = 1

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        width = max(1, round(32 * configuration.network_width))
        return PlannedSettings(Nie2017Settings(base_channels=width, discriminator_base_channels=width))

    @classmethod
    def training_plan(cls, training: TrainingPlan, settings: Nie2017Settings) -> TrainingPlan:
        return replace(training, batch_size=settings.batch_size)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: Nie2017Settings) -> dict[str, nn.Module]:
        return {
            "syn_ct": FullyConvolutionalGenerator(configuration.input.channels, 1, settings.base_channels),
            "dis_ct": FullyConnectedDiscriminator(1, settings.discriminator_base_channels),
        }

    def prepare_training(self) -> None:
        self.syn_ct, self.dis_ct = self.networks.values()
        self.synthesis = self.add_adam("synthesis", self.syn_ct)
        self.discrimination = self.add_adam("discrimination", self.dis_ct)

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        ct, known, settings = batch["ct"], batch["known"], self.settings
        with self.autocast():
            sct = self.syn_ct(batch["mr"])
        sct = sct.float()
        # Where the head lies outside a scan's field of view the discriminator is shown the same in both.
        shown = torch.where(known > 0, sct, ct)

        # First the discriminator, as in the authors' code; real and synthetic have batch statistics of their own.
        with self.autocast():
            real_scores, synthetic_scores = self.dis_ct(ct), self.dis_ct(shown.detach())
        dis_ct = cross_entropy(real_scores, 1.0) + cross_entropy(synthetic_scores, 0.0)
        self.update(self.discrimination, dis_ct)

        # Then SynCT: the discriminator judges, but does not learn.
        with frozen(self.dis_ct):
            with self.autocast():
                synthetic_scores = self.dis_ct(shown)
            adversarial = cross_entropy(synthetic_scores, 1.0)
            voxel = masked_mean((sct - ct).square(), known)
            gradient = gradient_difference(sct, ct, known)
            # Squared norms are sums over a patch in the paper and in the authors' code, cross entropy is a mean.
            patch_loss = settings.lambda_voxel * voxel + settings.lambda_gradient * gradient
            self.update(self.synthesis, settings.lambda_adversarial * adversarial + PATCH**2 * patch_loss)
        self.average_statistics()

        losses = {"syn_ct": adversarial, "voxel": voxel, "gradient": gradient, "dis_ct": dis_ct}
        return {name: loss.detach() for name, loss in losses.items()}


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Binary cross entropy of the sigmoid of a discriminator's output with one label, the mean over patches; scalar."""
    return binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))


def gradient_difference(synthetic: Tensor, reference: Tensor, weight: Tensor) -> Tensor:
    """Mean over pixels of (|dx reference| - |dx synthetic|)^2 + (|dy reference| - |dy synthetic|)^2; scalar.

    The gradient difference loss of Nie et al. 2017 (after Mathieu et al. 2016), d being differences of neighbours, of
    which both have weight 1.

    Args:
        synthetic, reference, weight: (batch, 1, rows, cols).
    """
    total = synthetic.new_zeros(())
    for axis in (-2, -1):
        squared = (reference.diff(dim=axis).abs() - synthetic.diff(dim=axis).abs()).square()
        n = weight.shape[axis] - 1
        total = total + masked_mean(squared, weight.narrow(axis, 0, n) * weight.narrow(axis, 1, n))
    return total
