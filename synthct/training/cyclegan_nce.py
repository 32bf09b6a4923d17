"""CycleGAN that also asks each place of a synthetic image to show what the real image shows there.

An invertible cycle may give tissues each other's HU. What is added, from no pairs either:

- PatchNCE (Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020): each place of an
  sCT is recognised, among many of its places, by that place of the MR. Added to a CycleGAN it took brain T1 of 24
  patients from 77.0 to 69.6 HU (cycleCUT, Wang et al. 2022). The features are those of the passes that the cycle makes
  anyway, an MR's of SynCT and an sCT's of SynMR, as in DCLGAN (Han et al. 2021).
- Edges where the MR has edges: the correlation of gradients, up to a hinge, since beyond what real pairs have it asks
  for a copy of the MR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthct.json_dataclasses import check_ranges
from synthct.networks.generator import ResnetGenerator
from synthct.networks.patch_features import PlaceFeatures, feature_layers, patch_nce_loss
from synthct.planning.plan import Configuration
from synthct.training.cyclegan import CycleGAN, CycleGANSettings
from synthct.training.losses import gradient_correlation

AIR = -0.99  # grey levels, -1 to 1: around the head, and the lowest of it


@dataclass(frozen=True)
class CycleGANNceSettings(CycleGANSettings):
    """Those of ``cyclegan``, and of what is added to it."""

    lambda_nce: float = 1.0  # of PatchNCE, both ways
    nce_places: int = 256  # of a slice that are distinguished, inside the head
    lambda_gradient: float = 0.5  # of the gradient correlation
    gradient_hinge: float = 0.5  # correlation from which on no more is asked for; real pairs at 2 mm: 0.52 (median)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            lambda_nce=(0, 1e6),
            nce_places=(2, 65_536),
            lambda_gradient=(0, 1e6),
            gradient_hinge=(0, 1),
        )


class CycleGANNce(CycleGAN):
    """A CycleGAN whose synthesis networks learn from PatchNCE and from gradients, too."""

    Settings = CycleGANNceSettings

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: CycleGANSettings) -> dict[str, nn.Module]:
        width = settings.base_channels
        channels = [width, 2 * width, 4 * width, 4 * width]
        heads = {f"places_{modality}": PlaceFeatures(channels) for modality in ("mr", "ct")}
        return super().build_networks(configuration, settings) | heads

    def prepare_training(self) -> None:
        super().prepare_training()
        self.places_mr, self.places_ct = self.networks["places_mr"], self.networks["places_ct"]
        self.random_places = self.add_generator("places")
        self.seen_by_syn_ct = _recorded_features(self.syn_ct)
        self.seen_by_syn_mr = _recorded_features(self.syn_mr)

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        places = torch.rand(2, len(batch["mr"]), self.settings.nce_places, generator=self.random_places)
        return batch | {"places": places.to(self.device)}

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        if "places" not in batch:
            batch = self.augment(batch)
        # In the head: air is alike everywhere, and no place of it can be distinguished from another.
        self.in_mr, self.in_ct = (
            places_in(batch[image].amax(1, keepdim=True) > AIR, draws)
            for image, draws in zip(("mr", "ct"), batch["places"])
        )
        return super().training_step(batch)

    def more_losses(self, mr: Tensor, ct: Tensor, sct: Tensor, smr: Tensor) -> dict[str, Tensor]:
        # Each network has made two passes: first over real images, then over synthetic ones.
        mr_features, smr_features = self.seen_by_syn_ct()
        ct_features, sct_features = self.seen_by_syn_mr()
        nce = patch_nce_loss(self.places_ct(sct_features, self.in_mr), self.places_mr(mr_features, self.in_mr))
        nce = nce + patch_nce_loss(self.places_mr(smr_features, self.in_ct), self.places_ct(ct_features, self.in_ct))
        hinge = self.settings.gradient_hinge
        missing = sum(
            (hinge - gradient_correlation(real.mean(1, True), synthetic.mean(1, True))).clamp(min=0).mean()
            for real, synthetic in ((mr, sct), (ct, smr))
        )
        return {"nce": self.settings.lambda_nce * nce, "gradient": self.settings.lambda_gradient * missing}


def places_in(head: Tensor, draws: Tensor) -> Tensor:
    """Places inside a head, evenly.

    Args:
        head: bool (batch, 1, rows, cols).
        draws: (batch, places), evenly from 0 to 1.

    Returns:
        (batch, places, 2), rows and cols as shares of the image; the last pixel where there is no head.
    """
    rows, cols = head.shape[2:]
    counts = head.flatten(1).float().cumsum(1)
    index = torch.searchsorted(counts, draws * counts[:, -1:], right=True).clamp(max=rows * cols - 1)
    return torch.stack(((index // cols + 0.5) / rows, (index % cols + 0.5) / cols), 2)


def _recorded_features(network: nn.Module) -> Callable[[], list[list[Tensor]]]:
    """Record what the compared layers return in each training pass; the function hands it out and forgets it."""
    assert isinstance(network, ResnetGenerator)
    layers = feature_layers(network)
    passes: list[Tensor] = []

    def record(module: nn.Module, images: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled():
            passes.append(output)

    for layer in layers:
        layer.register_forward_hook(record)

    def recorded() -> list[list[Tensor]]:
        seen = [passes[start : start + len(layers)] for start in range(0, len(passes), len(layers))]
        passes.clear()
        return seen

    return recorded
