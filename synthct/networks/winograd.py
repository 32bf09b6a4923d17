"""3 x 3 convolutions in half the time on a CPU: Winograd's minimal filtering, F(4 x 4, 3 x 3).

Nine tenths of the generator's work are 3 x 3 convolutions of many channels. Computed tile by tile in Winograd's domain
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.3), 4 x 4 outputs take 36
multiplications a pair of channels instead of 144. In float32 the result is that of a direct convolution to about
3e-6 of its norm, gradients included.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

TILE, REACH = 4, 6  # outputs of a tile along an axis, and the inputs that they depend on
LEAST_CHANNELS = 128  # below, moving data to and from Winograd's domain costs more than the products save

# One axis: output = A' [(G filter) * (B' input)]; the matrices of Lavin and Gray for F(4, 3).
_INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_FILTER = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
           [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]  # fmt: skip
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


class WinogradConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 without padding; everywhere but on a CPU in float32 torch's own."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, in_channels, rows + 2, cols + 2) -> (batch, out_channels, rows, cols)."""
        if not self.pays(image):
            return super().forward(image)
        rows, cols = (pixels - 2 for pixels in image.shape[2:])
        beyond = (0, -cols % TILE, 0, -rows % TILE)  # tiles that reach over the edge; what they yield there is cut off
        padded = functional.pad(image, beyond) if any(beyond) else image
        output = _WinogradConvolution.apply(padded, self.weight)[:, :, :rows, :cols]
        return output + self.bias[:, None, None]

    def pays(self, image: Tensor) -> bool:
        """Whether Winograd's way is open, and the shorter one."""
        return (
            image.device.type == "cpu"
            and image.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and min(self.in_channels, self.out_channels) >= LEAST_CHANNELS
        )


class _WinogradConvolution(torch.autograd.Function):
    """Shapes: T tiles of all images of the batch, C channels in, K channels out; 36 = 6 x 6 places of a tile."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, image: Tensor, weight: Tensor) -> Tensor:
        batch, c, in_rows, in_cols = image.shape
        k, down, across = weight.shape[0], (in_rows - 2) // TILE, (in_cols - 2) // TILE
        to_domain, filter_to_domain, to_output = _transforms(image.dtype)
        step = image.stride()
        tiles = image.as_strided(  # a view: neighbouring tiles overlap by two pixels
            (REACH, REACH, c, batch, down, across),
            (step[2], step[3], step[1], step[0], TILE * step[2], TILE * step[3]),
            image.storage_offset(),
        )
        inputs = (to_domain @ tiles.reshape(REACH**2, -1)).view(REACH**2, c, -1)  # (36, C, T)
        filters = (filter_to_domain @ weight.reshape(k * c, 9).T).view(REACH**2, k, c)  # (36, K, C)
        products = torch.bmm(filters, inputs)  # (36, K, T)
        outputs = (to_output @ products.view(REACH**2, -1)).view(TILE, TILE, k, batch, down, across)
        ctx.save_for_backward(inputs, filters)
        ctx.image_shape = image.shape
        return outputs.permute(3, 2, 4, 0, 5, 1).reshape(batch, k, TILE * down, TILE * across)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Each step of :meth:`forward` transposed, in reverse order."""
        inputs, filters = ctx.saved_tensors
        batch, c, in_rows, in_cols = ctx.image_shape
        k, down, across = filters.shape[1], (in_rows - 2) // TILE, (in_cols - 2) // TILE
        to_domain, filter_to_domain, to_output = _transforms(gradient.dtype)
        tiles = gradient.reshape(batch, k, down, TILE, across, TILE).permute(3, 5, 1, 0, 2, 4)
        of_products = (to_output.T @ tiles.reshape(TILE**2, -1)).view(REACH**2, k, -1)  # (36, K, T)
        of_image = of_weight = None
        if ctx.needs_input_grad[1]:
            of_filters = torch.bmm(of_products, inputs.transpose(1, 2))  # (36, K, C)
            of_weight = (filter_to_domain.T @ of_filters.view(REACH**2, -1)).view(3, 3, k, c)
            of_weight = of_weight.permute(2, 3, 0, 1).contiguous()
        if ctx.needs_input_grad[0]:
            of_inputs = torch.bmm(filters.transpose(1, 2), of_products)  # (36, C, T)
            of_tiles = (to_domain.T @ of_inputs.view(REACH**2, -1)).view(REACH, REACH, c, batch, down, across)
            of_image = gradient.new_zeros(batch, c, in_rows, in_cols)
            for row in range(REACH):
                for col in range(REACH):  # no two tiles meet in one of these steps, so that the sum has a fixed order
                    there = of_image[:, :, row : row + TILE * down : TILE, col : col + TILE * across : TILE]
                    there += of_tiles[row, col].transpose(0, 1)
        return of_image, of_weight


@cache
def _transforms(dtype: torch.dtype) -> list[Tensor]:
    """What the matrices above do along one axis, done along both: (36, 36), (36, 9) and (16, 36)."""
    one_axis = [torch.tensor(matrix, dtype=torch.float64) for matrix in (_INPUT, _FILTER, _OUTPUT)]
    return [torch.kron(matrix, matrix).to(dtype) for matrix in one_axis]
