"""The synthesis network (Wolterink et al. 2017, section 3.1): c7s1-64, d128, d256, 9 x R256, u128, u64, c7s1-1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """R256: x + two reflection-padded 3 x 3 convolutions of x; (batch, channels, rows, cols) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResnetGenerator(nn.Module):
    """SynCT or SynMR: an image of one modality to an image of the other, both in [-1, 1].

    A fully convolutional network of two strided convolutions, ``n_blocks`` residual blocks and two fractionally strided
    convolutions (Johnson et al. 2016 as used by Zhu et al. 2017). Every convolution but the last is followed by
    instance normalisation, which has neither weights nor running statistics, so that training and synthesis compute the
    same. With the defaults: 11,365,633 parameters.

    Everything stays contiguous in (batch, channels, rows, cols): at batch 1 some versions of torch return a wrong
    gradient of instance norm for channels-last tensors on the CPU.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, base_channels: int = 64, n_blocks: int = 9) -> None:
        super().__init__()
        width = base_channels
        self.layers = nn.Sequential(
            # c7s1-64: (batch, width, rows, cols)
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, width, 7),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            # d128: (batch, 2 width, rows / 2, cols / 2)
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(inplace=True),
            # d256: (batch, 4 width, rows / 4, cols / 4)
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(4 * width),
            nn.ReLU(inplace=True),
            # 9 x R256: (batch, 4 width, rows / 4, cols / 4)
            *(ResidualBlock(4 * width) for _ in range(n_blocks)),
            # u128: (batch, 2 width, rows / 2, cols / 2)
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(inplace=True),
            # u64: (batch, width, rows, cols)
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            # c7s1-1: (batch, out_channels, rows, cols)
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, out_channels, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), in [-1, 1].

        Raises:
            ValueError: where rows or cols are not multiples of 4 (the image is halved twice) or below 8.
        """
        rows, cols = image.shape[-2:]
        if rows % 4 or cols % 4 or min(rows, cols) < 8:
            raise ValueError(
                f"the generator needs rows and cols that are multiples of 4, at least 8, not {rows} x {cols}"
            )
        return self.layers(image)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw convolution weights from a normal distribution of SD 0.02 and set biases to zero (Zhu et al. 2017, 7.1).

    Args:
        generator: of the CPU; the network is moved to its device afterwards, so that every device starts alike.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            with torch.no_grad():
                layer.weight.normal_(0.0, 0.02, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
