"""The discriminator against an independent statement of the 70 x 70 PatchGAN."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import initialise


def stated(x: torch.Tensor, parameters: list[torch.Tensor]) -> torch.Tensor:
    """C64 (no norm), C128, C256, C512, then one output a patch."""
    queue = iter(parameters)
    for stride, norm in ((2, False), (2, True), (2, True), (1, True)):
        x = F.conv2d(x, next(queue), next(queue), stride=stride, padding=1)
        if norm:
            mean = x.mean((2, 3), keepdim=True)
            x = (x - mean) / torch.sqrt(((x - mean) ** 2).mean((2, 3), keepdim=True) + 1e-5)
        x = torch.where(x > 0, x, 0.2 * x)
    x = F.conv2d(x, next(queue), next(queue), padding=1)
    assert next(queue, None) is None
    return x


@pytest.mark.parametrize("in_channels", [1, 3])
def test_discriminator_is_the_papers_architecture(in_channels):
    network = PatchDiscriminator(in_channels, base_channels=4).double()
    initialise(network, torch.Generator().manual_seed(0))
    image = torch.rand(2, in_channels, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = stated(image, [p.detach() for p in network.parameters()])
    assert expected.shape == (2, 1, 4, 6)
    torch.testing.assert_close(network(image).detach(), expected, rtol=1e-9, atol=1e-9)


def test_full_size_discriminator_has_the_papers_parameters_and_output():
    network = PatchDiscriminator()
    assert sum(p.numel() for p in network.parameters()) == 2_762_689
    assert network.to("meta")(torch.empty(1, 1, 256, 256, device="meta")).shape == (1, 1, 30, 30)


@pytest.mark.parametrize(("strided_layers", "pixels"), [(3, 70), (2, 34), (1, 16)])
def test_an_output_sees_exactly_70_by_70_pixels_or_fewer(strided_layers, pixels):
    network = PatchDiscriminator(1, 4, strided_layers)
    for parent in list(network.modules()):
        if isinstance(parent, nn.Sequential):  # instance norm would let every output see the whole image
            for name, child in parent.named_children():
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, nn.Identity())
    for p in network.parameters():
        nn.init.constant_(p, 0.01)  # positive weights: no gradient cancels
    image = torch.ones(1, 1, 256, 256, requires_grad=True)
    network(image)[0, 0, 15, 15].backward()
    rows, cols = (image.grad[0, 0] != 0).nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == pixels
    assert cols.max() - cols.min() + 1 == pixels
    assert len(rows) == pixels**2


def test_discriminator_says_which_sizes_it_takes():
    with pytest.raises(ValueError, match="at least 24.*not 20 x 32"):
        PatchDiscriminator(base_channels=4)(torch.zeros(1, 1, 20, 32))
    assert PatchDiscriminator(base_channels=4)(torch.zeros(1, 1, 24, 24)).shape == (1, 1, 1, 1)


def test_gradients_at_batch_1_are_those_of_float64():
    network = PatchDiscriminator(1, base_channels=4)
    initialise(network, torch.Generator().manual_seed(0))
    for i in (1, 4, 7, 10):  # smooth, so that a float32 rounding cannot flip a mask
        network.layers[i] = nn.Softplus()
    for p in network.parameters():
        p.data.mul_(5)
    exact = copy.deepcopy(network).double()
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    gradients = []
    for twin, x in ((network, image), (exact, image.double())):
        x = x.clone().requires_grad_()
        ((1 - twin(x)) ** 2).mean().backward()
        gradients.append([x.grad, *(p.grad for p in twin.parameters())])
    scale = max(g.abs().max() for g in gradients[1])
    for single, double in zip(*gradients, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=float(1e-5 * scale))
