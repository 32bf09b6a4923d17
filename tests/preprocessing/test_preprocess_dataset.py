"""The cache of a dataset: exact names, only what is new or has changed, whole files only, the same with any workers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_datasets import PAIRED, paired_fingerprint, small_configuration, write_dataset

from synthct.dataset.raw import RawDataset
from synthct.errors import ImageError
from synthct.parallel import CaseRunner
from synthct.preprocessing.preprocess_dataset import cache_key, memory_per_worker, preprocess_dataset
from synthct.preprocessing.slice_stack import SliceStack

SMALL = {"small": small_configuration()}
BOTH = SMALL | {"axial": small_configuration(slice_plane="axial")}


@pytest.fixture
def raw(tmp_path) -> RawDataset:
    return write_dataset(tmp_path / "Dataset001_Heads", {"P.1": PAIRED, "Q_2": {"mr"}, "R": {"ct"}})


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "preprocessed" / "Dataset001_Heads"


def times(folder: Path, pattern: str = "*/*.npz") -> dict[str, int]:
    """When each cached file below was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob(pattern)}


def test_a_file_a_configuration_and_patient_is_written_once(raw, cache):
    assert preprocess_dataset(raw, BOTH, cache) == (6, 0)
    before = times(cache)
    assert set(before) == {f"{c}/{p}.npz" for c in BOTH for p in ("P.1", "Q_2", "R")}
    assert preprocess_dataset(raw, BOTH, cache) == (0, 6)
    assert times(cache) == before


def test_stacks_hold_the_scans_that_there_are(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    have = {p: SliceStack.load(cache / "small" / f"{p}.npz") for p in raw.training}
    assert [(stack.mr is not None, stack.ct is not None) for stack in have.values()] == [
        (True, True), (True, False), (False, True)]  # fmt: skip


def test_a_touched_image_is_done_again_alone(raw, cache):
    preprocess_dataset(raw, BOTH, cache)
    before = times(cache)
    os.utime(raw.training["R"].ct, ns=(1, 1))
    assert preprocess_dataset(RawDataset.open(raw.folder), BOTH, cache) == (2, 4)
    assert {name for name, time in times(cache).items() if before[name] != time} == {"small/R.npz", "axial/R.npz"}


def test_a_configuration_that_changes_is_done_again_alone(raw, cache):
    preprocess_dataset(raw, BOTH, cache)
    changed = BOTH | {"axial": small_configuration(slice_plane="axial", ct_window_hu=(-1000.0, 2000.0))}
    assert preprocess_dataset(raw, changed, cache) == (3, 3)
    trained_longer = replace(SMALL["small"], training=replace(SMALL["small"].training, epochs_constant=7))
    assert preprocess_dataset(raw, {"small": trained_longer}, cache) == (0, 3)


def test_patients_who_are_gone_leave_the_cache(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    raw.training["R"].ct.unlink()
    assert preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache) == (0, 2)
    assert set(times(cache)) == {"small/P.1.npz", "small/Q_2.npz"}


def test_a_half_written_file_is_not_taken_for_whole(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    whole = (cache / "small" / "R.npz").read_bytes()
    (cache / "small" / "R.npz").unlink()
    (cache / "small" / ".1234abcd.partial.R.npz").write_bytes(whole[:1000])  # a run that was killed
    (cache / "small" / "Q_2.npz").write_bytes(whole[: len(whole) // 2])
    assert preprocess_dataset(raw, SMALL, cache) == (2, 1)
    assert set(times(cache)) == {"small/P.1.npz", "small/Q_2.npz", "small/R.npz"}
    assert SliceStack.load(cache / "small" / "R.npz").ct is not None


def test_a_case_has_one_picture_and_findings_whatever_the_configurations(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    before = times(cache, "report/*")
    assert set(before) == {f"report/{p}.{ending}" for p in ("P.1", "Q_2", "R") for ending in ("jpg", "json")}
    preprocess_dataset(raw, BOTH, cache)
    assert times(cache, "report/*") == before


def test_pictures_and_findings_are_made_anew_alone_where_they_are_missing_or_damaged(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    slices, before = times(cache), times(cache, "report/*")
    (cache / "report" / "P.1.jpg").unlink()
    (cache / "report" / "R.json").write_text("{")
    assert preprocess_dataset(raw, SMALL, cache) == (0, 3)
    after = times(cache, "report/*")
    assert {name for name in before if after[name] != before[name]} == {
        "report/P.1.jpg", "report/R.jpg", "report/R.json"}  # fmt: skip
    assert times(cache) == slices


def test_pictures_follow_the_images_and_the_window(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    before = times(cache, "report/*.jpg")
    os.utime(raw.training["R"].ct, ns=(1, 1))
    preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache)
    after = times(cache, "report/*.jpg")
    assert {name for name in before if after[name] != before[name]} == {"report/R.jpg"}
    wide = {"small": small_configuration(ct_window_hu=(-1000.0, 2000.0))}
    preprocess_dataset(RawDataset.open(raw.folder), wide, cache)
    assert all(time > after[name] for name, time in times(cache, "report/*.jpg").items())


def test_pictures_and_findings_leave_with_their_patients(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    raw.training["R"].ct.unlink()
    preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache)
    assert not list((cache / "report").glob("R.*")) and len(list((cache / "report").iterdir())) == 4


def test_several_workers_give_the_same_as_one(raw, cache):
    preprocess_dataset(raw, SMALL, cache / "one")
    preprocess_dataset(raw, SMALL, cache / "two", runner=CaseRunner(workers=2))
    for patient in raw.training:
        one, two = (SliceStack.load(cache / n / "small" / f"{patient}.npz") for n in ("one", "two"))
        assert one.info == two.info
        for name in ("mr", "ct", "regions"):
            a, b = getattr(one, name), getattr(two, name)
            assert (a is None and b is None) or np.array_equal(a, b)


def test_a_failure_leaves_what_was_done_and_nothing_half_done(raw, cache):
    raw.training["R"].ct.write_bytes(b"no image")
    with pytest.raises(ImageError, match="R.nii.gz"):
        preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache)
    assert set(times(cache)) == {"small/P.1.npz", "small/Q_2.npz"}


def test_the_key_holds_plan_and_files(raw):
    plan = SMALL["small"].preprocessing
    keys = {cache_key(case, one) for case in raw.training.values() for one in (plan, BOTH["axial"].preprocessing)}
    assert len(keys) == 6
    assert cache_key(raw.training["R"], plan) == cache_key(RawDataset.open(raw.folder).training["R"], plan)


def test_memory_follows_the_largest_case():
    small, large = (memory_per_worker(paired_fingerprint(3, size_xyz=(n, n, n))) for n in (100, 400))
    assert large > 2 * small
    assert memory_per_worker(paired_fingerprint(30)) == memory_per_worker(paired_fingerprint(1))
