"""The U-Net of pix2pix as DualGAN takes it: layers, sizes, and noise in training only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.noisy_unet import Dropout, NoisyUNet


def image(*size: int) -> torch.Tensor:
    return torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_full_size_is_the_u_net_of_pix2pix():
    with torch.device("meta"):
        network = NoisyUNet()
    down = [layer for layer in network.down.modules() if isinstance(layer, nn.Conv2d)]
    up = [layer for layer in network.up.modules() if isinstance(layer, nn.ConvTranspose2d)] + [network.out]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.out_channels for layer in up] == [512, 512, 512, 512, 256, 128, 64, 1]
    assert [layer.in_channels for layer in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert {(layer.kernel_size, layer.stride) for layer in down + up} == {((4, 4), (2, 2))}
    assert [isinstance(layer.noise, Dropout) for layer in network.up] == [True] * 3 + [False] * 4


def test_256_pixels_become_one():
    network = NoisyUNet(1, 1, base_channels=1)
    seen = []
    network.down[-1].register_forward_hook(lambda *given: seen.append(given[2].shape[-2:]))
    network(image(256, 256))
    assert seen == [(1, 1)]


@pytest.mark.parametrize("size", [(32, 40), (33, 47), (5, 100), (144, 8)])
def test_an_output_has_the_size_of_its_input_and_the_range_of_tanh(size):
    output = NoisyUNet(1, 2, base_channels=2, n_levels=3)(image(*size))
    assert output.shape == (1, 2, *size)
    assert output.abs().max() <= 1


def test_the_output_is_noisy_in_training_and_the_same_again_in_a_prediction():
    network = NoisyUNet(1, 1, base_channels=4, n_levels=3)
    assert not torch.equal(network(image(32, 32)), network(image(32, 32)))
    network.eval()
    assert torch.equal(network(image(32, 32)), network(image(32, 32)))


def test_noise_comes_from_the_generator_alone():
    network = NoisyUNet(1, 1, base_channels=4, n_levels=3)
    generator = torch.Generator()
    network.draw_noise_from(generator)
    before = torch.get_rng_state()
    outputs = []
    for _ in range(2):
        generator.manual_seed(5)
        outputs.append(network(image(32, 32)))
    assert torch.equal(*outputs)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_zeroes_half_and_keeps_the_mean():
    dropped = Dropout()(torch.ones(100, 100))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1, abs=0.05)
