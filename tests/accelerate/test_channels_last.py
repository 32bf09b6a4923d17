"""Layers for a GPU compute what torch's own do, on any device."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_training import make_trainer
from torch import nn
from torch.nn import functional

from synthct.accelerate.channels_last import ReflectionPadInPlace, with_channels_last
from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.accelerate.streams import at_once
from synthct.networks import PatchDiscriminator, ResnetGenerator
from synthct.networks.unet import UNet

NETWORKS = {
    "generator": lambda: ResnetGenerator(1, 1, 8, n_blocks=2),
    "generator of wide layers": lambda: with_fast_convolutions(ResnetGenerator(2, 1, 32, n_blocks=1)),
    "discriminator": lambda: PatchDiscriminator(1, 8),
    "unet": lambda: UNet(5, 1, (4, 8, 16)),
}


def an_image(channels: int, batch: int = 1) -> torch.Tensor:
    image = torch.rand(batch, channels, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return image.double().requires_grad_()


@pytest.fixture(params=NETWORKS)
def plain(request) -> nn.Module:
    torch.manual_seed(1)
    return NETWORKS[request.param]().double()


def channels_of(network: nn.Module) -> int:
    return next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d)).in_channels


@pytest.mark.parametrize("batch", [1, 2])
def test_results_and_gradients_are_those_of_the_plain_network(plain, batch):
    turned = with_channels_last(copy.deepcopy(plain))
    images = [an_image(channels_of(plain), batch) for _ in range(2)]
    for network, image in zip((plain, turned), images):
        (network(image) ** 2).mean().backward()
    torch.testing.assert_close(images[1].grad, images[0].grad)
    weights = dict(turned.named_parameters())
    for name, weight in plain.named_parameters():
        if weights[name].grad is None:  # of a bias that a norm takes away: rounding errors only
            assert name.endswith("bias")
            assert weight.grad.abs().max() < 1e-12
        else:
            torch.testing.assert_close(weights[name].grad, weight.grad)


def test_weights_keep_their_names_and_fit_both_ways(plain):
    turned = with_channels_last(copy.deepcopy(plain))
    assert list(turned.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(turned.state_dict())
    turned.load_state_dict(plain.state_dict())


def test_a_bias_without_a_norm_after_it_is_trained():
    turned = with_channels_last(PatchDiscriminator(1, 8))
    turned(an_image(1).float()).sum().backward()
    first, *_, last = (layer for layer in turned.modules() if isinstance(layer, nn.Conv2d))
    assert first.bias.grad is not None
    assert last.bias.grad is not None


@pytest.mark.parametrize("margins", [(1, 1, 1, 1), (3, 3, 3, 3), (2, 0, 1, 3)])
def test_the_pad_is_torchs_and_so_is_its_gradient(margins):
    images = [an_image(3, batch=2) for _ in range(2)]
    padded = ReflectionPadInPlace(margins)(images[0])
    expected = functional.pad(images[1], margins, mode="reflect")
    assert torch.equal(padded, expected)
    weights = torch.rand(expected.shape, dtype=torch.float64)
    for result in (padded, expected):
        result.backward(weights)
    torch.testing.assert_close(images[0].grad, images[1].grad)


def test_a_training_on_a_cpu_keeps_its_own_layers():
    layers = make_trainer("cyclegan").networks["syn_ct"].modules()
    assert {type(layer).__module__ for layer in layers}.isdisjoint({with_channels_last.__module__})


def test_on_a_cpu_two_computations_come_one_after_the_other():
    order = []
    results = at_once(lambda: order.append("first") or 1, lambda: order.append("second") or 2, torch.device("cpu"))
    assert results == (1, 2)
    assert order == ["first", "second"]
