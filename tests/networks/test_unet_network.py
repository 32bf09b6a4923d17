"""The U-Net: shapes, size and what it is made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.unet import UNet


@pytest.mark.parametrize("size", [(32, 40), (33, 47), (8, 100)])
def test_an_output_has_the_size_of_its_input_whatever_can_be_halved(size):
    network = UNet(3, 2, (4, 8, 8, 8))
    assert network(torch.rand(2, 3, *size)).shape == (2, 2, *size)


def test_a_padded_image_gives_what_the_image_continued_by_its_edge_gives():
    network = UNet(1, 1, (4, 8, 8)).eval()
    image = torch.rand(1, 1, 30, 29, generator=torch.Generator().manual_seed(0))
    continued = nn.functional.pad(image, (0, 3, 0, 2), mode="replicate")
    torch.testing.assert_close(network(image), network(continued)[..., :30, :29])


def test_full_size_has_the_stated_parameters_and_no_state_beside_them():
    network = UNet(1, 1, (32, 64, 128, 256, 384, 512))
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 2 * 6 + 2 * 5 + 1
    into_and_out = zip([1, 32, 64, 128, 256, 384], [32, 64, 128, 256, 384, 512])
    down = sum(9 * out * (into + out) for into, out in into_and_out)
    up = sum(9 * out * (deeper + out + out) for deeper, out in zip([512, 384, 256, 128, 64], [384, 256, 128, 64, 32]))
    assert sum(layer.weight.numel() for layer in convolutions) == down + up + 32
    assert not list(network.buffers())  # no running statistics: training and synthesis compute the same


def test_it_can_answer_any_hu():
    network = UNet(1, 1, (4, 8))
    with torch.no_grad():
        network.out.bias.fill_(3.0)  # 3000 HU: metal
        network.out.weight.zero_()
    assert torch.all(network(torch.zeros(1, 1, 16, 16)) == 3)
