"""A network of small volumes on volumes of any size: overlapping patches (Isensee et al. 2021)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

STEP = 0.5  # between patches, of their side
SD = 1 / 8  # of the Gaussian, of a patch's side: near its borders a network sees less around a voxel


class SlabNetwork(nn.Module):
    """A slab of neighbouring slices, or a whole stack of them, through a network of patches.

    A slab that is no larger than the patch, as in training, goes through the network at once. In larger ones patches
    overlap by half, and each voxel is the mean over the patches that hold it, weighted by Gaussians about their
    middles. What is smaller than the patch is continued on both sides by its outermost slices, rows and columns:
    instance norm shall see in a prediction as many voxels as in training.
    """

    def __init__(self, network: nn.Module, in_channels: int, patch: Sequence[int]) -> None:
        """Args:
        network: (batch, in_channels, slices, rows, cols) -> (batch, 1, slices, rows, cols).
        in_channels: of the network.
        patch: slices, rows, cols of what it is shown at once.
        """
        super().__init__()
        self.network, self.in_channels, self.patch = network, in_channels, tuple(patch)

    def forward(self, slab: Tensor) -> Tensor:
        """(batch, slices x in_channels, rows, cols), slice by slice -> (batch, slices, rows, cols)."""
        volume = slab.unflatten(1, (-1, self.in_channels)).transpose(1, 2)
        return self._synthesise_volume(volume)[:, 0]

    def _synthesise_volume(self, volume: Tensor) -> Tensor:
        size = volume.shape[-3:]
        missing = [max(0, wanted - side) for wanted, side in zip(self.patch, size)]
        margins = [(width // 2, width - width // 2) for width in missing]
        if any(missing):
            volume = pad(volume, [width for margin in reversed(margins) for width in margin], mode="replicate")
        inner = _in_whole_batch(slice(before, before + side) for (before, _), side in zip(margins, size))
        if volume.shape[-3:] == self.patch:
            return self.network(volume)[inner]
        weight = gaussian(self.patch).to(volume.device)
        total = torch.zeros((len(volume), 1, *volume.shape[-3:]), device=volume.device)
        weights = torch.zeros((1, 1, *volume.shape[-3:]), device=volume.device)
        for corner in itertools.product(*map(patch_starts, volume.shape[-3:], self.patch)):
            place = _in_whole_batch(slice(start, start + side) for start, side in zip(corner, self.patch))
            total[place] += weight * self.network(volume[place])
            weights[place] += weight
        return (total / weights)[inner]


def _in_whole_batch(place: Iterable[slice]) -> tuple[slice, ...]:
    """A place (slices, rows, cols) in all channels of all volumes."""
    return (slice(None), slice(None), *place)


def patch_starts(size: int, patch: int) -> list[int]:
    """Where patches begin along an axis: evenly spread from end to end, at most ``STEP`` of their side apart."""
    n_steps = math.ceil((size - patch) / (STEP * patch))
    return [round(i * (size - patch) / max(1, n_steps)) for i in range(n_steps + 1)]


def gaussian(patch: Sequence[int]) -> Tensor:
    """Weight of each voxel of a patch, 1 in its middle and positive everywhere; float32 (slices, rows, cols)."""
    weight = torch.ones(())
    for side in patch:
        distance = torch.arange(side) - (side - 1) / 2
        weight = weight[..., None] * torch.exp(-0.5 * (distance / (SD * side)) ** 2)
    return weight
