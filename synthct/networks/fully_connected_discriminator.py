"""The discriminator of Nie et al. 2017: convolutions, pooling and fully connected layers on a patch of the CT."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad

PATCH = 48  # pixels a side, of which the fully connected layers give one number
SMALLEST_IMAGE = 64  # pixels; of fewer patches a batch norm has too few values


class FullyConnectedDiscriminator(nn.Module):
    """Real or synthetic, for every 48 x 48 patch, 4 pixels apart.

    Convolutions of 5 x 5 to 32, 64, 128 and 256 channels, each with batch norm and ReLU, the first two with
    max-pooling, leave one pixel of a patch of 48 x 48; fully connected layers of 512, 128 and 1 follow (the authors'
    published 2-D code, github.com/ginobilinie/medSynthesis). On a slice the same layers, as 1 x 1 convolutions, judge
    every such patch.
    """

    def __init__(self, in_channels: int = 1, base_channels: int = 32) -> None:
        super().__init__()
        width = base_channels
        self.layers = nn.Sequential(
            *_convolution(in_channels, width),
            nn.MaxPool2d(2),
            *_convolution(width, 2 * width),
            nn.MaxPool2d(2),
            *_convolution(2 * width, 4 * width),
            *_convolution(4 * width, 8 * width),
            # fully connected: 512, 128, 1
            nn.Conv2d(8 * width, 16 * width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16 * width, 4 * width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * width, 1, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, 1, about rows / 4 - 11, about cols / 4 - 11).

        The logits of being real: the sigmoid of Nie et al. is part of the loss. An image smaller than 64 pixels is
        continued by its last row and column.
        """
        rows, cols = image.shape[-2:]
        if min(rows, cols) < SMALLEST_IMAGE:
            missing = (0, max(0, SMALLEST_IMAGE - cols), 0, max(0, SMALLEST_IMAGE - rows))
            image = pad(image, missing, mode="replicate")
        return self.layers(image)


def _convolution(into: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(into, out, 5), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
