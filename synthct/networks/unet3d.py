"""A 3-D U-Net with a residual encoder for regression (nnU-Net's ResEnc, Isensee et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad

NEGATIVE_SLOPE = 0.01  # of the leaky ReLUs


class ResidualUNet3d(nn.Module):
    """Volumes to volumes of the same size, with a linear output.

    Encoder: a 3 x 3 x 3 convolution, then residual blocks at each level; the first block of a level halves every side
    by a strided convolution. Decoder: at each level a 1 x 1 x 1 convolution to that level's width, trilinear upsampling
    (no transposed convolutions, which leave checkerboards), and one 3 x 3 x 3 convolution of it and the encoder's
    features. Each 3 x 3 x 3 convolution has instance norm, which makes a bias superfluous, and leaky ReLU.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        """Args:
        in_channels, out_channels: of the volumes.
        widths: channels of each level, from full resolution down.
        blocks: residual blocks of each level.
        """
        super().__init__()
        self.stem = _convolution(in_channels, widths[0])
        into = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(before, width, stride=1 if level == 0 else 2),
                *(ResidualBlock(width, width) for _ in range(n_blocks - 1)),
            )
            for level, (before, width, n_blocks) in enumerate(zip(into, widths, blocks, strict=True))
        )
        upwards = list(zip(widths[:0:-1], widths[-2::-1]))
        self.narrow = nn.ModuleList(nn.Conv3d(deeper, width, 1) for deeper, width in upwards)
        self.up = nn.ModuleList(_convolution(2 * width, width) for _, width in upwards)
        self.out = nn.Conv3d(widths[0], out_channels, 1)

    @property
    def multiple(self) -> int:
        """Every side is halved at each level but the first; a volume is continued to a multiple of this."""
        return 2 ** len(self.up)

    def forward(self, volume: Tensor) -> Tensor:
        """(batch, in_channels, slices, rows, cols) -> (batch, out_channels, slices, rows, cols), unbounded.

        A volume whose sides cannot be halved at every level is continued by its last slice, row and column.
        """
        size = volume.shape[-3:]
        slices, rows, cols = (-side % self.multiple for side in size)
        if slices or rows or cols:
            volume = pad(volume, (0, cols, 0, rows, 0, slices), mode="replicate")
        features = self.stem(volume)
        skipped: list[Tensor] = []
        for blocks in self.down:
            features = blocks(features)
            skipped.append(features)
        skipped.pop()
        for narrow, convolution in zip(self.narrow, self.up):
            features = interpolate(narrow(features), scale_factor=2, mode="trilinear", align_corners=False)
            features = convolution(torch.cat((features, skipped.pop()), dim=1))
        return self.out(features)[..., : size[0], : size[1], : size[2]]


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all 3-D convolutions for leaky ReLUs (He et al. 2015), as nnU-Net does; biases become 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, a=NEGATIVE_SLOPE, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions and a way past them (He et al. 2016, in nnU-Net's form).

    Where the block halves the volume the way past it averages 2 x 2 x 2 voxels; where the width changes it has a
    1 x 1 x 1 convolution with instance norm.
    """

    def __init__(self, into: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _convolution(into, out, stride)
        self.second = nn.Sequential(nn.Conv3d(out, out, 3, padding=1, bias=False), nn.InstanceNorm3d(out, affine=True))
        past: list[nn.Module] = []
        if stride > 1:
            past.append(nn.AvgPool3d(stride))
        if into != out:
            past += [nn.Conv3d(into, out, 1, bias=False), nn.InstanceNorm3d(out, affine=True)]
        self.past = nn.Sequential(*past)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, into, slices, rows, cols) -> (batch, out, slices, rows, cols), each side divided by the stride."""
        return leaky_relu(self.second(self.first(features)) + self.past(features), NEGATIVE_SLOPE, inplace=True)


def _convolution(into: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(into, out, 3, stride, padding=1, bias=False),
        nn.InstanceNorm3d(out, affine=True),
        nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    )
