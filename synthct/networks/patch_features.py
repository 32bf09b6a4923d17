"""Features of places in an image, to judge whether two images show the same there (PatchNCE, Park et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthct.networks.generator import ResidualBlock, ResnetGenerator

TEMPERATURE = 0.07  # of the softmax over places


def feature_layers(network: ResnetGenerator) -> list[nn.Module]:
    """Layers of a synthesis network whose outputs are compared: both of its scales, and half of its blocks."""
    layers = list(network.layers)
    blocks = [layer for layer in layers if isinstance(layer, ResidualBlock)]
    activations = [layer for layer in layers if isinstance(layer, nn.ReLU)]
    return [*activations[:3], blocks[len(blocks) // 2]]


class PlaceFeatures(nn.Module):
    """A two-layer perceptron for the features of each layer, to unit vectors (Park et al. 2020, section 3.1)."""

    def __init__(self, channels: list[int], width: int = 256) -> None:
        """Args:
        channels: of each layer's features.
        width: of the vectors.
        """
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(channel, width), nn.ReLU(), nn.Linear(width, width)) for channel in channels
        )

    def forward(self, features: list[Tensor], places: Tensor) -> list[Tensor]:
        """Vectors of length 1 of the same places at each layer.

        Args:
            features: of each layer (batch, channels, rows, cols).
            places: (batch, places, 2), rows and cols as shares of the image, 0 to below 1.

        Returns:
            Of each layer (batch, places, width), float32.
        """
        return [
            functional.normalize(head(_at(feature, places)).float(), dim=2)
            for head, feature in zip(self.heads, features)
        ]


def _at(features: Tensor, places: Tensor) -> Tensor:
    """(batch, channels, rows, cols) at (batch, places, 2) -> (batch, places, channels)."""
    rows, cols = features.shape[2:]
    index = (places[..., 0] * rows).long() * cols + (places[..., 1] * cols).long()
    flat = features.flatten(2).transpose(1, 2)
    return torch.take_along_dim(flat, index[..., None], 1)


def patch_nce_loss(queries: list[Tensor], keys: list[Tensor]) -> Tensor:
    """How well a place of one image is recognised among others by the other image (Park et al. 2020, eqs. 3, 4).

    Args:
        queries: of each layer (batch, places, width), unit vectors of a synthetic image.
        keys: likewise of the image that it was made of; they are not learnt from here.

    Returns:
        The mean cross-entropy; scalar.
    """
    losses = []
    for query, key in zip(queries, keys):
        likeness = query @ key.detach().transpose(1, 2) / TEMPERATURE
        own = torch.arange(query.shape[1], device=query.device).expand(len(query), -1)
        losses.append(functional.cross_entropy(likeness.flatten(0, 1), own.flatten()))
    return torch.stack(losses).mean()
