"""The U-Net of pix2pix (Isola et al. 2017), whose noise is dropout, as DualGAN takes it (Yi et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

MAX_GROWTH = 8  # 64, 128, 256, then 512 channels
N_NOISY = 3  # of the decoder's layers, the deepest ones


class Dropout(nn.Module):
    """Half of the values are set to zero and the others doubled in training; in a prediction all stay as they are.

    Attributes:
        generator: of the random numbers, on the CPU, so that their state can be part of a checkpoint and they are the
            same on every device; None takes torch's own.
    """

    generator: torch.Generator | None = None

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        kept = torch.randint(2, features.shape, generator=self.generator, dtype=torch.uint8)
        return features * (2 * kept).to(features)


class NoisyUNet(nn.Module):
    """An image of one modality to an image of the other, in [-1, 1].

    At each level a strided 4 x 4 convolution and leaky ReLU 0.2 down, ReLU and a fractionally strided 4 x 4 convolution
    up, to which the features of the same level are concatenated. Instance norm (batch norm of a batch of one image)
    everywhere but in the first, the deepest and the last layer; dropout in the three deepest layers of the decoder.
    With the defaults, 256 pixels become 1.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, base_channels: int = 64, n_levels: int = 8) -> None:
        """Args:
        in_channels, out_channels: of the images.
        base_channels: of the first level; twice as many in the next, at most eight times as many.
        n_levels: how often the image is halved, at least 2.
        """
        super().__init__()
        widths = [base_channels * min(2**level, MAX_GROWTH) for level in range(n_levels)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            normalised = 0 < level < n_levels - 1
            self.down.append(
                nn.Sequential(
                    nn.LeakyReLU(0.2) if level else nn.Identity(),
                    nn.Conv2d(widths[level - 1] if level else in_channels, width, 4, stride=2, padding=1),
                    nn.InstanceNorm2d(width, affine=True) if normalised else nn.Identity(),
                )
            )
        for level in range(n_levels - 1, 0, -1):
            into = widths[level] * (1 if level == n_levels - 1 else 2)
            noisy = n_levels - 1 - level < N_NOISY
            self.up.append(_Upward(into, widths[level - 1], noisy))
        self.out = nn.ConvTranspose2d(2 * widths[0], out_channels, 4, stride=2, padding=1)
        self.smallest = 2**n_levels

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), in [-1, 1].

        Rows and cols may be odd on the way down. An image that cannot be halved so often is continued by its last row
        and column.
        """
        rows, cols = image.shape[-2:]
        if min(rows, cols) < self.smallest:
            missing = (0, max(0, self.smallest - cols), 0, max(0, self.smallest - rows))
            image = pad(image, missing, mode="replicate")
        features = image
        skipped: list[Tensor] = []
        for convolution in self.down:
            features = convolution(features)
            skipped.append(features)
        skipped.pop()
        for upward in self.up:
            skip = skipped.pop()
            features = torch.cat((upward(features, skip.shape[-2:]), skip), dim=1)
        return torch.tanh(self.out(features.relu(), output_size=image.shape[-2:]))[..., :rows, :cols]

    def draw_noise_from(self, generator: torch.Generator) -> None:
        """Let the dropout of all layers take its random numbers from this generator, of the CPU."""
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.generator = generator


class _Upward(nn.Module):
    """ReLU, a fractionally strided convolution, instance norm, and dropout where the layer is noisy."""

    def __init__(self, into: int, out: int, noisy: bool) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(into, out, 4, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(out, affine=True)
        self.noise = Dropout() if noisy else nn.Identity()

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:
        """(batch, into, rows, cols) -> (batch, out, *size), size being twice the rows and cols, or one more."""
        return self.noise(self.norm(self.convolution(features.relu(), output_size=size)))
