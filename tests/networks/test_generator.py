"""The generator against an independent statement of the paper's architecture, and its gradients against float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.networks.generator import ResnetGenerator, initialise


def stated(x: torch.Tensor, parameters: list[torch.Tensor], n_blocks: int) -> torch.Tensor:
    """c7s1-64, d128, d256, n x R256, u128, u64, c7s1-1, with the parameters taken in this order."""
    queue = iter(parameters)

    def normal(y):
        mean = y.mean((2, 3), keepdim=True)
        return (y - mean) / torch.sqrt(((y - mean) ** 2).mean((2, 3), keepdim=True) + 1e-5)

    def mirrored(y, margin):
        return F.pad(y, (margin,) * 4, mode="reflect")

    x = normal(F.conv2d(mirrored(x, 3), next(queue), next(queue))).clamp(min=0)
    for _ in range(2):
        x = normal(F.conv2d(x, next(queue), next(queue), stride=2, padding=1)).clamp(min=0)
    for _ in range(n_blocks):
        y = normal(F.conv2d(mirrored(x, 1), next(queue), next(queue))).clamp(min=0)
        x = x + normal(F.conv2d(mirrored(y, 1), next(queue), next(queue)))
    for _ in range(2):
        x = normal(F.conv_transpose2d(x, next(queue), next(queue), stride=2, padding=1, output_padding=1)).clamp(min=0)
    x = torch.tanh(F.conv2d(mirrored(x, 3), next(queue), next(queue)))
    assert next(queue, None) is None
    return x


def small(in_channels=1, out_channels=1, n_blocks=2, base_channels=4) -> ResnetGenerator:
    network = ResnetGenerator(in_channels, out_channels, base_channels, n_blocks)
    initialise(network, torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (3, 1), (1, 2)])
def test_generator_is_the_papers_architecture(in_channels, out_channels):
    network = small(in_channels, out_channels).double()
    image = torch.rand(2, in_channels, 32, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = stated(image, [p.detach() for p in network.parameters()], n_blocks=2)
    torch.testing.assert_close(network(image).detach(), expected, rtol=1e-9, atol=1e-9)


def test_full_size_generator_has_the_papers_parameters_shape_and_operations():
    network = ResnetGenerator()
    assert sum(p.numel() for p in network.parameters()) == 11_365_633
    assert not list(network.buffers())  # no running statistics: training and synthesis compute the same

    multiplications = 0

    def count(layer, inputs, output):
        nonlocal multiplications
        taps = layer.weight[0, 0].numel()
        if isinstance(layer, nn.ConvTranspose2d):
            multiplications += inputs[0].numel() * layer.out_channels * taps
        else:
            multiplications += output.numel() * layer.in_channels * taps

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    with torch.device("meta"):
        on_meta = network.to("meta")(torch.empty(1, 1, 256, 256))
    assert on_meta.shape == (1, 1, 256, 256)
    # By hand, a 256 x 256 slice: two 7 x 7 ends, two down, 18 in the blocks, two up.
    ends = 2 * 256**2 * 64 * 49
    halvings = 2 * 128**2 * 64 * 128 * 9
    upper = 2 * 64**2 * 128 * 256 * 9
    blocks = 18 * 64**2 * 256**2 * 9
    assert multiplications == ends + halvings // 2 + upper // 2 + blocks + halvings // 2 + upper // 2
    assert 48e9 < multiplications < 50e9


def test_initialisation_is_normal_of_sd_0_02_and_repeats():
    network, again = ResnetGenerator(base_channels=16), ResnetGenerator(base_channels=16)
    for generator in (network, again):
        initialise(generator, torch.Generator().manual_seed(5))
    weights = torch.cat([p.flatten() for name, p in network.named_parameters() if name.endswith("weight")])
    assert abs(weights.std().item() - 0.02) < 2e-4
    assert abs(weights.mean().item()) < 2e-4
    assert all((p == 0).all() for name, p in network.named_parameters() if name.endswith("bias"))
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("shape", [(30, 32), (32, 33), (4, 32)])
def test_generator_says_which_sizes_it_takes(shape):
    with pytest.raises(ValueError, match=f"multiples of 4.*{shape[0]} x {shape[1]}"):
        small()(torch.zeros(1, 1, *shape))


def smooth_twin(network: nn.Module) -> nn.Module:
    """The network with Softplus for ReLU: a float32 rounding cannot flip a mask, so gradients can be compared."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if isinstance(module, nn.Sequential):
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU):
                    setattr(module, name, nn.Softplus())
    return twin


@pytest.mark.parametrize("convolutions", ["plain", "fast"])
def test_gradients_at_batch_1_are_those_of_float64(convolutions):
    network = smooth_twin(small(base_channels=32))
    for p in network.parameters():
        p.data.mul_(5)  # activations of order 1, as after some training
    exact = copy.deepcopy(network).double()
    if convolutions == "fast":
        with_fast_convolutions(network)
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    target = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    gradients = []
    for twin, x, y in ((network, image, target), (exact, image.double(), target.double())):
        x = x.clone().requires_grad_()
        # twice through, as in a cycle: the gradient of the second pass enters the first through its output
        ((twin(twin(x)) - y) ** 2).mean().backward()
        gradients.append([x.grad, *(p.grad for p in twin.parameters())])
    scale = max(g.abs().max() for g in gradients[1])
    for single, double in zip(*gradients, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=float(2e-5 * scale))


def test_flat_slices_give_finite_outputs_and_gradients():
    network = small(n_blocks=9)
    network(torch.full((1, 1, 32, 32), -1.0)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
