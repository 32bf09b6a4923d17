"""The cached slices of a case: on disk, and in every plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from noise_stacks import RNG, SHAPE, assert_same, stack_of

from synthct.errors import PlanError
from synthct.imaging.coding import MrStatistics
from synthct.imaging.planes import turned
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack, one_after_the_other


@pytest.mark.parametrize(("mr", "ct"), [(True, True), (True, False), (False, True)])
def test_a_stack_is_the_same_after_saving(tmp_path, mr, ct):
    stack = stack_of(mr, ct)
    stack.save(tmp_path / "deeper" / "P.1.npz")
    back = SliceStack.load(tmp_path / "deeper" / "P.1.npz")
    assert_same(back, stack)
    assert back.nbytes == (4 * mr + 2 * ct + 1) * np.prod(SHAPE)
    assert SliceStack.load_info(tmp_path / "deeper" / "P.1.npz") == stack.info
    assert len(list((tmp_path / "deeper").iterdir())) == 1


def test_a_stack_of_another_plane_is_the_same_after_saving(tmp_path):
    stack = replace(stack_of(), plane="coronal")
    stack.save(tmp_path / "P.1.npz")
    assert_same(SliceStack.load(tmp_path / "P.1.npz"), stack)


def test_any_memory_layout_of_the_arrays_is_stored_right(tmp_path):
    stack = stack_of()
    odd = replace(stack, mr=np.asfortranarray(stack.mr), ct=stack.ct[::-1], regions=np.asfortranarray(stack.regions))
    odd.save(tmp_path / "P.1.npz")
    assert_same(SliceStack.load(tmp_path / "P.1.npz"), odd)
    reader = SliceFacts.load(tmp_path / "P.1.npz").reader
    np.testing.assert_array_equal(reader.ct_slice(1), stack.ct[4])
    np.testing.assert_array_equal(reader.mr_slice(1), stack.mr[:, 1])


# -- other planes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slices_of_another_plane_are_views_of_the_same_voxels(plane):
    stack = stack_of()
    other = stack.in_plane(plane)
    assert (other.plane, other.patient, other.mr_steps, other.info) == (plane, "P.1", stack.mr_steps, stack.info)
    assert other.mr_statistics == stack.mr_statistics and other.n_slices == len(other.regions)
    for name in ("mr", "ct", "regions"):
        assert np.shares_memory(getattr(other, name), getattr(stack, name))
        np.testing.assert_array_equal(getattr(other, name), turned(getattr(stack, name), "sagittal", plane))
    assert_same(other.in_plane("sagittal"), stack)


def test_a_scan_alone_has_other_planes_too():
    for stack in (stack_of(ct=False), stack_of(mr=False)):
        axial = stack.in_plane("axial")
        assert (axial.mr is None, axial.ct is None) == (stack.mr is None, stack.ct is None)


def alone(modality: str, shape: tuple[int, int, int]) -> SliceStack:
    """A head of one scan, its slices full of it; a border of two voxels is not head."""
    head = np.zeros(shape, bool)
    head[2:-2, 2:-2, 2:-2] = True
    image = np.where(head, RNG.integers(0, 1000, shape), OUTSIDE).astype(np.int16)
    regions = (np.uint8(MR_KNOWN if modality == "mr" else CT_KNOWN) + HEAD * head).astype(np.uint8)
    statistics = (MrStatistics.of(image[head].astype(float)),)
    if modality == "ct":
        return SliceStack("P", None, image, regions, info={"grid": "of the CT"})
    return SliceStack("P", image[None], None, regions, "sagittal", (1.0,), statistics, {"grid": "of the MR", "k": 1})


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
@pytest.mark.parametrize(("mr_shape", "ct_shape"), [((9, 20, 16), (11, 24, 12)), ((8, 20, 24), (8, 20, 24))])
def test_scans_that_are_not_aligned_are_never_mixed_whatever_the_plane(tmp_path, plane, mr_shape, ct_shape):
    mr, ct = alone("mr", mr_shape), alone("ct", ct_shape)
    both = one_after_the_other(mr, ct).in_plane(plane)
    head = (both.regions & HEAD) > 0
    in_mr, in_ct = ((both.regions & known) > 0 for known in (MR_KNOWN, CT_KNOWN))
    shows_mr, shows_ct = ((head & known).any(axis=(1, 2)) for known in (in_mr, in_ct))
    assert shows_mr.any() and shows_ct.any() and not (shows_mr & shows_ct).any()
    assert not (in_mr & in_ct).any()
    np.testing.assert_array_equal(both.mr[0] != OUTSIDE, head & in_mr)
    np.testing.assert_array_equal(both.ct != OUTSIDE, head & in_ct)
    # Every slice with head is one of the scan alone in that plane, in their order.
    for image, scan in ((both.mr[0][shows_mr], mr.in_plane(plane).mr[0]), (both.ct[shows_ct], ct.in_plane(plane).ct)):
        shown = scan[(scan != OUTSIDE).any(axis=(1, 2))]
        assert len(image) == len(shown)
        for got, wanted in zip(image, shown):
            np.testing.assert_array_equal(got[got != OUTSIDE], wanted[wanted != OUTSIDE])
    assert both.info["grid"] == "of the MR" and both.info["k"] == 1
    n_mr = both.info["mr_slices"]
    assert shows_mr[:n_mr].sum() == shows_mr.sum() and not shows_ct[:n_mr].any()
    both.save(tmp_path / "P.npz")
    facts = SliceFacts.load(tmp_path / "P.npz")
    assert not facts.paired and facts.reader.mr_channels == 1 and facts.reader.has_ct
    assert facts.head_fraction(MR_KNOWN).any() and facts.head_fraction(CT_KNOWN).any()


# -- facts and faults --------------------------------------------------------------------------------------------------


def test_the_head_fraction_counts_pixels_that_are_head_and_known():
    regions = np.zeros((3, 2, 2), np.uint8)
    regions[0] = HEAD | MR_KNOWN | CT_KNOWN
    regions[1] = [[HEAD | MR_KNOWN, HEAD], [MR_KNOWN | CT_KNOWN, HEAD | CT_KNOWN]]
    stack = SliceStack("P", None, None, regions)
    assert stack.head_fraction(MR_KNOWN).tolist() == [1, 0.25, 0]
    assert stack.head_fraction(CT_KNOWN).tolist() == [1, 0.25, 0]
    assert stack.head_fraction(MR_KNOWN | CT_KNOWN).tolist() == [1, 0, 0]


def test_a_missing_stack_is_reported_with_the_remedy(tmp_path):
    with pytest.raises(PlanError, match="P.npz is missing; run synthct_plan_and_preprocess"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 no zip", b"\x93NUMPY\x01\x00"])
def test_what_is_no_stack_is_reported(tmp_path, content):
    (tmp_path / "P.npz").write_bytes(content)
    with pytest.raises(PlanError, match="P.npz is damaged .*; delete it and run"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None


def test_another_array_file_is_reported(tmp_path):
    with open(tmp_path / "P.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(PlanError, match="damaged"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None
