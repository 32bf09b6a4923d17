"""A volume comes together again from overlapping patches, whatever its size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from synthct.networks.patches import SlabNetwork, gaussian, patch_starts

PATCH = (4, 8, 6)


class Identity(nn.Module):
    """Its output is the last channel; it remembers the sizes of what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, volume: Tensor) -> Tensor:
        self.sizes.append(tuple(volume.shape[-3:]))
        return volume[:, -1:]


class Numbered(nn.Module):
    """Its n-th output is n everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.n = -1

    def forward(self, volume: Tensor) -> Tensor:
        self.n += 1
        return torch.full_like(volume[:, :1], self.n)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "size",
    [
        PATCH,
        (8, 16, 12),
        (9, 11, 13),  # no multiples
        (3, 5, 2),  # smaller than the patch
        (1, 1, 1),
        (2, 30, 6),  # smaller, larger and as large
    ],
)
def test_an_identity_gives_the_volume_back_exactly(size, channels):
    slices, rows, cols = size
    volume = torch.randn(2, slices, channels, rows, cols, generator=torch.Generator().manual_seed(0))
    network = SlabNetwork(Identity(), channels, PATCH)
    sct = network(volume.flatten(1, 2))
    assert sct.shape == (2, *size) and sct.dtype == torch.float32
    torch.testing.assert_close(sct, volume[:, :, -1], rtol=1e-6, atol=1e-6)
    assert set(network.network.sizes) == {PATCH}  # as in training, whatever the volume


def test_a_slab_of_one_patch_is_what_the_network_makes_of_it_with_its_gradient():
    inner = nn.Conv3d(1, 1, 3, padding=1)
    volume = torch.randn(1, *PATCH)
    sct = SlabNetwork(inner, 1, PATCH)(volume)
    assert torch.equal(sct, inner(volume[:, None])[:, 0])
    sct.mean().backward()
    assert inner.weight.grad.abs().sum() > 0


def test_a_volume_smaller_than_the_patch_is_continued_on_both_sides():
    seen = []
    network = SlabNetwork(nn.Identity(), 1, (4, 4, 4))
    network.network.register_forward_hook(lambda _, volume, __: seen.append(volume[0][0, 0, :, 0, 0].tolist()))
    network(torch.arange(2.0)[None, :, None, None].expand(1, 2, 4, 4))
    assert seen == [[0, 0, 1, 1]]


def test_where_patches_overlap_the_nearer_middle_counts_more():
    network = SlabNetwork(Numbered(), 1, (8, 4, 4))
    sct = network(torch.zeros(1, 12, 4, 4))[0, :, 0, 0]
    assert sct[:4].abs().max() < 1e-6 and (sct[8:] - 1).abs().max() < 1e-6  # in one patch alone
    assert 0 < sct[4] < 0.1 < sct[5] < 0.5 < sct[6] < sct[7] < 1
    torch.testing.assert_close(sct[5], 1 - sct[6])


@pytest.mark.parametrize(("size", "patch"), [(4, 4), (5, 4), (12, 8), (160, 96), (256, 128), (257, 128), (9, 5)])
def test_patches_reach_from_end_to_end_and_overlap_by_half_at_least(size, patch):
    starts = patch_starts(size, patch)
    assert starts[0] == 0 and starts[-1] == size - patch
    assert all(0 < after - before <= patch / 2 + 1 for before, after in zip(starts, starts[1:]))


def test_weights_are_a_gaussian_about_the_middle_and_positive():
    weight = gaussian((96, 128, 5))
    assert weight.shape == (96, 128, 5) and weight.min() > 0 and weight.max() == pytest.approx(1, abs=0.01)
    assert torch.equal(weight, weight.flip(0, 1, 2))
    assert weight[48 + 12, 64, 2] / weight[48, 64, 2] == pytest.approx(float(torch.exp(torch.tensor(-0.5))), rel=0.05)
