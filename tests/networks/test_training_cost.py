"""The estimate of a step's memory and work against a count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthct.networks.training_cost import training_cost


def test_one_convolution_keeps_its_input_and_multiplies_three_times():
    cost = training_cost(lambda: nn.Conv3d(2, 3, 3, padding=1, bias=False), (1, 2, 8, 8, 8))
    weights = 3 * 2 * 27
    assert cost.bytes == 4 * (2 * 8**3 + 5 * weights)  # gradient, two moments and the average beside the weights
    assert cost.flop == 3 * 2 * weights * 8**3


def test_images_cost_as_many_times_as_there_are_and_weights_once():
    def network() -> nn.Module:
        return nn.Sequential(nn.Conv3d(1, 4, 3), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(), nn.Conv3d(4, 1, 1))

    one_image, two, three = (training_cost(network, (n, 1, 16, 16, 16)) for n in (1, 2, 3))
    assert three.bytes - two.bytes == pytest.approx(two.bytes - one_image.bytes, rel=0.01)
    assert two.flop == 2 * one_image.flop
    assert one_image.gib == one_image.bytes / 2**30


def test_nothing_is_computed_and_no_random_number_drawn():
    before = torch.get_rng_state()
    training_cost(lambda: nn.Conv3d(512, 512, 3), (64, 512, 96, 128, 128))  # 400 GB of features
    assert torch.equal(torch.get_rng_state(), before)
