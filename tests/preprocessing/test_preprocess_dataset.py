"""The cache of a dataset: exact names, only what is new or has changed, whole files only, the same with any workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_datasets import PAIRED, paired_fingerprint, small_configuration, write_dataset

from synthct.dataset.raw import RawDataset
from synthct.errors import ImageError
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.parallel import CaseRunner
from synthct.planning.plan import Configuration
from synthct.preprocessing.cache import cache_folder, cached_path
from synthct.preprocessing.preprocess_dataset import memory_per_worker, preprocess_dataset
from synthct.preprocessing.slice_stack import SliceStack

SMALL = {"small": small_configuration()}
BOTH = SMALL | {"coarse": small_configuration(spacing_mm=(8.0, 7.0, 7.0))}


@pytest.fixture
def raw(tmp_path) -> RawDataset:
    return write_dataset(tmp_path / "Dataset001_Heads", {"P.1": PAIRED, "Q_2": {"mr"}, "R": {"ct"}})


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "preprocessed" / "Dataset001_Heads"


def slices(cache: Path, patient: str, configuration: Configuration = SMALL["small"]) -> Path:
    """A patient's cached slices for a configuration."""
    return cached_path(cache_folder(cache, configuration.preprocessing), patient)


def names(cache: Path, *patients: str, configurations: Mapping[str, Configuration] = SMALL) -> set[str]:
    """Cached files as :func:`times` names them."""
    return {
        str(slices(cache, p, configuration).relative_to(cache))
        for configuration in configurations.values()
        for p in patients
    }


def times(folder: Path, pattern: str = "*/*.npz") -> dict[str, int]:
    """When each cached file below was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob(pattern)}


def test_a_file_a_spacing_and_patient_is_written_once(raw, cache):
    assert preprocess_dataset(raw, BOTH, cache) == (6, 0)
    before = times(cache)
    assert set(before) == names(cache, "P.1", "Q_2", "R", configurations=BOTH) and len(before) == 6
    assert preprocess_dataset(raw, BOTH, cache) == (0, 6)
    assert times(cache) == before


def test_stacks_hold_the_scans_that_there_are(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    have = {p: SliceStack.load(slices(cache, p)) for p in raw.training}
    assert [(stack.mr is not None, stack.ct is not None) for stack in have.values()] == [
        (True, True), (True, False), (False, True)]  # fmt: skip


def test_a_touched_image_is_done_again_alone(raw, cache):
    preprocess_dataset(raw, BOTH, cache)
    before = times(cache)
    os.utime(raw.training["R"].ct, ns=(1, 1))
    assert preprocess_dataset(RawDataset.open(raw.folder), BOTH, cache) == (2, 4)
    assert {name for name, time in times(cache).items() if before[name] != time} == names(
        cache, "R", configurations=BOTH
    )


def test_a_preprocessing_that_changes_is_done_again_alone_in_a_folder_of_its_own(raw, cache):
    preprocess_dataset(raw, BOTH, cache)
    before = times(cache)
    changed = BOTH | {"coarse": small_configuration(spacing_mm=(9.0, 7.0, 7.0))}
    assert preprocess_dataset(raw, changed, cache) == (3, 3)
    after = times(cache)
    assert after.keys() - before.keys() == names(cache, "P.1", "Q_2", "R", configurations={"": changed["coarse"]})
    assert before.items() <= after.items()


def others_of_the_same_cache() -> dict[str, Configuration]:
    small = SMALL["small"]
    wide = GreyLevels(ct_window_hu=(-1000.0, 2000.0), mr_windows=(MrWindow("fixed", 0, 100),))
    return {
        "trained longer": replace(small, training=replace(small.training, epochs_constant=7)),
        "neighbours": replace(small, input=replace(small.input, neighbours=2)),
        "axial": replace(small, input=replace(small.input, plane="axial")),
        "windows": small_configuration(coding=wide),
        "narrow": replace(small, network_width=0.5),
        "of the papers": replace(small, methods={}),
    }


def test_configurations_that_differ_in_input_training_or_methods_share_their_cached_slices(raw, cache):
    assert preprocess_dataset(raw, SMALL, cache) == (3, 0)
    before = times(cache)
    assert preprocess_dataset(raw, SMALL | others_of_the_same_cache(), cache) == (0, 3)
    assert times(cache) == before


def test_patients_who_are_gone_leave_the_cache(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    raw.training["R"].ct.unlink()
    assert preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache) == (0, 2)
    assert set(times(cache)) == names(cache, "P.1", "Q_2")


def test_a_half_written_file_is_not_taken_for_whole(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    whole = slices(cache, "R").read_bytes()
    slices(cache, "R").unlink()
    slices(cache, ".1234abcd.partial.R").write_bytes(whole[:1000])  # a run that was killed
    slices(cache, "Q_2").write_bytes(whole[: len(whole) // 2])
    assert preprocess_dataset(raw, SMALL, cache) == (2, 1)
    assert set(times(cache)) == names(cache, "P.1", "Q_2", "R")
    assert SliceStack.load(slices(cache, "R")).ct is not None


def test_a_case_has_one_picture_and_findings_whatever_the_configurations(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    before = times(cache, "report/*")
    assert set(before) == {f"report/{p}.{ending}" for p in ("P.1", "Q_2", "R") for ending in ("jpg", "json")}
    preprocess_dataset(raw, BOTH, cache)
    assert times(cache, "report/*") == before


def test_pictures_and_findings_are_made_anew_alone_where_they_are_missing_or_damaged(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    cached, before = times(cache), times(cache, "report/*")
    (cache / "report" / "P.1.jpg").unlink()
    (cache / "report" / "R.json").write_text("{")
    assert preprocess_dataset(raw, SMALL, cache) == (0, 3)
    after = times(cache, "report/*")
    assert {name for name in before if after[name] != before[name]} == {
        "report/P.1.jpg", "report/R.jpg", "report/R.json"}  # fmt: skip
    assert times(cache) == cached


def test_pictures_follow_the_images_and_the_window(raw, cache):
    preprocess_dataset(raw, SMALL, cache)
    before = times(cache, "report/*.jpg")
    os.utime(raw.training["R"].ct, ns=(1, 1))
    preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache)
    after = times(cache, "report/*.jpg")
    assert {name for name in before if after[name] != before[name]} == {"report/R.jpg"}
    wide = GreyLevels(ct_window_hu=(-1000.0, 2000.0), mr_windows=(MrWindow("percentile", 0, 100),))
    preprocess_dataset(RawDataset.open(raw.folder), {"small": small_configuration(coding=wide)}, cache)
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
        first, second = (SliceStack.load(slices(cache / n, patient)) for n in ("one", "two"))
        assert first.info == second.info
        for name in ("mr", "ct", "regions"):
            a, b = getattr(first, name), getattr(second, name)
            assert (a is None and b is None) or np.array_equal(a, b)


def test_a_failure_leaves_what_was_done_and_nothing_half_done(raw, cache):
    raw.training["R"].ct.write_bytes(b"no image")
    with pytest.raises(ImageError, match="R.nii.gz"):
        preprocess_dataset(RawDataset.open(raw.folder), SMALL, cache)
    assert set(times(cache)) == names(cache, "P.1", "Q_2")


def test_memory_follows_the_largest_case():
    small, large = (memory_per_worker(paired_fingerprint(3, size_xyz=(n, n, n))) for n in (100, 400))
    assert large > 2 * small
    assert memory_per_worker(paired_fingerprint(30)) == memory_per_worker(paired_fingerprint(1))
