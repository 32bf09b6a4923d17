"""The U-Net on VGG-16 against what Han 2017 states of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.vgg_unet import VggUNet


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def test_it_has_27_convolutions_and_35_million_parameters():
    with torch.device("meta"):
        found = convolutions(VggUNet())
    assert len(found) == 27
    assert sum(p.numel() for layer in found for p in layer.parameters()) == 34_955_713


def test_the_encoder_is_vgg_16_and_the_decoder_its_mirror_with_concatenated_features():
    with torch.device("meta"):
        network = VggUNet(in_channels=3)
    vgg_16 = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    assert [layer.out_channels for layer in convolutions(network.encoder)] == vgg_16
    assert sum(p.numel() for layer in convolutions(network.encoder) for p in layer.parameters()) == 14_714_688
    mirrored = [512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 64]
    assert [layer.out_channels for layer in convolutions(network.decoder)] == mirrored
    assert [convolutions(level)[0].in_channels for level in network.decoder] == [1024, 1024, 512, 256, 128]


def test_each_convolution_but_the_last_has_batch_norm_and_relu():
    network = VggUNet(base_channels=2)
    for level in (*network.encoder, *network.decoder):
        kinds = [type(layer) for layer in level]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * (len(kinds) // 3)
    assert network.out.kernel_size == (1, 1)


def test_unpooling_puts_values_where_the_maxima_were():
    network, n_levels = VggUNet(1, 1, base_channels=1), 5
    # Without convolutions, what is pooled are maxima of the image, and what comes up was unpooled.
    network.encoder, network.out = nn.ModuleList(nn.Identity() for _ in range(n_levels)), nn.Identity()
    network.decoder = nn.ModuleList(_FirstChannel() for _ in range(n_levels))
    seen = []
    for level in network.decoder:
        level.register_forward_hook(lambda _, inputs, output: seen.append(output))
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 5, 19] = 1
    network(image)
    for level, unpooled in enumerate(reversed(seen)):
        assert unpooled.nonzero().tolist() == [[0, 0, 5 >> level, 19 >> level]]


class _FirstChannel(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[:, :1]


@pytest.mark.parametrize("size", [(32, 64), (33, 47), (8, 100)])
def test_an_output_has_the_size_of_its_input(size):
    assert VggUNet(3, 2, base_channels=1)(torch.rand(2, 3, *size)).shape == (2, 2, *size)
