from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from synthct.accelerate.few_channels_out import FewChannelsOut


@pytest.mark.parametrize("out_channels", [1, 2])
def test_output_and_gradients_are_those_of_a_plain_convolution(out_channels):
    torch.manual_seed(0)
    layer = FewChannelsOut(5, out_channels, 7).double()
    image = torch.randn(2, 5, 20, 13, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(2, out_channels, 14, 7, dtype=torch.float64)
    expected = F.conv2d(image, layer.weight, layer.bias)
    found = layer(image)
    torch.testing.assert_close(found, expected)
    wanted = (image, layer.weight, layer.bias)
    for gradient, other in zip(
        torch.autograd.grad(found, wanted, towards), torch.autograd.grad(expected, wanted, towards), strict=True
    ):
        torch.testing.assert_close(gradient, other)


def test_the_output_keeps_float32_where_the_rest_is_in_bfloat16():
    layer = FewChannelsOut(4, 1, 7)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(torch.randn(1, 4, 16, 16, dtype=torch.bfloat16))
    assert output.dtype == torch.float32
