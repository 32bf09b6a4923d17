"""``--quality best``: folds, mirrored heads and the models of other planes that lie beside a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import small_plan
from synthetic_heads import head_mr, make_grid
from tiny_models import tiny_networks, write_checkpoint
from tiny_training import make_stack

from synthct.inference.predict_file import ModelFiles
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import read_other_planes
from synthct.planning.plan import Configuration, Plan

GRID = make_grid((34, 42, 42), (6, 6, 6))
SMALL = small_plan().configurations["small"]


def in_plane(plane: str, **changes: int) -> Configuration:
    return replace(SMALL, input=replace(SMALL.input, plane=plane, **changes))


def write_model_of(results: Path, name: str, folds: str = "0", *, trainer: str = "cyclegan", seed: int = 0) -> Path:
    """The model folder of a configuration: ``small``, or one that differs from it."""
    configurations = {
        "small": SMALL,
        "small_axial": in_plane("axial"),
        "small_coronal": in_plane("coronal"),
        "small_thick": in_plane("axial", neighbours=1),
        "small_coarse": replace(
            in_plane("axial"), preprocessing=replace(SMALL.preprocessing, spacing_mm=(3.0, 3.0, 3.0))
        ),
    }
    plan = replace(small_plan(), configurations=configurations)
    folder = results / f"{trainer}__plans__{name}"
    plan.save(folder / "plans.json")
    for fold in folds:
        networks = tiny_networks(small_plan(), seed + int(fold), trainer)
        write_checkpoint(folder / f"fold_{fold}", networks, trainer=trainer, configuration=name)
    return folder


def hu_of(predictor: Predictor) -> np.ndarray:
    return sitk.GetArrayFromImage(predictor.predict(head_mr(GRID))).astype(float)


def load(folder: Path, quality: str = "fast", **options) -> Predictor:
    return Predictor.from_model_folder(folder, device="cpu", quality=quality, **options)


def configurations_beside(folder: Path, folds: list[str] | None = None) -> list[str]:
    return [model.configuration_name for model in read_other_planes(folder, folds)]


def test_the_best_sct_is_the_median_of_the_planes_each_with_its_mirrored_heads(tmp_path):
    names = ("small", "small_axial", "small_coronal")
    folders = [write_model_of(tmp_path, name, seed=seed) for seed, name in enumerate(names)]
    stack = make_stack("P", 0)
    alone = [Predictor(load(folder).model, "cpu", mirror=True).synthesize(stack).sct_hu for folder in folders]
    assert np.allclose(load(folders[0], "best").synthesize(stack).sct_hu, np.median(alone, axis=0), atol=1e-3)
    assert np.abs(alone[0] - alone[1]).max() > 5


def test_the_plane_that_is_chosen_is_the_first_and_the_others_follow(tmp_path):
    for name in ("small", "small_axial", "small_coronal"):
        write_model_of(tmp_path, name)
    best = load(tmp_path / "cyclegan__plans__small_axial", "best")
    assert best.input.plan.plane == "axial"
    assert [plane.input.plan.plane for plane in best.other_planes] == ["sagittal", "coronal"]
    assert len(best.combined_words()) == 3


def test_only_models_that_differ_in_the_plane_alone_are_taken(tmp_path):
    folder = write_model_of(tmp_path, "small")
    for name in ("small_axial", "small_thick", "small_coarse"):
        write_model_of(tmp_path, name)
    write_model_of(tmp_path, "small_coronal", trainer="pix2pix")
    assert configurations_beside(folder) == ["small_axial"]
    assert configurations_beside(tmp_path / "cyclegan__plans__small_thick") == []


def test_no_fold_is_taken_that_the_chosen_model_leaves_out(tmp_path):
    """Fold 1 of another plane has been trained on the patients that fold 0 holds out."""
    folder = write_model_of(tmp_path, "small", "01")
    write_model_of(tmp_path, "small_axial", "012")
    write_model_of(tmp_path, "small_coronal", "1")
    assert [plane.n_folds for plane in load(folder, "best").other_planes] == [2, 1]
    assert configurations_beside(folder, ["0"]) == ["small_axial"]
    assert [len(model.networks) for model in read_other_planes(folder, ["0"])] == [1]


def test_a_model_folder_alone_predicts_its_best_with_mirrored_heads(tmp_path):
    folder = write_model_of(tmp_path, "small_axial", "01")
    best = load(folder, "best")
    assert best.mirror and not best.other_planes
    assert np.abs(hu_of(best) - hu_of(load(folder))).max() > 0


def test_sagittal_slices_without_neighbours_have_nothing_to_mirror(tmp_path):
    folder = write_model_of(tmp_path, "small", "01")
    best, fast = load(folder, "best"), load(folder)
    assert not best.mirror and best.model_hash == fast.model_hash
    assert np.array_equal(hu_of(best), hu_of(fast))


def test_the_hash_names_all_that_is_combined(tmp_path):
    folder = write_model_of(tmp_path, "small")
    write_model_of(tmp_path, "small_axial")
    two_planes = load(folder, "best").model_hash
    write_model_of(tmp_path, "small_axial", seed=7)
    hashes = [load(folder).model_hash, two_planes, load(folder, "best").model_hash]
    assert len(set(hashes)) == 3


def test_a_plane_trained_again_is_loaded_again_by_workers(tmp_path):
    folder = write_model_of(tmp_path, "small")
    other = write_model_of(tmp_path, "small_axial")
    fast, best = ModelFiles.of(folder), ModelFiles.of(folder, quality="best")
    (other / "fold_0" / "checkpoint_final.pth").touch()
    assert ModelFiles.of(folder) == fast and ModelFiles.of(folder, quality="best") != best


def test_the_uncertainty_of_the_best_sct_is_over_all_that_is_combined_and_qa_s_over_folds(tmp_path):
    folder = write_model_of(tmp_path, "small", "01")
    write_model_of(tmp_path, "small_axial", "01", seed=5)
    fast, best = (load(folder, quality).predict_with_qa(head_mr(GRID)) for quality in ("fast", "best"))
    sds = [sitk.GetArrayFromImage(prediction.uncertainty) for prediction in (fast, best)]
    assert np.abs(sds[1] - sds[0]).max() > 5
    qa_uncertainties = [prediction.qa.measured.output.uncertainty_head_hu for prediction in (fast, best)]
    assert qa_uncertainties[0] == qa_uncertainties[1]


def test_another_quality_is_refused(tmp_path):
    with pytest.raises(ValueError, match="quality"):
        load(write_model_of(tmp_path, "small"), "finest")


def test_damage_in_a_model_of_another_plane_is_reported(tmp_path):
    from synthct.errors import ModelError

    folder = write_model_of(tmp_path, "small")
    damaged = write_model_of(tmp_path, "small_axial") / "fold_0" / "checkpoint_final.pth"
    damaged.write_bytes(b"PK")
    with pytest.raises(ModelError, match=str(damaged.parent)):
        load(folder, "best")
    load(folder)


def test_another_plan_version_beside_a_model_does_not_matter(tmp_path):
    folder = write_model_of(tmp_path, "small")
    (tmp_path / "cyclegan__plans__other").mkdir()
    (tmp_path / "cyclegan__plans__other" / "plans.json").write_text("{}")
    assert configurations_beside(folder) == []
    assert Plan.load(folder / "plans.json").configurations.keys() >= {"small_axial"}


def test_one_fold_has_an_uncertainty_where_several_planes_are_combined(tmp_path):
    folder = write_model_of(tmp_path, "small")
    assert load(folder, "best").n_combined == 1
    write_model_of(tmp_path, "small_axial", seed=5)
    best = load(folder, "best")
    assert best.n_combined == 3  # axial slices also mirrored
    assert best.synthesize(make_stack("P", 0)).n_combined == 3
