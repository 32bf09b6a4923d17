"""The running average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from synthct.training.weight_average import WeightAverage


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def learn(average: WeightAverage, steps: int) -> None:
    with torch.no_grad():
        for _ in range(steps):
            for weight in average.learning.parameters():
                weight += 1
            average.update()


def test_weights_that_stay_are_their_own_average():
    average = WeightAverage(a_network(), 0.999)
    for _ in range(20):
        average.update()
    for weight, mean in zip(average.learning.parameters(), average.average.parameters(), strict=True):
        torch.testing.assert_close(weight, mean)


def test_the_average_follows_fast_at_first_and_then_by_its_decay():
    average = WeightAverage(a_network(), 0.75)
    first = average.average[0].bias.clone()
    expected = 0.0  # of weights that grow by 1 a step
    for step in range(40):
        learn(average, 1)
        decay = min(0.75, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
        torch.testing.assert_close(average.average[0].bias - first, torch.full((2,), expected))
    assert abs(40 - expected - 3) < 0.05  # lags behind by decay / (1 - decay) steps


def test_running_statistics_of_layers_are_those_of_the_network_that_learns():
    average = WeightAverage(a_network(), 0.9)
    average.learning(torch.rand(2, 1, 8, 8))
    average.update()
    for name, value in average.learning.named_buffers():
        assert torch.equal(value, dict(average.average.named_buffers())[name])


def test_only_the_network_that_learns_has_gradients():
    average = WeightAverage(a_network(), 0.9)
    assert not any(weight.requires_grad for weight in average.average.parameters())
    assert all(weight.requires_grad for weight in average.learning.parameters())


def test_it_goes_on_identically_from_its_state_and_the_average():
    average = WeightAverage(a_network(), 0.9)
    learn(average, 3)
    other = WeightAverage(a_network(), 0.9)
    other.average.load_state_dict(copy.deepcopy(average.average.state_dict()))
    other.load_state_dict(copy.deepcopy(average.state_dict()))
    for each_average in (average, other):
        learn(each_average, 5)
    for mean, again in zip(average.average.parameters(), other.average.parameters(), strict=True):
        assert torch.equal(mean, again)
