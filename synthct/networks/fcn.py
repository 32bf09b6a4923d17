"""The fully convolutional generator of Nie et al. 2017, in two dimensions."""

from __future__ import annotations

from torch import Tensor, nn

# Channels in parts of the base width, and kernel sizes; the last convolution leaves the image.
LAYERS = ((1, 9), (1, 3), (1, 3), (1, 3), (2, 9), (2, 3), (2, 3), (1, 3))


class FullyConvolutionalGenerator(nn.Module):
    """Slices to slices of the same size, with a linear output: nine convolutions at full resolution, no pooling.

    Kernels 9, 3, 3, 3, 9, 3, 3, 3, 3 and 32, 32, 32, 32, 64, 64, 64, 32, 1 channels, as in the authors' published code
    (github.com/ginobilinie/medSynthesis); batch norm and ReLU after all but the last. Zeros around the image keep its
    size, where the authors' convolutions turn 3-D patches of 32 voxels a side into such of 16.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, base_channels: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for growth, kernel in LAYERS:
            width = base_channels * growth
            layers += [
                nn.Conv2d(channels, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, out_channels, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), unbounded."""
        return self.layers(image)
