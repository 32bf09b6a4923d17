"""The generator as a textbook writes it: torch's layers in the order of the paper, and nothing else.

Its parameters have the names and shapes of the product's, so that one can take the other's weights.
"""

from __future__ import annotations

from torch import Tensor, nn


class TextbookBlock(nn.Module):
    """R256."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) in and out."""
        return x + self.layers(x)


class TextbookGenerator(nn.Module):
    """c7s1-64, d128, d256, n x R256, u128, u64, c7s1-1."""

    def __init__(self, in_channels: int, out_channels: int, width: int, n_blocks: int) -> None:
        super().__init__()

        def normal(channels: int) -> list[nn.Module]:
            return [nn.InstanceNorm2d(channels), nn.ReLU()]

        self.layers = nn.Sequential(
            *[nn.ReflectionPad2d(3), nn.Conv2d(in_channels, width, 7), *normal(width)],
            *[nn.Conv2d(width, 2 * width, 3, 2, 1), *normal(2 * width)],
            *[nn.Conv2d(2 * width, 4 * width, 3, 2, 1), *normal(4 * width)],
            *[TextbookBlock(4 * width) for _ in range(n_blocks)],
            *[nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1), *normal(2 * width)],
            *[nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), *normal(width)],
            *[nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()],
        )

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols)."""
        return self.layers(image)
