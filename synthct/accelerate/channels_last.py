"""Layers of a network of single images that keep them in channels-last, which the matrix units of a GPU want.

torch's own reflection pad and instance norm work in (channels, rows, cols) and so turn the image before and after every
convolution. On one H100 a step of ``unet`` takes 3.3 ms in place of 4.7, one of ``cyclegan`` 24.1 in place of 28.6
(TF32, before its networks compute side by side; documentation/benchmarks.md, On a GPU).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from synthct.accelerate.winograd import WinogradConv2d

MULTIPLE = 8  # channels; GPUs' matrix units take no fewer


def with_channels_last(network: nn.Module) -> nn.Module:
    """Give layers of a network for a GPU the classes that keep its images in channels-last; all else stays.

    Layers, parameters, their names and order remain the same objects, so that state dicts fit both ways. Results are
    those of the plain layers but for rounding.

    Args:
        network: of images of which few make a batch; changed in place. Layers of other classes than torch's own stay.

    Returns:
        The same network, its weights in channels-last.
    """
    layers = list(network.modules())
    normed = {
        id(layer)
        for sequence in layers
        if isinstance(sequence, nn.Sequential)
        for layer, following in pairwise(sequence)
        if isinstance(following, nn.InstanceNorm2d)
    }
    for layer in layers:
        if type(layer) is nn.InstanceNorm2d and not layer.track_running_stats:
            layer.__class__ = ImageByImageNorm
        elif type(layer) is nn.ReflectionPad2d:
            layer.__class__ = ReflectionPadInPlace
        elif isinstance(layer, nn.Conv2d) and type(layer) in (nn.Conv2d, WinogradConv2d) and _is_plain(layer):
            layer.__class__ = ChannelsLastConv2d
            assert isinstance(layer, ChannelsLastConv2d)
            layer.bias_shows = id(layer) not in normed
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _is_plain(layer: nn.Conv2d) -> bool:
    return layer.padding_mode == "zeros" and layer.groups == 1 and not isinstance(layer.padding, str)


class ImageByImageNorm(nn.InstanceNorm2d):
    """Instance norm as the batch norm of each image, whose kernels read channels-last."""

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, rows, cols), likewise out."""
        normed = [
            functional.batch_norm(image, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for image in images.split(1)
        ]
        return normed[0] if len(normed) == 1 else torch.cat(normed)


class ReflectionPadInPlace(nn.ReflectionPad2d):
    """A reflection pad that copies the image once, and so does its gradient."""

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> the same with the padding around it."""
        return _ReflectionPad.apply(images, *self.padding)


class _ReflectionPad(torch.autograd.Function):
    """Margins are filled from the padded image, first those of rows, then of columns; the gradient goes the other way.

    Sizes of margins are left, right, top and bottom.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, *margins: int) -> Tensor:
        ctx.margins = margins
        left, right, top, bottom = margins
        batch, channels, rows, cols = images.shape
        size = (batch, channels, rows + top + bottom, cols + left + right)
        padded = torch.empty(size, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)
        padded[:, :, top : top + rows, left : left + cols] = images
        for axis, before, after in ((2, top, bottom), (3, left, right)):
            for margin, mirrored in _margins(padded, axis, before, after):
                margin.copy_(mirrored.flip(axis))
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        left, right, top, bottom = ctx.margins
        gradient = gradient.clone(memory_format=torch.channels_last)
        for axis, before, after in ((3, left, right), (2, top, bottom)):
            for margin, mirrored in _margins(gradient, axis, before, after):
                mirrored += margin.flip(axis)
        rows, cols = gradient.shape[2] - top - bottom, gradient.shape[3] - left - right
        return gradient[:, :, top : top + rows, left : left + cols], None, None, None, None


def _margins(padded: Tensor, axis: int, before: int, after: int) -> list[tuple[Tensor, Tensor]]:
    """Views of both margins along an axis, each with what it mirrors."""
    end = padded.shape[axis] - after
    return [
        (padded.narrow(axis, 0, before), padded.narrow(axis, before + 1, before)),
        (padded.narrow(axis, end, after), padded.narrow(axis, end - 1 - after, after)),
    ]


class ChannelsLastConv2d(nn.Conv2d):
    """A convolution with channels of zeros beside few, and without a bias that a norm takes away at once.

    Attributes:
        bias_shows: whether the bias changes what the network returns. Otherwise it gets no gradient, which would be
            rounding errors.
    """

    bias_shows: bool

    def forward(self, images: Tensor) -> Tensor:
        """As of ``nn.Conv2d``."""
        return convolved_in_multiples(self, images, self.bias if self.bias_shows else None)


def convolved_in_multiples(layer: nn.Conv2d, images: Tensor, bias: Tensor | None) -> Tensor:
    """A layer's result, computed with channels of zeros beside those of the image and of the result."""
    into, out = (-channels % MULTIPLE for channels in (layer.in_channels, layer.out_channels))
    weight = layer.weight
    if into or out:
        images = functional.pad(images, (0, 0, 0, 0, 0, into)).contiguous(memory_format=torch.channels_last)
        weight = functional.pad(weight, (0, 0, 0, 0, 0, into, 0, out))
        bias = None if bias is None else functional.pad(bias, (0, out))
    result = functional.conv2d(images, weight, bias, layer.stride, layer.padding, layer.dilation)
    return result[:, : layer.out_channels] if out else result
