"""What networks are shown: the slice with its neighbours in a fixed order, and what counts in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from noise_stacks import stack_of

from synthct.imaging.coding import Coding, GreyLevels, MrStatistics, MrWindow
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput, padded_to_multiple
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack

N_SLICES = 4


@dataclass(frozen=True)
class AsItIs(Coding):
    """Scanner units and HU, -1 outside."""

    mr_outside = ct_outside = -1.0

    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        assert mr.dtype == np.float32 and inside.dtype == bool and len(statistics) == len(mr)
        return np.where(inside, mr, self.mr_outside).astype(np.float32)

    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        assert hu.dtype == np.float32 and inside.dtype == bool and hu.ndim == 2
        return np.where(inside, hu, self.ct_outside).astype(np.float32)

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return output

    @property
    def hu_range(self) -> tuple[float, float]:
        return -1000.0, 3000.0


def numbered(channels: int = 2) -> SliceStack:
    """Slice i of channel c holds 10 c + i scanner units everywhere, its CT 100 + i HU; channels differ in step."""
    steps = (0.5, 0.25, 0.125)[:channels]
    value = 10 * np.arange(channels)[:, None] + np.arange(N_SLICES)
    mr = np.broadcast_to((value / np.array(steps)[:, None])[..., None, None], (channels, N_SLICES, 6, 5))
    ct = np.broadcast_to(100 + np.arange(N_SLICES)[:, None, None], (N_SLICES, 6, 5))
    regions = np.full(ct.shape, HEAD | MR_KNOWN | CT_KNOWN, np.uint8)
    statistics = (MrStatistics.of(np.arange(9.0)),) * channels
    return SliceStack("P", mr.astype(np.int16), ct.astype(np.int16), regions, "sagittal", steps, statistics)


def shown(neighbours: int, i: int, channels: int = 2) -> list[float]:
    """The values of the input's channels around slice i, in their order."""
    image = NetworkInput(InputPlan("sagittal", neighbours, channels), AsItIs()).mr(numbered(channels), i)
    assert image.dtype == np.float32 and image.shape == (channels * (2 * neighbours + 1), 6, 5)
    assert (image == image[:, :1, :1]).all()
    return image[:, 0, 0].tolist()


def test_all_channels_of_a_slice_stand_together_from_the_first_neighbour_to_the_last():
    assert shown(0, 2) == [2, 12]
    assert shown(1, 2) == [1, 11, 2, 12, 3, 13]
    assert shown(1, 2, channels=1) == [1, 2, 3]
    assert shown(1, 1, channels=3) == [0, 10, 20, 1, 11, 21, 2, 12, 22]


def test_at_the_ends_the_last_slice_is_repeated():
    assert shown(2, 0, 1) == [0, 0, 0, 1, 2]
    assert shown(2, 3, 1) == [1, 2, 3, 3, 3]
    assert shown(1, 0) == [0, 10, 0, 10, 1, 11]
    assert shown(5, 1, 1) == [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("neighbours", [0, 1, 3])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_middle_of_the_input_is_the_slice_itself(neighbours, channels):
    own_input = NetworkInput(InputPlan("sagittal", neighbours, channels), AsItIs())
    alone = NetworkInput(InputPlan("sagittal", 0, channels), AsItIs())
    stack = numbered(channels)
    batch = np.stack([own_input.mr(stack, i) for i in range(N_SLICES)])
    middle = own_input.middle(batch)
    assert middle.shape == (N_SLICES, channels, 6, 5) and np.shares_memory(middle, batch)
    np.testing.assert_array_equal(middle, np.stack([alone.mr(stack, i) for i in range(N_SLICES)]))
    np.testing.assert_array_equal(own_input.middle(batch[1]), middle[1])


def test_a_pair_is_mr_with_neighbours_and_ct_without():
    image = NetworkInput(InputPlan("sagittal", 1, 2), AsItIs()).paired(numbered(), 1)
    assert {name: (array.shape, array.dtype) for name, array in image.items()} == {
        name: ((channels, 6, 5), np.float32) for name, channels in (("mr", 6), ("ct", 1), ("known", 1), ("head", 1))
    }
    assert image["mr"][:, 0, 0].tolist() == [0, 10, 1, 11, 2, 12] and (image["ct"] == 101).all()


def test_known_leaves_out_the_head_beyond_a_field_of_view_and_head_is_where_both_are_known():
    regions = [0, MR_KNOWN, CT_KNOWN, MR_KNOWN | CT_KNOWN]
    stack = numbered(1)
    stack.regions[2, 0, :4], stack.regions[2, 1, :4] = regions, [HEAD | region for region in regions]
    image = NetworkInput(InputPlan("sagittal", 0, 1), AsItIs()).paired(stack, 2)
    assert image["known"][0, :2, :4].tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]
    assert image["head"][0, :2, :4].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]


def test_what_is_outside_is_left_to_the_coding():
    stack = numbered(1)
    stack.mr[0, 1, 0], stack.ct[1, :, 0] = OUTSIDE, OUTSIDE
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), AsItIs())
    mr, ct = network_input.mr(stack, 1)[0], network_input.ct(stack, 1)[0]
    assert (mr[0] == -1).all() and (mr[1:] == 1).all()
    assert (ct[:, 0] == -1).all() and (ct[:, 1:] == 101).all()


