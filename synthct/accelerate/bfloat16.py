"""Synthesis in bfloat16, half as wide as float32: faster where a CPU or GPU multiplies in it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from synthct.networks.generator import ResnetGenerator
from synthct.networks.unet import UNet


def synthesis_forward(network: nn.Module, precision: str) -> Callable[[Tensor], Tensor]:
    """The forward pass of a network for synthesis in a precision; weights stay as they are.

    Args:
        network: (batch, in_channels, rows, cols) -> (batch, out_channels, rows, cols), with weights in float32. Of a
            ResnetGenerator the layers at both ends stay in float32.
        precision: ``float32``, which gives the network itself, or ``bfloat16``.

    Returns:
        A function of the network's images to its outputs, in float32.

    Raises:
        ValueError: another precision.
    """
    if precision == "float32":
        return network
    if precision != "bfloat16":
        raise ValueError(f"precision must be float32 or bfloat16, not {precision!r}")
    if type(network) is ResnetGenerator:
        return lambda image: _inner_layers_in_bfloat16(network, image)
    return lambda image: _in_bfloat16(network, image)


def bfloat16_is_measured(network: nn.Module) -> bool:
    """Whether the error of a network's sCT in bfloat16 is known to be below 1 HU on average.

    True for a ResnetGenerator and a UNet (documentation/benchmarks.md, Prediction); a subclass may have other layers.
    """
    return type(network) in (ResnetGenerator, UNet)


def _inner_layers_in_bfloat16(network: ResnetGenerator, image: Tensor) -> Tensor:
    """All but the layers at both ends, which see whole pixels, in bfloat16.

    They are a tenth of the work, and rounded too they would double the error, which so stays below 1 HU on average
    (documentation/benchmarks.md).
    """
    layers = network.layers
    first, middle, last = layers[:4], layers[4:-6], layers[-6:]  # c7s1-64; d128 to u128; u64, c7s1-1
    features = first(image)
    with torch.autocast(image.device.type, torch.bfloat16):
        features = middle(features)
    return last(features.float())


def _in_bfloat16(network: nn.Module, image: Tensor) -> Tensor:
    with torch.autocast(image.device.type, torch.bfloat16):
        return network(image).float()
