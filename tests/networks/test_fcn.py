"""Generator and discriminator of Nie et al. 2017 against the layers of the authors' published code."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.fcn import FullyConvolutionalGenerator
from synthct.networks.fully_connected_discriminator import PATCH, FullyConnectedDiscriminator


def layers(network: nn.Module) -> list[tuple[int, int]]:
    """Channels out and kernel size of every convolution."""
    found = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [(layer.out_channels, layer.kernel_size[0]) for layer in found]


def test_the_generator_has_the_authors_nine_convolutions_and_no_pooling():
    network = FullyConvolutionalGenerator()
    expected = [(32, 9), (32, 3), (32, 3), (32, 3), (64, 9), (64, 3), (64, 3), (32, 3), (1, 3)]
    assert layers(network) == expected
    assert {type(layer) for layer in network.layers} == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU}
    assert type(network.layers[-1]) is nn.Conv2d


@pytest.mark.parametrize("size", [(32, 40), (33, 47)])
def test_the_generator_keeps_the_size_of_an_image(size):
    assert FullyConvolutionalGenerator(3, 2, base_channels=2)(torch.rand(1, 3, *size)).shape == (1, 2, *size)


def test_the_discriminator_has_the_authors_convolutions_pooling_and_fully_connected_layers():
    network = FullyConnectedDiscriminator()
    assert layers(network) == [(32, 5), (64, 5), (128, 5), (256, 5), (512, 1), (128, 1), (1, 1)]
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.modules()) == 2


def test_of_a_patch_the_fully_connected_layers_see_one_pixel_and_give_one_number():
    network = FullyConnectedDiscriminator(base_channels=2).eval()
    seen = []
    fully_connected = next(
        layer for layer in network.layers if layer.__class__ is nn.Conv2d and layer.kernel_size[0] == 1
    )
    fully_connected.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    assert network.layers(torch.rand(1, 1, PATCH, PATCH)).shape == (1, 1, 1, 1)
    assert seen == [(1, 16, 1, 1)]


def test_each_number_of_a_slice_is_that_of_a_patch():
    network = FullyConnectedDiscriminator(base_channels=2).eval()
    image = torch.rand(1, 1, 64, 72, generator=torch.Generator().manual_seed(0))
    scores = network(image)
    assert scores.shape == (1, 1, 5, 7)
    for row, col in ((0, 0), (4, 6), (2, 3)):
        patch = image[..., 4 * row : 4 * row + PATCH, 4 * col : 4 * col + PATCH]
        torch.testing.assert_close(network.layers(patch)[0, 0, 0, 0], scores[0, 0, row, col])


def test_the_discriminator_takes_small_images_one_at_a_time():
    network = FullyConnectedDiscriminator(base_channels=2)
    assert network(torch.rand(1, 1, 24, 100)).isfinite().all()
