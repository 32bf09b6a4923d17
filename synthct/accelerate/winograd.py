"""3 x 3 convolutions in half the time on a CPU: Winograd's minimal filtering.

Nine tenths of the generator's work are 3 x 3 convolutions of many channels. Computed tile by tile in Winograd's domain
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4), they need fewer
multiplications:

- F(4 x 4, 3 x 3), a quarter of them, in float32. The result is that of a direct convolution to about 3e-6 of its norm,
  gradients included.
- F(2 x 2, 3 x 3), four ninths of them, in bfloat16 and for synthesis only. The larger tile would multiply rounding
  errors by 10; this one leaves them near those of a direct convolution in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

MIN_CHANNELS = 128  # below, moving data to and from Winograd's domain costs more than the products save


@dataclass(frozen=True)
class Tiling:
    """F(outputs, 3) along one axis: output = A' [(G filter) * (B' input)]; P = (outputs + 2)^2 places of a tile.

    Attributes:
        outputs: that a tile has along an axis.
        to_domain: B' along both axes of a flattened tile, (P, (outputs + 2)^2).
        filter_to_domain: G along both axes of a flattened filter, (P, 9).
        to_output: A' along both axes, (outputs^2, P).
    """

    outputs: int
    to_domain: Tensor
    filter_to_domain: Tensor
    to_output: Tensor

    @property
    def reach(self) -> int:
        """Inputs that a tile's outputs depend on, along an axis."""
        return self.outputs + 2

    @property
    def all_ones(self) -> int:
        """The second column of A' holds ones only, along both axes."""
        return self.reach + 1


@cache
def tiling(dtype: torch.dtype) -> Tiling:
    """The tiling that is exact enough in float64 or float32, and in bfloat16."""
    if dtype == torch.bfloat16:
        to_domain = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]
        filter_to_domain = [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]]
        to_output = [[1, 1, 1, 0], [0, 1, -1, -1]]
    else:
        to_domain = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                     [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]  # fmt: skip
        filter_to_domain = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
                            [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]  # fmt: skip
        to_output = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    one_axis = [torch.tensor(matrix, dtype=torch.float64) for matrix in (to_domain, filter_to_domain, to_output)]
    both_axes = [torch.kron(matrix, matrix).to(dtype) for matrix in one_axis]
    return Tiling(len(to_output), *both_axes)


class WinogradConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 without padding; where Winograd's way does not pay it is torch's own.

    Differentiable once: a gradient of its gradient raises a RuntimeError.
    """

    bias: Tensor
    _kept: tuple[tuple, Tensor] | None = None  # the filters in Winograd's domain, and what they were made from

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows + 2, cols + 2) -> (batch, out_channels, rows, cols)."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else image.dtype
        if not self.is_faster(image, dtype):
            return super().forward(image)
        rows, cols = (pixels - 2 for pixels in image.shape[2:])
        tile = tiling(dtype).outputs
        beyond = (0, -cols % tile, 0, -rows % tile)  # tiles that reach over the edge; what they yield there is cut off
        padded = functional.pad(image, beyond) if any(beyond) else image
        with torch.autocast("cpu", enabled=False):
            if torch.is_grad_enabled():
                output = _WinogradConvolution.apply(padded, self.weight, self.bias)
            else:
                output = _convolve(
                    _to_domain(padded.to(dtype)), self._filters(dtype), self.bias.to(dtype), padded.shape
                )
        return output[:, :, :rows, :cols]

    def is_faster(self, image: Tensor, dtype: torch.dtype) -> bool:
        """Whether Winograd's way is open to a computation in that precision, and the shorter one."""
        return (
            image.device.type == "cpu"
            and (dtype == torch.float32 or (dtype == torch.bfloat16 and not torch.is_grad_enabled()))
            and image.dim() == 4
            and min(image.shape[2:]) >= 3
            and is_worthwhile(self)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Copies make their own filters in Winograd's domain."""
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}

    def _filters(self, dtype: torch.dtype) -> Tensor:
        """The filters in Winograd's domain, made once for as long as they do not change."""
        if self.weight.is_inference():  # its changes are not counted
            return _filters_to_domain(self.weight, dtype)
        made_from = (dtype, self.weight.data_ptr(), self.weight._version)
        if self._kept is None or self._kept[0] != made_from:
            self._kept = made_from, _filters_to_domain(self.weight, dtype)
        return self._kept[1]


def is_worthwhile(layer: nn.Conv2d) -> bool:
    """Whether a convolution of stride 1 without padding is faster in Winograd's way on a CPU."""
    return layer.kernel_size == (3, 3) and min(layer.in_channels, layer.out_channels) >= MIN_CHANNELS


