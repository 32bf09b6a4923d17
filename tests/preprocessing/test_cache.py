"""Where cached slices lie: a folder a preprocessing, a key a file; what nothing uses any more is removed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from noise_stacks import stack_of
from synthetic_datasets import PAIRED, small_configuration, write_dataset

from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.cache import (
    cache_folder,
    cache_key,
    cached_path,
    check_cached,
    key_of,
    remove_earlier_caches,
)

PLAN = small_configuration().preprocessing
OTHERS = {
    "slice_plane": "axial",
    "spacing_mm": (6.0, 5.0, 5.001),
    "slice_scale": 1.0,
    "slice_size": (48, 52),
    "interpolation": "bspline",
}


def test_every_value_of_the_preprocessing_counts():
    assert OTHERS.keys() == {field.name for field in dataclasses.fields(PreprocessingPlan)}


def test_the_folder_says_plane_and_spacing_and_differs_with_every_value(tmp_path):
    folder = cache_folder(tmp_path, PLAN)
    assert folder.parent == tmp_path and folder.name.startswith("slices_sagittal_6.00x5.62x5.62mm_")
    plans = [PLAN, *(dataclasses.replace(PLAN, **{key: value}) for key, value in OTHERS.items())]
    assert len({cache_folder(tmp_path, plan) for plan in plans}) == len(plans)
    assert cache_folder(tmp_path, dataclasses.replace(PLAN)) == folder
    assert cached_path(folder, "P.1") == folder / "P.1.npz"


def test_the_key_holds_plan_and_files(tmp_path):
    raw = write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED, "Q": {"mr"}, "R": {"ct"}})
    plans = [PLAN, *(dataclasses.replace(PLAN, **{key: value}) for key, value in OTHERS.items())]
    assert len({cache_key(case, plan) for case in raw.training.values() for plan in plans}) == 3 * len(plans)
    assert cache_key(raw.training["R"], PLAN) == cache_key(RawDataset.open(raw.folder).training["R"], PLAN)


def test_the_key_of_a_file_is_the_one_that_it_was_made_with(tmp_path):
    path = cached_path(tmp_path, "P")
    assert key_of(path) is None
    stack_of().save(path)
    assert key_of(path) == "key"
    path.write_bytes(path.read_bytes()[:-40])
    assert key_of(path) is None
    dataclasses.replace(stack_of(), info={}).save(path)
    assert key_of(path) is None


def test_patients_whose_slices_are_missing_are_named_with_the_configuration(tmp_path):
    stack_of().save(cached_path(tmp_path, "P1"))
    check_cached(tmp_path, ["P1"], "2.5d")
    with pytest.raises(PlanError, match="P2, P3") as fault:
        check_cached(tmp_path, ["P1", "P2", "P3"], "2.5d")
    assert str(tmp_path) in str(fault.value) and "2.5d" in str(fault.value)
    with pytest.raises(PlanError, match="P4 and 1 more"):
        check_cached(tmp_path, ["P0", "P2", "P3", "PX", "P4", "P5"], "2d")


def test_folders_of_an_earlier_version_are_removed_and_no_others(tmp_path):
    def write(relative: str) -> Path:
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, a=np.zeros(1))
        return path

    earlier = [write("2d/P1.npz"), write("2d_lowres/P1.npz")]
    kept = [write("mine/P1.npz"), write("slices_sagittal_x/P1.npz"), write("report/P1.npz")]
    (tmp_path / "2.5d").mkdir()
    (tmp_path / "2.5d" / "notes.txt").touch()
    removed = remove_earlier_caches(tmp_path, ["2d", "2d_lowres", "2.5d", "2d_axial"])
    assert sorted(removed) == [path.parent for path in earlier]
    assert not any(path.parent.exists() for path in earlier) and all(path.is_file() for path in kept)
    assert (tmp_path / "2.5d" / "notes.txt").is_file()
    assert remove_earlier_caches(tmp_path, ["2d", "2d_lowres"]) == []
