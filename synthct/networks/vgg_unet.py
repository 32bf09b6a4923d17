"""A U-Net on the layout of VGG-16 (Han 2017), with pooling indices for the way up (Badrinarayanan et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, max_unpool2d, pad

N_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each level of VGG-16
GROWTH = (1, 2, 4, 8, 8)  # of the width: 64, 128, 256, 512, 512 channels


class VggUNet(nn.Module):
    """Slices to slices of the same size, with a linear output.

    The encoder is the 13 convolutions of VGG-16 (Simonyan and Zisserman 2015), each 3 x 3 with batch norm and ReLU,
    and its five max-poolings. The decoder mirrors it: unpooling puts each value back to where the maximum was, the
    encoder's features of that level are concatenated, and as many convolutions follow, the last of which leaves the
    channels of the level above. A 1 x 1 convolution ends it. With the defaults 27 convolutions with 34,955,713
    weights and biases: Han's "27 convolutional layers" and "35 million free parameters".
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, base_channels: int = 64) -> None:
        super().__init__()
        widths = [base_channels * growth for growth in GROWTH]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for into, width, n in zip([in_channels, *widths], widths, N_CONVOLUTIONS):
            self.encoder.append(_convolutions([into] + [width] * n))
        for width, above, n in zip(widths[::-1], [*widths[-2::-1], base_channels], N_CONVOLUTIONS[::-1]):
            self.decoder.append(_convolutions([2 * width] + [width] * (n - 1) + [above]))
        self.out = nn.Conv2d(base_channels, out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), unbounded.

        An image whose sides cannot be halved five times is continued by its last row and column.
        """
        rows, cols = image.shape[-2:]
        multiple = 2 ** len(self.encoder)
        features = pad(image, (0, -cols % multiple, 0, -rows % multiple), mode="replicate")
        skipped: list[tuple[Tensor, Tensor]] = []  # features of a level, and where in them the maxima were
        for convolutions in self.encoder:
            features = convolutions(features)
            pooled, maxima = max_pool2d(features, 2, return_indices=True)
            skipped.append((features, maxima))
            features = pooled
        for convolutions in self.decoder:
            skip, maxima = skipped.pop()
            features = max_unpool2d(features, maxima, [2, 2])
            features = convolutions(torch.cat((features, skip), dim=1))
        return self.out(features)[..., :rows, :cols]


def _convolutions(channels: list[int]) -> nn.Sequential:
    """3 x 3 convolutions from each of these numbers of channels to the next; rows and cols stay."""
    layers: list[nn.Module] = []
    for into, out in zip(channels, channels[1:]):
        layers += [nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
