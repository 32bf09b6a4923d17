"""The cached slices of a case on disk."""

from __future__ import annotations

import numpy as np
import pytest

from synthct.errors import PlanError
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack

RNG = np.random.default_rng(0)


def stack_of(mr: bool = True, ct: bool = True) -> SliceStack:
    shape = (6, 24, 20)
    return SliceStack(
        "P.1",
        RNG.integers(0, 256, (2, *shape), np.uint8) if mr else None,
        RNG.integers(0, 256, shape, np.uint8) if ct else None,
        RNG.integers(0, 8, shape, np.uint8),
        {"made_from": "key", "grid": [1.5, 2]},
    )


@pytest.mark.parametrize(("mr", "ct"), [(True, True), (True, False), (False, True)])
def test_a_stack_is_the_same_after_saving(tmp_path, mr, ct):
    stack = stack_of(mr, ct)
    stack.save(tmp_path / "deeper" / "P.1.npz")
    back = SliceStack.load(tmp_path / "deeper" / "P.1.npz")
    assert (back.patient, back.info) == (stack.patient, stack.info)
    for name in ("mr", "ct", "regions"):
        one, other = getattr(back, name), getattr(stack, name)
        assert (one is None and other is None) or (one.dtype == np.uint8 and np.array_equal(one, other))
    assert SliceStack.load_info(tmp_path / "deeper" / "P.1.npz") == stack.info
    assert len(list((tmp_path / "deeper").iterdir())) == 1


def test_the_head_fraction_counts_pixels_that_are_head_and_known():
    regions = np.zeros((3, 2, 2), np.uint8)
    regions[0] = HEAD | MR_KNOWN | CT_KNOWN
    regions[1] = [[HEAD | MR_KNOWN, HEAD], [MR_KNOWN | CT_KNOWN, HEAD | CT_KNOWN]]
    stack = SliceStack("P", None, None, regions, {})
    assert stack.head_fraction(MR_KNOWN).tolist() == [1, 0.25, 0]
    assert stack.head_fraction(CT_KNOWN).tolist() == [1, 0.25, 0]
    assert stack.head_fraction(MR_KNOWN | CT_KNOWN).tolist() == [1, 0, 0]


def test_a_missing_stack_is_told_with_the_remedy(tmp_path):
    with pytest.raises(PlanError, match="P.npz is missing; run synthct_plan_and_preprocess"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 no zip", b"\x93NUMPY\x01\x00"])
def test_what_is_no_stack_is_told(tmp_path, content):
    (tmp_path / "P.npz").write_bytes(content)
    with pytest.raises(PlanError, match="P.npz is damaged .*; delete it and run"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None


def test_another_array_file_is_told(tmp_path):
    with open(tmp_path / "P.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(PlanError, match="damaged"):
        SliceStack.load(tmp_path / "P.npz")
    assert SliceStack.load_info(tmp_path / "P.npz") is None


def test_damage_anywhere_is_told_or_does_no_harm(tmp_path):
    stack_of().save(tmp_path / "P.npz")
    whole = (tmp_path / "P.npz").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(whole)
        place = int(rng.integers(len(whole)))
        damaged[place : place + 8] = rng.bytes(8)
        (tmp_path / "P.npz").write_bytes(damaged if rng.random() < 0.8 else whole[:place])
        SliceStack.load_info(tmp_path / "P.npz")
        try:
            SliceStack.load(tmp_path / "P.npz")
        except PlanError:
            pass
