"""Refined pairs: stacks of their own, made once, of pairs alone; without ``refine`` the cache is what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, keep_registration, small_configuration, write_dataset

from synthct.dataset.raw import RawDataset
from synthct.dataset.register_dataset import with_registrations
from synthct.preprocessing import refined_pairs
from synthct.preprocessing.cache import cache_folder, cached_path, refined_folder
from synthct.preprocessing.preprocess_dataset import preprocess_dataset
from synthct.preprocessing.refined_pairs import RefinementFacts, floor_in_words, load_facts, refinements_in_words
from synthct.preprocessing.slice_stack import SliceStack

SMALL = {"small": small_configuration(spacing_mm=(6.0, 6.0, 6.0))}
SHIFT_MM = 6.75  # a voxel of these slices, to the back


def backwards(pair, mr_scanned, ct_scanned) -> sitk.DisplacementFieldTransform:
    """The CT's tissue lies behind that of the MR, everywhere."""
    field = sitk.GetImageFromArray(np.tile((0.0, SHIFT_MM, 0.0), (40, 40, 40, 1)), isVector=True)
    field.SetSpacing([10.0] * 3)
    field.SetOrigin([-200.0] * 3)
    return sitk.DisplacementFieldTransform(field)


@pytest.fixture
def raw(tmp_path) -> RawDataset:
    return write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED, "M": {"mr"}, "C": {"ct"}})


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder of slices, in a preprocessed dataset that is its parent."""
    monkeypatch.setattr(refined_pairs, "refine", backwards)
    return cache_folder(tmp_path / "preprocessed", SMALL["small"].preprocessing)


def contents(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("*.npz")}


def test_pairs_have_a_refined_stack_beside_the_rigid_one_which_stays_as_it_was(raw, cache):
    preprocess_dataset(raw, SMALL, cache.parent)
    before = contents(cache)
    assert preprocess_dataset(raw, SMALL, cache.parent, refine=True) == (1, 3)
    after = contents(cache)
    assert before.items() <= after.items() and after.keys() - before.keys() == {"refined/P.npz"}
    assert preprocess_dataset(raw, SMALL, cache.parent, refine=True) == (0, 4)
    assert contents(cache) == after


def test_without_refine_the_refined_stacks_are_removed(raw, cache):
    preprocess_dataset(raw, SMALL, cache.parent, refine=True)
    assert preprocess_dataset(raw, SMALL, cache.parent) == (0, 3)
    assert not refined_folder(cache).exists()


def test_the_refined_ct_is_the_rigid_one_moved_onto_the_mr(raw, cache):
    preprocess_dataset(raw, SMALL, cache.parent, refine=True)
    rigid, refined = (SliceStack.load(cached_path(folder, "P")) for folder in (cache, refined_folder(cache)))
    assert rigid.info["grid"] == refined.info["grid"]
    moved, expected = refined.ct[..., :-1].astype(int), rigid.ct[..., 1:].astype(int)  # columns run to the back
    assert (np.abs(moved - expected) <= 1).mean() > 0.999  # of the outline a voxel may be rounded
    both = (rigid.mr != -32768) & (refined.mr != -32768)
    assert np.array_equal(rigid.mr[both], refined.mr[both])


def test_facts_are_the_displacements_and_the_mae_between_the_two_cts(raw, cache):
    preprocess_dataset(raw, SMALL, cache.parent, refine=True)
    facts = load_facts(cache, raw.training)
    rigid, refined = (SliceStack.load(cached_path(folder, "P")).ct for folder in (cache, refined_folder(cache)))
    both = (rigid != -32768) & (refined != -32768)
    mae = np.abs(rigid[both].astype(float) - refined[both]).mean()
    assert facts == {"P": RefinementFacts(SHIFT_MM, SHIFT_MM, pytest.approx(mae, abs=0.01))}
    assert f"{mae:.1f} HU" in floor_in_words({"P": facts["P"].registration_floor_hu})
    assert any("6.8 mm" in sentence for sentence in refinements_in_words(facts))
    assert refinements_in_words({}) == []


def test_refine_takes_the_rigid_registrations_of_auto(raw, tmp_path):
    keep_registration(raw.training["P"], tmp_path / "registrations", mode="auto", shift_mm=(5.0, 0.0, 0.0))
    refine, auto = (with_registrations(raw, tmp_path / "registrations", mode) for mode in ("refine", "auto"))
    assert refine.training["P"].registration == auto.training["P"].registration is not None
    assert with_registrations(raw, tmp_path / "registrations", "always").training["P"].registration is None


def test_a_failed_registration_is_not_refined(raw, cache, tmp_path):
    keep_registration(raw.training["P"], tmp_path / "registrations", status="failed", problems_found=("bone",))
    preprocess_dataset(with_registrations(raw, tmp_path / "registrations", "refine"), SMALL, cache.parent, refine=True)
    assert not cached_path(refined_folder(cache), "P").exists()
