"""Models of other packages' trainers: exported, installed where the package is, refused where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from model_files import DATASET, head, pack, read_members, with_manifest, write_trained_model
from own_methods import PACKAGE, Odd, odd_networks, odd_plan, plug_in, unplug
from tiny_models import write_checkpoint

from synthct.errors import ModelError
from synthct.exchange import check_model_file, export_model, install_model
from synthct.inference import Predictor
from synthct.inference.read_model import read_model


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A model folder of the method ``odd``, which is plugged in."""
    plug_in(monkeypatch, odd=Odd)
    plan = odd_plan()
    folder = write_trained_model(tmp_path / "theirs", trainer="odd", plan=plan, networks=odd_networks)
    assert folder.name == "odd__plans__small"
    return folder


def predict(model_folder: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(Predictor.from_model_folder(model_folder, device="cpu").predict(head()))


def train_again(model: Path, change=lambda networks: None, **how) -> Path:
    """Other checkpoints of both folds; the first."""
    training = json.loads((model / "plans.json").read_text())["configurations"]["small"]["training"]
    for fold in (1, 0):
        networks = odd_networks(odd_plan(), fold)
        change(networks)
        path = write_checkpoint(model / f"fold_{fold}", networks, trainer="odd", training=training, **how)
    return path


def test_a_method_of_one_s_own_is_installed_elsewhere_and_predicts_equal_hu(model, tmp_path):
    exported = export_model(model, tmp_path / "model.zip")
    folder, _ = install_model(exported.path, tmp_path / "ours")
    assert folder == tmp_path / "ours" / DATASET / "odd__plans__small"
    hu = predict(folder)
    np.testing.assert_array_equal(hu, predict(model))
    assert np.ptp(hu[hu > -1000].astype(int)) > 100
    hashes = {Predictor.from_model_folder(one, device="cpu").model_hash for one in (model, folder)}
    assert hashes == {exported.manifest.model_hash}


def test_weights_of_every_type_travel_bit_by_bit_but_those_of_the_training_alone(model, tmp_path):
    path = export_model(model, tmp_path / "model.zip").path
    folder, _ = install_model(path, tmp_path / "ours")
    seen = set()
    for theirs, ours in zip(read_model(model).networks, read_model(folder).networks):
        assert ours.keys() == theirs.keys() == {"coarse", "fine", "sharpened"}  # of which one has no weights
        for name, states in theirs.items():
            assert list(ours[name]) == list(states)
            for key, weight in states.items():
                assert ours[name][key].dtype == weight.dtype and torch.equal(ours[name][key], weight)
                seen.add(weight.dtype)
    assert seen == {torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool}
    assert b"critic" not in b"".join(read_members(path).values())


@pytest.mark.parametrize(
    ("key", "dtype"),
    [
        ("into.weight", torch.float32),
        ("norm.num_batches_tracked", torch.int32),
        ("gains", torch.float16),
        ("inverted", torch.uint8),
    ],
)
def test_a_wrong_type_is_refused_in_a_checkpoint_and_in_a_file(model, tmp_path, key, dtype):
    from safetensors.torch import load, save

    path, name = tmp_path / "model.zip", "fold_0/weights.safetensors"
    members = read_members(export_model(model, path).path)
    weights = load(members[name])
    weights[f"coarse.{key}"] = weights[f"coarse.{key}"].to(dtype)
    pack(path, with_manifest(members | {name: save(weights)}))
    with pytest.raises(ModelError) as fault:
        check_model_file(path)
    assert name in str(fault.value) and f"coarse.{key}" in str(fault.value)
    checkpoint = train_again(model, lambda of: of["coarse"].update({key: of["coarse"][key].to(dtype)}))
    with pytest.raises(ModelError) as fault:
        export_model(model, tmp_path / "other.zip")
    assert str(checkpoint) in str(fault.value) and f"coarse.{key}" in str(fault.value)


def test_a_type_that_a_file_cannot_hold_is_refused_at_the_export(model, tmp_path, monkeypatch):
    class Complex(Odd):
        @classmethod
        def build_networks(cls, configuration, settings):
            return Odd.build_networks(configuration, settings) | {"coarse": torch.nn.Linear(1, 1, dtype=torch.cdouble)}

    plug_in(monkeypatch, odd=Complex)
    train_again(model, lambda networks: networks.update(coarse=torch.nn.Linear(1, 1, dtype=torch.cdouble).state_dict()))
    with pytest.raises(ModelError, match="complex128"):
        export_model(model, tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


# -- the package -------------------------------------------------------------------------------------------------------


def test_the_file_names_the_package_of_the_trainer(model, tmp_path):
    exported = export_model(model, tmp_path / "model.zip")
    assert (exported.manifest.trainer, exported.manifest.trainer_package) == ("odd", PACKAGE)
    assert PACKAGE in exported.card
    folder, _ = install_model(tmp_path / "model.zip", tmp_path / "ours")
    content = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert (content["trainer"], content["trainer_package"]) == ("odd", PACKAGE)


def test_where_the_trainer_is_not_installed_it_is_named_with_its_package(model, tmp_path, monkeypatch):
    path = export_model(model, tmp_path / "model.zip").path
    unplug(monkeypatch)
    for refused in (lambda: check_model_file(path), lambda: install_model(path, tmp_path / "ours")):
        with pytest.raises(ModelError) as fault:
            refused()
        assert "'odd'" in str(fault.value) and PACKAGE in str(fault.value) and str(path) in str(fault.value)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("package", [" ", "../evil 1", "evil; rm -rf 1", "a 1 2", "evil\n1", "x" * 300 + " 1"])
def test_what_is_not_a_package_is_refused_and_not_exported(model, tmp_path, package):
    path = tmp_path / "model.zip"
    members = read_members(export_model(model, path).path)
    pack(path, with_manifest(members, trainer_package=package))
    with pytest.raises(ModelError) as fault:
        check_model_file(path)
    assert "trainer_package" in str(fault.value) and str(path) in str(fault.value)
    train_again(model, trainer_package=package)
    with pytest.raises(ModelError):
        export_model(model, tmp_path / "other.zip")


# -- what the card says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [True, False])
def test_the_card_says_whether_slices_were_paired(model, tmp_path, monkeypatch, paired):
    plug_in(monkeypatch, odd=type("Kind", (Odd,), {"paired": paired}))
    card = export_model(model, tmp_path / "model.zip").card
    assert ("Trained on unpaired slices" in card) != paired


@pytest.mark.parametrize(
    ("limits_hu", "stated"), [((-1024.0, 3071.0), (-1024, 3071)), ((-500.0, 900.0), (-500, 900)), ((-1e9, 1e9), None)]
)
def test_the_card_states_the_hu_that_the_model_can_show(model, tmp_path, limits_hu, stated):
    low, high = stated or (-32768, 32767)  # int16
    odd_plan(hounsfield={"hu_limits": list(limits_hu)}).save(model / "plans.json")
    card = export_model(model, tmp_path / "model.zip").card
    assert f"HU lie within {low} to {high}: " in card and f"at most {high} HU" in card
    assert ("Air cavities read" in card) == (low > -1000)  # else they can read what they are


def test_the_card_describes_what_the_network_sees(model, tmp_path):
    card = export_model(model, tmp_path / "model.zip").card
    assert "axial slices with pixels of 5.62 x 5.62 x 6 mm" in card  # slices, rows, cols: left-right is last
    assert "axial slices, each seen with 1 neighbours" in card and "percentiles 0 to 100 of each patient's head" in card
