"""The residual 3-D U-Net: its blocks and widths, its sizes, and how far it sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.unet3d import ResidualBlock, ResidualUNet3d

WIDTHS, BLOCKS = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)


def tiny() -> ResidualUNet3d:
    torch.manual_seed(0)
    return ResidualUNet3d(2, 1, (3, 4, 5), (1, 2, 1)).eval()


def test_the_full_network_has_nnu_nets_levels_and_one_convolution_a_level_on_the_way_up():
    with torch.device("meta"):
        network = ResidualUNet3d(1, 1, WIDTHS, BLOCKS)
    levels = [[layer for layer in level.modules() if isinstance(layer, ResidualBlock)] for level in network.down]
    assert [len(level) for level in levels] == list(BLOCKS)
    assert [level[-1].second[0].out_channels for level in levels] == list(WIDTHS)
    assert [level[0].first[0].stride for level in levels] == [(1, 1, 1)] + [(2, 2, 2)] * 5
    assert [sum(isinstance(layer, nn.Conv3d) for layer in step) for step in network.up] == [1] * 5
    assert not any(isinstance(layer, nn.ConvTranspose3d) for layer in network.modules())
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(100.7e6, rel=1e-3)


@pytest.mark.parametrize("size", [(8, 12, 16), (5, 6, 7), (4, 9, 4)])
def test_the_output_has_the_size_of_the_input_whether_it_can_be_halved_or_not(size):
    assert tiny()(torch.rand(2, 2, *size)).shape == (2, 1, *size)


def test_a_volume_is_continued_by_its_last_voxels():
    network, volume = tiny(), torch.rand(1, 2, 5, 6, 8)
    continued = nn.functional.pad(volume, (0, 0, 0, 2, 0, 3), mode="replicate")
    assert torch.equal(network(volume), network(continued)[:, :, :5, :6])


def test_a_block_that_learns_nothing_passes_its_input_on():
    block = ResidualBlock(3, 3)
    nn.init.zeros_(block.second[1].weight)
    features = torch.rand(1, 3, 4, 4, 4)
    torch.testing.assert_close(block(features), features)


def test_every_weight_learns():
    network = tiny()
    network(torch.randn(1, 2, 8, 8, 8)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())
