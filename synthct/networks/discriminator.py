"""The discriminator (Wolterink et al., section 3.1): real or synthetic, for each 70 x 70 patch. C64-C128-C256-C512."""

from __future__ import annotations

from torch import Tensor, nn

SMALLEST_IMAGE = 24  # pixels; below, an instance norm would see a single element


class PatchDiscriminator(nn.Module):
    """DisCT or DisMR: a fully convolutional network whose outputs each see 70 x 70 pixels (Isola et al. 2017).

    Fewer strided layers see less: 34 x 34 pixels with two, 16 x 16 with one. With the defaults: 2,762,689 parameters.
    No sigmoid at the end: the least-squares losses (eqs. 1, 2) draw the output itself to 1 for real and to 0 for
    synthetic images.
    """

    def __init__(self, in_channels: int = 1, base_channels: int = 64, strided_layers: int = 3) -> None:
        super().__init__()
        width = base_channels
        # C64, without norm: (batch, width, rows / 2, cols / 2)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        # C128, C256: (batch, 2 width, rows / 4, cols / 4), (batch, 4 width, rows / 8, cols / 8)
        # C512: (batch, 8 width, rows / 8 - 1, cols / 8 - 1)
        for stride in (*[2] * (strided_layers - 1), 1):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width *= 2
        # one number a patch: (batch, 1, rows / 8 - 2, cols / 8 - 2)
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, stride=1, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) in [-1, 1] -> (batch, 1, rows / 8 - 2, cols / 8 - 2), unbounded.

        Raises:
            ValueError: where the image is smaller than 24 pixels.
        """
        rows, cols = image.shape[-2:]
        if min(rows, cols) < SMALLEST_IMAGE:
            raise ValueError(f"the discriminator needs at least {SMALLEST_IMAGE} rows and cols, not {rows} x {cols}")
        return self.layers(image)
