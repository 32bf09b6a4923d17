"""Model folders and files of earlier formats: the folders are exported as they are, the files have to be made anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from model_files import head, pack, read_members, with_manifest, write_evaluation, write_trained_model
from old_models import OLD_PLAN, write_old_model
from synthetic_datasets import small_plan
from tiny_models import tiny_networks

from synthct.errors import ModelError
from synthct.exchange import check_model_file, export_model, install_model
from synthct.inference import Predictor


def old_model(results: Path, trainer: str, *, named: bool = True) -> Path:
    """A model folder of two folds with all files that an export takes, as the first version left them."""
    folder = write_trained_model(results, trainer=trainer, evaluated=False)
    for fold in ("0", "1"):
        networks = tiny_networks(small_plan(), int(fold), trainer)
        split = json.loads((folder / f"fold_{fold}" / "split.json").read_text())
        write_old_model(folder, networks, fold=fold, split=split, trainer=trainer if named else None)
    assert json.loads((folder / "plans.json").read_text()) == OLD_PLAN
    write_evaluation(results)
    return folder


def predict(folder: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(Predictor.from_model_folder(folder, device="cpu").predict(head()))


@pytest.mark.parametrize("trainer", ["cyclegan", "pix2pix"])
@pytest.mark.parametrize("named", [True, False], ids=["with trainer", "without trainer"])
def test_an_old_model_folder_is_exported_and_installed_with_equal_hu(tmp_path, trainer, named):
    model = old_model(tmp_path / "theirs", trainer, named=named)
    exported = export_model(model, tmp_path / "model.zip")
    assert exported.manifest.trainer == trainer
    folder, file = install_model(exported.path, tmp_path / "ours")
    np.testing.assert_array_equal(predict(folder), predict(model))
    assert (file.results is not None) == (trainer == "cyclegan")  # which was evaluated
    assert file.model.plan.configurations == small_plan().configurations
    assert json.loads((folder / "plans.json").read_text())["format_version"] == 2
    training = json.loads(read_members(exported.path)["fold_0/training.json"])["training"]
    assert "lambda_cycle" not in training and training["crop_size"] == [48, 48]


def test_an_old_model_has_the_hash_of_the_same_model_of_this_version(tmp_path):
    old, new = old_model(tmp_path / "old", "cyclegan"), write_trained_model(tmp_path / "new")
    hashes = {Predictor.from_model_folder(one, device="cpu").model_hash for one in (old, new)}
    assert len(hashes) == 1


def test_a_file_of_the_first_format_has_to_be_exported_again(shared_file, tmp_path):
    path = pack(tmp_path / "model.zip", with_manifest(read_members(shared_file), format_version=1))
    for refused in (lambda: check_model_file(path), lambda: install_model(path, tmp_path / "ours")):
        with pytest.raises(ModelError, match=f"{path}.*format_version is 1.*exported again"):
            refused()
    assert not (tmp_path / "ours").exists()


def test_a_file_of_the_second_format_is_installed_and_its_card_made_anew(shared_file, tmp_path):
    members = {**read_members(shared_file), "model_card.json": b"{}", "model_card.md": b"# Model card\n\nOf old.\n"}
    path = pack(tmp_path / "model.zip", with_manifest(members, format_version=2))
    old, new = (install_model(file, folder=tmp_path / name)[0] for file, name in ((path, "old"), (shared_file, "new")))
    np.testing.assert_array_equal(predict(old), predict(new))
    assert (old / "model_card.md").read_text() == (new / "model_card.md").read_text()
    assert {path.name for path in old.iterdir()} == {path.name for path in new.iterdir()}
