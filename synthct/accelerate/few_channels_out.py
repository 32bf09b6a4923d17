"""A large convolution into few channels, such as the generator's last, which is slow on a CPU: faster, row by row.

Libraries compute 7 x 7, 64 -> 1 at a twentieth of a CPU's speed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthct.accelerate.channels_last import convolved_in_multiples

# Forward and backward of 7 x 7 on 192 x 192 pixels, 2 cores: 64 -> 1 in 40 ms, plain 120; 64 -> 8 in 101, plain 125.
MAX_OUT_CHANNELS = 8
MIN_KERNEL = 5  # pixels along an axis


class FewChannelsOut(nn.Conv2d):
    """A square convolution of stride 1 without padding, for few output channels: a row of the filter at a time.

    The rows of the filter are made output channels of a 1 x n convolution, which has n times as many of them to fill
    vector registers with; its results, shifted by a row each, are added up. The same products in another order of
    summation; five times as fast on a CPU for 64 channels into one.

    In the precision of its weights even where the rest of a network is not: in bfloat16, HU near the ends of the
    window would come in steps of 4.
    """

    bias: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows + n - 1, cols + n - 1) -> (batch, out_channels, rows, cols).

        In the dtype of the weights; not under autocast.
        """
        if not torch.amp.is_autocast_available(image.device.type):
            return self._convolve(image)
        with torch.autocast(image.device.type, enabled=False):
            return self._convolve(image.to(self.weight.dtype))

    def _convolve(self, image: Tensor) -> Tensor:
        if image.dim() != 4:
            return super().forward(image)
        if image.device.type == "cuda":
            return convolved_in_multiples(self, image, self.bias)
        if image.device.type != "cpu":
            return super().forward(image)
        out_channels, in_channels, n, _ = self.weight.shape
        filter_rows = self.weight.transpose(1, 2).reshape(out_channels * n, in_channels, 1, n)
        by_row = functional.conv2d(image, filter_rows)  # (B, out n, rows + n - 1, cols)
        by_row = by_row.unflatten(1, (out_channels, n))
        rows = image.shape[2] - n + 1
        output = sum(by_row[:, :, row, row : row + rows] for row in range(n))
        return output + self.bias[:, None, None]


def is_worthwhile(layer: nn.Conv2d) -> bool:
    """Whether a square convolution of stride 1 without padding is faster so on a CPU.

    It has fewer outputs than inputs too, so that the first layer of a narrow network is not meant.
    """
    few_outputs = layer.out_channels <= MAX_OUT_CHANNELS and layer.out_channels < layer.in_channels
    return few_outputs and layer.kernel_size[0] >= MIN_KERNEL