# Shapes: T tiles of all images of the batch, C channels in, K channels out, P places of a tile.


def _to_domain(image: Tensor) -> Tensor:
    """(batch, C, rows + 2, cols + 2) -> (P, C, T)."""
    tiles = tiling(image.dtype)
    batch, c, in_rows, in_cols = image.shape
    step, down, across = image.stride(), (in_rows - 2) // tiles.outputs, (in_cols - 2) // tiles.outputs
    overlapping = image.as_strided(  # a view: neighbouring tiles share two rows or columns
        (tiles.reach, tiles.reach, c, batch, down, across),
        (step[2], step[3], step[1], step[0], tiles.outputs * step[2], tiles.outputs * step[3]),
        image.storage_offset(),
    )
    return (tiles.to_domain @ overlapping.reshape(tiles.reach**2, -1)).view(tiles.reach**2, c, -1)


def _filters_to_domain(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(K, C, 3, 3) -> (P, K, C) for a convolution in ``dtype``, to which the result is rounded."""
    k, c = weight.shape[:2]
    tiles = tiling(dtype)
    filters = tiles.filter_to_domain.to(weight.dtype) @ weight.reshape(k * c, 9).T
    return filters.view(tiles.reach**2, k, c).to(dtype)


def _convolve(inputs: Tensor, filters: Tensor, bias: Tensor, in_shape: torch.Size) -> Tensor:
    """(P, C, T) and (P, K, C) -> (batch, K, rows, cols)."""
    tiles = tiling(inputs.dtype)
    batch, _, in_rows, in_cols = in_shape
    k, down, across = len(bias), (in_rows - 2) // tiles.outputs, (in_cols - 2) // tiles.outputs
    products = torch.bmm(filters, inputs)  # (P, K, T)
    products[tiles.all_ones] += bias[:, None]
    outputs = (tiles.to_output @ products.view(tiles.reach**2, -1)).view(
        tiles.outputs, tiles.outputs, k, batch, down, across
    )
    return outputs.permute(3, 2, 4, 0, 5, 1).reshape(batch, k, tiles.outputs * down, tiles.outputs * across)


class _WinogradConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        inputs, filters = _to_domain(image), _filters_to_domain(weight, image.dtype)
        ctx.save_for_backward(inputs, weight)  # the filters, four times the weight, are made again in no time
        ctx.image_shape = image.shape
        return _convolve(inputs, filters, bias, image.shape)

    @staticmethod
    @once_differentiable  # it is made of intermediate results, whose own dependence on the inputs is not recorded
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Each step of :meth:`forward` transposed, in reverse order."""
        inputs, weight = ctx.saved_tensors
        tiles = tiling(gradient.dtype)
        tile, reach = tiles.outputs, tiles.reach
        batch, c, in_rows, in_cols = ctx.image_shape
        k, down, across = len(weight), (in_rows - 2) // tile, (in_cols - 2) // tile
        output_tiles = gradient.reshape(batch, k, down, tile, across, tile).permute(3, 5, 1, 0, 2, 4)
        product_gradient = (tiles.to_output.T @ output_tiles.reshape(tile**2, -1)).view(reach**2, k, -1)  # (P, K, T)
        image_gradient = weight_gradient = bias_gradient = None
        if ctx.needs_input_grad[2]:
            bias_gradient = gradient.sum((0, 2, 3))
        if ctx.needs_input_grad[1]:
            filter_gradient = torch.bmm(product_gradient, inputs.transpose(1, 2))  # (P, K, C)
            weight_gradient = (tiles.filter_to_domain.T @ filter_gradient.view(reach**2, -1)).view(3, 3, k, c)
            weight_gradient = weight_gradient.permute(2, 3, 0, 1).contiguous()
        if ctx.needs_input_grad[0]:
            filters = _filters_to_domain(weight, gradient.dtype)
            input_gradient = torch.bmm(filters.transpose(1, 2), product_gradient)  # (P, C, T)
            tile_gradient = (tiles.to_domain.T @ input_gradient.view(reach**2, -1)).view(
                reach, reach, c, batch, down, across
            )
            image_gradient = gradient.new_zeros(batch, c, in_rows, in_cols)
            for row in range(reach):
                for col in range(reach):  # no two tiles meet in one of these steps: the sum has a fixed order
                    there = image_gradient[:, :, row : row + tile * down : tile, col : col + tile * across : tile]
                    there += tile_gradient[row, col].transpose(0, 1)
        return image_gradient, weight_gradient, bias_gradient