def test_slices_are_shown_whose_own_mr_shows_anything():
    stack = numbered()
    stack.mr[:, 0] = OUTSIDE
    stack.mr[0, 3] = OUTSIDE  # the other channel still shows it
    for neighbours in (0, 2):
        network_input = NetworkInput(InputPlan("sagittal", neighbours, 2), AsItIs())
        assert network_input.shown(stack).tolist() == [1, 2, 3]
    stack.mr[:] = OUTSIDE
    empty = network_input.shown(stack)
    assert empty.shape == (0,) and np.issubdtype(empty.dtype, np.integer)


def test_a_slice_that_a_window_makes_black_is_not_shown():
    stack = numbered(1)
    high = GreyLevels(mr_windows=(MrWindow("fixed", 1.9, 5),))
    assert NetworkInput(InputPlan("sagittal", 0, 1), high).shown(stack).tolist() == [2, 3]


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_from_a_file_networks_are_shown_the_same_as_from_memory(tmp_path, plane):
    stack = stack_of()
    stack.save(tmp_path / "P.npz")
    windows = (MrWindow("percentile", 0.5, 99.5), MrWindow("fixed", 0, 500))
    network_input = NetworkInput(InputPlan(plane, 1, 2), GreyLevels(mr_windows=windows))
    from_file, in_memory = SliceFacts.load(tmp_path / "P.npz", plane).slices(), stack.in_plane(plane)
    np.testing.assert_array_equal(network_input.shown(from_file), network_input.shown(in_memory))
    for i in range(in_memory.n_slices):
        first, second = (network_input.paired(case, i) for case in (from_file, in_memory))
        for name in ("mr", "ct", "known", "head"):
            np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("shape", [(1, 12, 16), (2, 3, 9, 16), (12, 17), (5, 4, 1, 1)])
@pytest.mark.parametrize("multiple", [1, 4, 32])
def test_slices_are_padded_below_and_to_the_right_up_to_a_multiple(shape, multiple):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    padded = padded_to_multiple(image, multiple, -1.0)
    rows, cols = shape[-2:]
    assert padded.dtype == image.dtype and padded.shape[:-2] == image.shape[:-2]
    assert all(0 <= size - least < multiple for size, least in zip(padded.shape[-2:], (rows, cols)))
    assert padded.shape[-2] % multiple == padded.shape[-1] % multiple == 0
    np.testing.assert_array_equal(padded[..., :rows, :cols], image)
    assert (padded[..., rows:, :] == -1).all() and (padded[..., cols:] == -1).all()


# -- slabs of slices ---------------------------------------------------------------------------------------------------


def slab(size: int, i: int, channels: int = 2) -> dict[str, np.ndarray]:
    """The values of a slab's slices: one number each, for all pixels are alike."""
    network_input = NetworkInput(InputPlan("sagittal", 0, channels), AsItIs(), slab=size)
    images = network_input.paired(numbered(channels), i)
    assert {image.dtype for image in images.values()} == {np.dtype(np.float32)}
    assert all((image == image[:, :1, :1]).all() for image in images.values())
    return {name: image[:, 0, 0] for name, image in images.items()}


@pytest.mark.parametrize(("i", "slices"), [(0, [0, 1, 2]), (1, [0, 1, 2]), (2, [1, 2, 3]), (3, [1, 2, 3])])
def test_each_slice_of_a_slab_has_its_own_mr_and_ct_and_the_slab_lies_within_the_stack(i, slices):
    images = slab(3, i)
    assert images["mr"].tolist() == [10 * channel + number for number in slices for channel in (0, 1)]
    assert images["ct"].tolist() == [100 + number for number in slices]
    assert images["head"].tolist() == images["known"].tolist() == [1, 1, 1]


def test_a_slab_of_more_slices_than_there_are_repeats_the_outermost_and_learns_nothing_from_them():
    for i in range(N_SLICES):
        images = slab(7, i, channels=1)
        assert images["mr"].tolist() == [0, 0, 1, 2, 3, 3, 3]
        assert images["ct"].tolist() == [100, 100, 101, 102, 103, 103, 103]
        assert images["head"].tolist() == [0, 1, 1, 1, 1, 0, 0]


def test_the_middle_of_a_slab_is_a_slice_of_all_channels():
    network_input = NetworkInput(InputPlan("sagittal", 0, 2), AsItIs(), slab=3)
    middle = network_input.middle(network_input.paired(numbered(), 2)["mr"])
    assert middle[:, 0, 0].tolist() == [2, 12]


def test_a_slab_of_one_slice_is_the_slice_between_its_neighbours():
    network_input = NetworkInput(InputPlan("sagittal", 1, 2), AsItIs())
    image = network_input.paired(numbered(), 0)
    assert np.array_equal(image["mr"], network_input.mr(numbered(), 0))
    assert np.array_equal(image["ct"], network_input.ct(numbered(), 0))
