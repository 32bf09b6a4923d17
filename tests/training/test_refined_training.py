"""Methods that need pairs train on refined pairs where there are some; nothing else does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from synthetic_datasets import PAIRED, cache_of, make_network_tiny, write_dataset

from synthct.errors import PlanError, TrainingError
from synthct.model_folder import ModelFolder
from synthct.preprocessing.cache import refined_folder
from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.training.checkpoint import load_checkpoint
from synthct.training.train_fold import fold_to_train, train_fold
from synthct.training.what_to_train import TrainingOptions

pytestmark = pytest.mark.usefixtures("no_figures")
LOWRES = "2d_lowres"


def short(**options) -> TrainingOptions:
    return TrainingOptions(**({"epochs": 1, "iterations": 3, "device": torch.device("cpu"), "loaders": 0} | options))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Preprocessed with ``off``; as if with ``refine``, refined stacks are put beside, whose CTs are inverted."""
    root = tmp_path_factory.mktemp("refined")
    raw = write_dataset(root / "raw" / "Dataset001_Heads", {"P1": PAIRED, "P2": PAIRED, "P3": PAIRED, "M": {"mr"}})
    preprocessed = root / "preprocessed"
    plan_and_preprocess(raw, preprocessed, PlanningOptions(configurations=[LOWRES]))
    make_network_tiny(preprocessed / "plans.json")
    cache = cache_of(preprocessed)
    for patient in ("P1", "P2", "P3"):
        stack = SliceStack.load(cache / f"{patient}.npz")
        inside = stack.ct != OUTSIDE
        stack.ct[inside] = -stack.ct[inside]
        stack.save(refined_folder(cache) / f"{patient}.npz")
    set_mode(preprocessed, "refine")
    return preprocessed


@pytest.fixture
def preprocessed(prepared, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "preprocessed"))


def set_mode(preprocessed: Path, mode: str) -> None:
    path = preprocessed / "plans.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"register": mode}))


@pytest.mark.parametrize(
    ("trainer", "refined"), [("unet", True), ("pix2pix", True), ("cyclegan", False), ("unet_unpaired", False)]
)
def test_only_methods_that_need_pairs_train_on_refined_ones(trainer, refined, prepared, tmp_path):
    what = fold_to_train(prepared, tmp_path, trainer, LOWRES, "all")
    cached = what.cached(what.split["train"])
    cache = cache_of(prepared)
    assert cached.folder == (refined_folder(cache) if refined else cache)
    assert sorted(cached.patients) == (["P1", "P2", "P3"] if refined else ["M", "P1", "P2", "P3"])
    assert what.slices_folder == cache  # of what is held out


def test_without_refine_the_rigid_pairs_are_trained_on(preprocessed, tmp_path):
    set_mode(preprocessed, "auto")
    assert fold_to_train(preprocessed, tmp_path, "unet", LOWRES, "0").refined_folder is None


def test_a_missing_refined_pair_is_named_before_anything_is_written(preprocessed, tmp_path):
    (refined_folder(cache_of(preprocessed)) / "P2.npz").unlink()
    with pytest.raises(PlanError, match="P2"):
        train_fold(preprocessed, tmp_path / "results", "unet", LOWRES, "all", options=short())
    assert not (tmp_path / "results").exists()


def test_refined_and_rigid_pairs_give_other_weights_and_are_not_mixed(preprocessed, tmp_path):
    weights = {}
    for mode in ("refine", "auto"):
        set_mode(preprocessed, mode)
        folder = train_fold(preprocessed, tmp_path / mode, "unet", LOWRES, "0", options=short())
        checkpoint = load_checkpoint(ModelFolder(folder).fold(0).final)
        weights[mode] = checkpoint["networks"]["syn_ct"]
        assert checkpoint.get("refined_pairs", False) == (mode == "refine")
    assert any(not torch.equal(weights["auto"][name], weights["refine"][name]) for name in weights["auto"])
    with pytest.raises(TrainingError):  # the other folds of that model are of refined pairs
        train_fold(preprocessed, tmp_path / "refine", "unet", LOWRES, "1", options=short())
    with pytest.raises(TrainingError):
        train_fold(preprocessed, tmp_path / "refine", "unet", LOWRES, "0", options=short(resume=True, epochs=2))
