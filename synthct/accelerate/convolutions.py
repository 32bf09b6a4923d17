"""Swaps the convolutions of any network for those of :mod:`synthct.accelerate`, which compute the same faster."""

from __future__ import annotations

from torch import nn

from synthct.accelerate import few_channels_out, winograd
from synthct.accelerate.few_channels_out import FewChannelsOut
from synthct.accelerate.winograd import WinogradConv2d


def with_fast_convolutions(network: nn.Module) -> nn.Module:
    """Give the convolutions of a network that can be faster the class that makes them so; all else stays.

    3 x 3 convolutions of many channels become :class:`WinogradConv2d`, large ones with few outputs
    :class:`FewChannelsOut`; both only where stride is 1, padding 0, dilation 1, groups 1, and there is a bias.
    Layers, parameters, their names and order, hooks, and what optimisers refer to remain the same objects, so that
    state dicts fit both ways. Results are those of the plain layers but for rounding (WinogradConv2d: 3e-6 of the
    norm); only FewChannelsOut computes in the precision of its weights where autocast asks for a lower one.

    Args:
        network: any; changed in place. Layers of other classes than ``nn.Conv2d`` itself stay as they are, so that
            applying this twice is as once.

    Returns:
        The same network.
    """
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _is_plain(layer):
            if winograd.is_worthwhile(layer):
                layer.__class__ = WinogradConv2d
            elif few_channels_out.is_worthwhile(layer):
                layer.__class__ = FewChannelsOut
    return network


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether the fast layers, which know weights and bias only, compute the same."""
    return (
        layer.kernel_size[0] == layer.kernel_size[1]
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding == (0, 0)
        and layer.padding_mode == "zeros"
        and layer.groups == 1
        and layer.bias is not None
    )
