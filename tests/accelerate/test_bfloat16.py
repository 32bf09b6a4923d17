"""Synthesis in bfloat16: how near it stays to float32, and of which networks that is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.accelerate.bfloat16 import bfloat16_is_measured, synthesis_forward
from synthct.networks import ResnetGenerator
from synthct.networks.generator import initialise
from synthct.networks.unet import UNet
from synthct.training.precision import forward_passes

CPU = torch.device("cpu")


class OtherNetwork(ResnetGenerator):
    """Of a subclass nothing is known."""


def a_network(network_class: type[ResnetGenerator] = ResnetGenerator) -> ResnetGenerator:
    network = network_class(base_channels=8, n_blocks=2)
    initialise(network, torch.Generator().manual_seed(0))
    return network


def an_image() -> torch.Tensor:
    return torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_generators_ends_stay_in_float32_which_lowers_the_error():
    network, image = a_network(), an_image()
    with torch.inference_mode():
        exact = network(image)
        with forward_passes("bfloat16", CPU):
            all_layers = network(image)
        inner_layers = synthesis_forward(network, "bfloat16")(image)
        with forward_passes("float32", CPU):
            assert torch.equal(network(image), exact)
    errors = [((found - exact).abs().mean() / exact.std()).item() for found in (inner_layers, all_layers)]
    assert inner_layers.dtype == torch.float32
    assert 0 < errors[0] < errors[1] < 0.05


def test_another_network_is_in_bfloat16_throughout_and_its_output_in_float32():
    network, image = a_network(OtherNetwork), an_image()
    with torch.inference_mode():
        found = synthesis_forward(network, "bfloat16")(image)
        with torch.autocast("cpu", torch.bfloat16):
            expected = network(image)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected.float())


def test_float32_is_the_network_itself():
    network = a_network()
    assert synthesis_forward(network, "float32") is network


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="float32 or bfloat16, not 'float16'"):
        synthesis_forward(a_network(), "float16")


def test_the_error_is_measured_of_the_generator_and_the_unet_only():
    assert bfloat16_is_measured(a_network()) and bfloat16_is_measured(UNet(1, 1, (4, 8)))
    assert not bfloat16_is_measured(a_network(OtherNetwork))
    assert not bfloat16_is_measured(nn.Conv2d(1, 1, 3))
