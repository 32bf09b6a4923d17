"""A 2-D U-Net for regression (Ronneberger et al. 2015, with the choices of nnU-Net, Isensee et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad


class UNet(nn.Module):
    """Slices to slices of the same size, with a linear output.

    At each level two 3 x 3 convolutions with instance norm and leaky ReLU; max-pooling down; on the way up bilinear
    upsampling (no transposed convolutions, which leave checkerboards) and the features of the same level; a 1 x 1
    convolution at the end.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]) -> None:
        """Args:
        in_channels, out_channels: of the images.
        widths: channels of each level, from full resolution down.
        """
        super().__init__()
        into = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(_two_convolutions(before, width) for before, width in zip(into, widths))
        self.up = nn.ModuleList(
            _two_convolutions(deeper + width, width) for deeper, width in zip(widths[:0:-1], widths[-2::-1])
        )
        self.out = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), unbounded.

        An image whose sides cannot be halved at every level is continued by its last row and column.
        """
        rows, cols = image.shape[-2:]
        multiple = 2 ** len(self.up)
        if rows % multiple or cols % multiple or torch.onnx.is_in_onnx_export():  # which is for all sizes
            image = pad(image, (0, -cols % multiple, 0, -rows % multiple), mode="replicate")
        features = image
        skipped: list[Tensor] = []
        for level, convolutions in enumerate(self.down):
            features = convolutions(features if level == 0 else max_pool2d(features, 2))
            skipped.append(features)
        skipped.pop()
        for convolutions in self.up:
            features = interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = convolutions(torch.cat((features, skipped.pop()), dim=1))
        return self.out(features)[..., :rows, :cols]


def _two_convolutions(into: int, out: int) -> nn.Sequential:
    """(batch, into, rows, cols) -> (batch, out, rows, cols)."""
    layers: list[nn.Module] = []
    for channels in (into, out):
        layers += [
            nn.Conv2d(channels, out, 3, padding=1),
            nn.InstanceNorm2d(out, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)
