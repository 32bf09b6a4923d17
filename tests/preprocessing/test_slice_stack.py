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


@pytest.mark.parametrize(("mr", "ct"), [(True, True), (True, False), (False, True)])
def test_a_slice_read_alone_is_that_of_the_whole_stack(tmp_path, mr, ct):
    stack = stack_of(mr, ct)
    stack.save(tmp_path / "P.1.npz")
    facts = SliceStack.load_facts(tmp_path / "P.1.npz")
    reader = facts.reader
    assert (facts.patient, reader.mr_channels, reader.has_ct, facts.paired) == ("P.1", 2 * mr, ct, mr and ct)
    for i in (5, 0, 3, 1, 2, 4):
        assert np.array_equal(reader.regions(i), stack.regions[i])
        assert not mr or np.array_equal(reader.mr(i), stack.mr[:, i])
        assert not ct or np.array_equal(reader.ct(i), stack.ct[i])


def test_the_facts_are_those_of_the_stack(tmp_path):
    stack = stack_of()
    stack.save(tmp_path / "P.npz")
    facts = SliceStack.load_facts(tmp_path / "P.npz")
    for known in (MR_KNOWN, CT_KNOWN, MR_KNOWN | CT_KNOWN):
        assert np.array_equal(facts.head_fraction(known), stack.head_fraction(known))
    np.testing.assert_allclose(facts.contrast, [stack.mr[0].std(axis=(1, 2)), stack.ct.std(axis=(1, 2))], rtol=1e-6)


def test_any_memory_layout_of_the_arrays_is_stored_right(tmp_path):
    stack = stack_of()
    turned = SliceStack("P", np.asfortranarray(stack.mr), stack.ct[::-1], np.asfortranarray(stack.regions), {})
    turned.save(tmp_path / "P.npz")
    back, reader = SliceStack.load(tmp_path / "P.npz"), SliceStack.load_facts(tmp_path / "P.npz").reader
    for name in ("mr", "ct", "regions"):
        assert np.array_equal(getattr(back, name), getattr(turned, name))
    assert np.array_equal(reader.ct(1), stack.ct[4])
    assert np.array_equal(reader.mr(1), stack.mr[:, 1])


def test_a_file_that_shrank_or_changed_under_the_reader_is_told(tmp_path):
    stack_of().save(tmp_path / "P.npz")
    reader = SliceStack.load_facts(tmp_path / "P.npz").reader
    whole = (tmp_path / "P.npz").read_bytes()
    (tmp_path / "P.npz").write_bytes(whole[:100])
    with pytest.raises(PlanError, match="P.npz is damaged"):
        reader.ct(3)
    stack_of().save(tmp_path / "P.npz")  # other noise
    with pytest.raises(PlanError, match="P.npz is damaged"):
        [reader.ct(i) for i in range(6)]
    (tmp_path / "P.npz").unlink()
    with pytest.raises(PlanError, match="P.npz is missing"):
        reader.ct(3)


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
    path, stack = tmp_path / "P.npz", stack_of()
    stack.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(whole)
        place = int(rng.integers(len(whole)))
        damaged[place : place + 8] = rng.bytes(8)
        path.write_bytes(damaged if rng.random() < 0.8 else whole[:place])
        SliceStack.load_info(path)
        try:
            SliceStack.load(path)
        except PlanError:
            pass
        try:
            reader = SliceStack.load_facts(path).reader
            assert all(np.array_equal(reader.ct(i), stack.ct[i]) for i in range(6))
        except PlanError:
            pass
