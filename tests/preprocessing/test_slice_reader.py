"""Cached slices one at a time, and the facts of each in every plane; damaged files never give wrong pixels."""

from __future__ import annotations

import numpy as np
import pytest
from noise_stacks import stack_of

from synthct.errors import PlanError
from synthct.imaging.intensity import to_grey_levels
from synthct.preprocessing.slice_reader import SliceFacts, SliceReader
from synthct.preprocessing.slice_stack import CT_KNOWN, MR_KNOWN, OUTSIDE, SliceStack

PLANES = ["sagittal", "axial", "coronal"]


@pytest.mark.parametrize(("mr", "ct"), [(True, True), (True, False), (False, True)])
def test_a_slice_read_alone_is_that_of_the_whole_stack(tmp_path, mr, ct):
    stack = stack_of(mr, ct)
    stack.save(tmp_path / "P.1.npz")
    facts = SliceFacts.load(tmp_path / "P.1.npz")
    reader = facts.reader
    assert (facts.patient, reader.mr_channels, reader.has_ct, facts.paired) == ("P.1", 2 * mr, ct, mr and ct)
    assert (reader.n_slices, reader.plane, reader.mr_steps) == (6, "sagittal", stack.mr_steps)
    for statistics, other in zip(reader.mr_statistics, stack.mr_statistics, strict=True):
        np.testing.assert_array_equal(statistics.percentiles, other.percentiles)
    for i in (5, 0, 3, 1, 2, 4):
        for name, there in (("regions_slice", True), ("mr_slice", mr), ("ct_slice", ct)):
            if there:
                got, wanted = getattr(reader, name)(i), getattr(stack, name)(i)
                assert got.dtype == wanted.dtype and np.array_equal(got, wanted)


@pytest.mark.parametrize("plane", PLANES)
def test_the_facts_are_those_of_the_stack_in_that_plane(tmp_path, plane):
    stack = stack_of()
    stack.save(tmp_path / "P.npz")
    facts, turned = SliceFacts.load(tmp_path / "P.npz", plane), stack.in_plane(plane)
    assert (facts.plane, facts.n_slices, facts.slice_size) == (plane, turned.n_slices, turned.regions.shape[1:])
    for known in (MR_KNOWN, CT_KNOWN, MR_KNOWN | CT_KNOWN):
        np.testing.assert_array_equal(facts.head_fraction(known), turned.head_fraction(known))
    statistics = stack.mr_statistics[0]
    windows = [(statistics.percentile(0.5), statistics.percentile(99.5)), (-600.0, 1400.0)]
    for contrast, stored, step, window in zip(facts.contrast, (turned.mr[0], turned.ct), (0.5, 1.0), windows):
        grey = np.where(stored == OUTSIDE, 0, to_grey_levels(stored * np.float32(step), window))
        np.testing.assert_allclose(contrast, grey.std(axis=(1, 2)), rtol=1e-5)


def test_without_a_plane_the_facts_are_those_of_the_plane_that_is_stored(tmp_path):
    stack_of().in_plane("coronal").save(tmp_path / "P.npz")
    assert SliceFacts.load(tmp_path / "P.npz").plane == "coronal"


@pytest.mark.parametrize(("mr", "ct"), [(True, False), (False, True)])
def test_a_scan_that_is_not_there_has_neither_contrast_nor_pixels(tmp_path, mr, ct):
    stack_of(mr, ct).save(tmp_path / "P.npz")
    facts = SliceFacts.load(tmp_path / "P.npz", "axial")
    assert facts.contrast[0].any() == mr and facts.contrast[1].any() == ct


@pytest.mark.parametrize("plane", PLANES)
def test_slices_of_any_plane_are_those_of_the_stack(tmp_path, plane):
    stack = stack_of()
    stack.save(tmp_path / "P.npz")
    facts, turned = SliceFacts.load(tmp_path / "P.npz", plane), stack.in_plane(plane)
    slices = facts.slices()
    assert isinstance(slices, SliceReader) == (plane == "sagittal")  # read one at a time where they are stored so
    assert slices.n_slices == facts.n_slices
    for i in range(facts.n_slices):
        np.testing.assert_array_equal(slices.mr_slice(i), turned.mr_slice(i))
        np.testing.assert_array_equal(slices.ct_slice(i), turned.ct_slice(i))
        np.testing.assert_array_equal(slices.regions_slice(i), turned.regions_slice(i))


def test_a_file_that_shrank_or_changed_under_the_reader_is_an_error(tmp_path):
    stack_of().save(tmp_path / "P.npz")
    reader = SliceFacts.load(tmp_path / "P.npz").reader
    whole = (tmp_path / "P.npz").read_bytes()
    (tmp_path / "P.npz").write_bytes(whole[:100])
    with pytest.raises(PlanError, match="P.npz is damaged"):
        reader.ct_slice(3)
    stack_of().save(tmp_path / "P.npz")  # other noise
    with pytest.raises(PlanError, match="P.npz is damaged"):
        [reader.ct_slice(i) for i in range(6)]
    (tmp_path / "P.npz").unlink()
    with pytest.raises(PlanError, match="P.npz is missing"):
        reader.ct_slice(3)


def test_a_missing_file_or_one_of_an_earlier_version_has_no_facts(tmp_path):
    with pytest.raises(PlanError, match="P.npz is missing"):
        SliceFacts.load(tmp_path / "P.npz")
    np.savez_compressed(tmp_path / "P.npz", mr=np.zeros((1, 2, 4, 4), np.uint8), regions=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(PlanError, match="P.npz is of an earlier version"):
        SliceFacts.load(tmp_path / "P.npz")


def test_an_unknown_plane_is_an_error(tmp_path):
    stack_of().save(tmp_path / "P.npz")
    with pytest.raises(PlanError, match="oblique"):
        SliceFacts.load(tmp_path / "P.npz", "oblique")


def test_damage_anywhere_is_an_error_or_does_no_harm(tmp_path):
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
            reader = SliceFacts.load(path).reader
            assert all(np.array_equal(reader.ct_slice(i), stack.ct[i]) for i in range(6))
            assert all(np.array_equal(reader.mr_slice(i), stack.mr[:, i]) for i in range(6))
        except PlanError:
            pass
