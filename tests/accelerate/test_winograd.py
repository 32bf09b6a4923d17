"""Winograd's way against float64 convolutions, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from synthct.accelerate import winograd
from synthct.accelerate.winograd import WinogradConv2d

WIDE = winograd.MIN_CHANNELS


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found - exact).norm() / exact.norm()).item()


def with_gradients(convolve, image, weight, bias, towards):
    output = convolve(image, weight, bias)
    return output, *torch.autograd.grad(output, (image, weight, bias), towards)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [(16, 16), (21, 34), (3, 5)])
def test_output_and_gradients_are_those_of_float64(batch, size):
    torch.manual_seed(0)
    layer = WinogradConv2d(WIDE, WIDE + 16)
    image = torch.randn(batch, WIDE, size[0] + 2, size[1] + 2, requires_grad=True)
    assert layer.is_faster(image, torch.float32)
    towards = torch.randn(batch, WIDE + 16, *size)
    found = with_gradients(lambda x, w, b: layer(x), image, layer.weight, layer.bias, towards)
    doubles = [t.detach().double().requires_grad_() for t in (image, layer.weight, layer.bias)]
    exact = with_gradients(F.conv2d, *doubles, towards.double())
    for result, other in zip(found, exact, strict=True):
        assert result.shape == other.shape
        assert relative(result, other) < 1e-5


def test_gradients_pass_gradcheck(monkeypatch):
    monkeypatch.setattr(WinogradConv2d, "is_faster", lambda *_: True)
    layer = WinogradConv2d(2, 3).double()
    image = torch.randn(2, 2, 9, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (image, layer.weight, layer.bias))


def test_images_in_any_memory_layout_give_the_same():
    torch.manual_seed(0)
    layer = WinogradConv2d(WIDE, WIDE)
    image = torch.randn(2, WIDE, 18, 22)
    other = image.to(memory_format=torch.channels_last)
    part = torch.randn(2, WIDE, 20, 24)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(layer(image), layer(other))
    assert relative(layer(part), F.conv2d(part, layer.weight, layer.bias)) < 1e-5


@pytest.mark.parametrize("size", [(16, 16), (7, 10)])
def test_synthesis_in_bfloat16_is_as_exact_as_a_direct_convolution_in_it(size):
    torch.manual_seed(0)
    layer = WinogradConv2d(WIDE, WIDE)
    image = torch.randn(2, WIDE, size[0] + 2, size[1] + 2)
    exact = F.conv2d(image.double(), layer.weight.double(), layer.bias.double())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = layer(image)
        direct = F.conv2d(image, layer.weight, layer.bias)
    assert found.dtype == torch.bfloat16
    assert not torch.equal(found, direct)  # so it went another way
    assert relative(found, exact) < 3 * relative(direct, exact) < 0.02


@pytest.mark.parametrize("change", ["in place", "loaded", "moved"])
def test_filters_kept_for_synthesis_follow_the_weights(change):
    torch.manual_seed(0)
    layer, other = WinogradConv2d(WIDE, WIDE), nn.Conv2d(WIDE, WIDE, 3)
    image = torch.randn(1, WIDE, 10, 10)
    with torch.no_grad():
        layer(image)
        if change == "in place":
            layer.weight.mul_(2)
        elif change == "loaded":
            layer.load_state_dict(other.state_dict())
        else:
            layer.weight.data = other.weight.data
        assert relative(layer(image), F.conv2d(image, layer.weight, layer.bias)) < 1e-5


def test_narrow_images_training_in_low_precision_and_other_devices_go_torchs_way():
    narrow, wide = WinogradConv2d(WIDE - 1, WIDE), WinogradConv2d(WIDE, WIDE)
    image = torch.zeros(1, WIDE, 8, 8)
    assert wide.is_faster(image, torch.float32)
    assert not narrow.is_faster(image[:, 1:], torch.float32)
    assert not wide.is_faster(image, torch.float64)
    assert not wide.is_faster(image.to("meta"), torch.float32)
    assert not wide.is_faster(image, torch.bfloat16)
    with torch.no_grad():
        assert wide.is_faster(image, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert wide(image).dtype == torch.bfloat16


def test_weights_are_those_of_a_convolution():
    layer, plain = WinogradConv2d(WIDE, WIDE), nn.Conv2d(WIDE, WIDE, 3)
    plain.load_state_dict(layer.state_dict())
    assert plain.state_dict().keys() == layer.state_dict().keys()


def test_two_runs_give_the_same_bits():
    torch.manual_seed(0)
    layer = WinogradConv2d(WIDE, WIDE)
    image, towards = torch.randn(1, WIDE, 18, 18, requires_grad=True), torch.randn(1, WIDE, 16, 16)
    runs = [with_gradients(lambda x, w, b: layer(x), image, layer.weight, layer.bias, towards) for _ in range(2)]
    assert all(torch.equal(result, other) for result, other in zip(*runs))


def test_a_gradient_of_a_gradient_is_refused_rather_than_wrong():
    layer, image = WinogradConv2d(WIDE, WIDE), torch.rand(1, WIDE, 6, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(image).square().sum(), image, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()
