"""Trainers of other packages predict as ours do; where their package is missing, it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from own_methods import PACKAGE, Copy, Odd, copying_model, odd_networks, odd_plan, plug_in, unplug
from scipy import ndimage
from synthetic_heads import head_truth, make_grid, points_mm, same_geometry, smooth_hu
from tiny_models import write_checkpoint, write_model

from synthct.errors import ModelError
from synthct.inference import Predictor
from synthct.inference.read_model import Model, read_model

PLAIN = make_grid((60, 80, 80), (3.3, 3.0, 3.0))
OBLIQUE = make_grid((60, 80, 80), (3.3, 3.0, 3.0), "PIR", (12, -9, 7))


@pytest.fixture
def odd_folder(tmp_path, monkeypatch) -> Path:
    """A model folder of the method ``odd`` with two folds; the method is plugged in."""
    plug_in(monkeypatch, odd=Odd)
    folder, plan = tmp_path / "odd__plans__small", odd_plan()
    plan.save(folder / "plans.json")
    for fold in (0, 1):
        write_checkpoint(folder / f"fold_{fold}", odd_networks(plan, fold), trainer="odd", trainer_package=PACKAGE)
    return folder


# -- place -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [PLAIN, OBLIQUE], ids=["plain", "oblique"])
def test_the_sct_lies_where_the_mr_lies_on_every_plane_and_is_interpolated_alike(grid, monkeypatch):
    plug_in(monkeypatch, copy=Copy)
    field = smooth_hu(points_mm(grid)) + 500  # HU of the sCT are the scanner units of the MR
    mr, head = grid.place(field.astype(np.float32)), head_truth(grid)
    scts = {}
    for plane in ("sagittal", "axial", "coronal"):
        sct = Predictor(copying_model(plane, neighbours=2), "cpu").predict(mr, head_mask=head)
        assert same_geometry(sct, mr)
        scts[plane] = sitk.GetArrayFromImage(sct).astype(int)
    inner = ndimage.binary_erosion(sitk.GetArrayFromImage(head), iterations=5)
    assert inner.sum() > 40_000
    assert np.abs(scts["sagittal"] - field)[inner].mean() < 3  # HU; to slices of 6 x 5.6 x 5.6 mm and back
    for plane in ("axial", "coronal"):  # the same slices seen from another side: no further interpolation
        assert np.array_equal(scts[plane], scts["sagittal"])


def test_another_neighbour_s_place_is_a_slice_away(monkeypatch):
    plug_in(monkeypatch, copy=Copy)
    x, y, z = points_mm(PLAIN)
    mr, head = PLAIN.place((500 + 2 * z).astype(np.float32)), head_truth(PLAIN)
    middle, above = (
        sitk.GetArrayFromImage(
            Predictor(copying_model("axial", neighbours=2, which=which), "cpu").predict(mr, head_mask=head)
        ).astype(int)
        for which in (0, 2)
    )
    inner = ndimage.binary_erosion(sitk.GetArrayFromImage(head), iterations=7)
    # Axial slices are numbered upwards, 5 x 1.125 mm apart; the MR rises by 2 units a mm.
    assert (above - middle)[inner] == pytest.approx(2 * 2 * 5.625, abs=2)


def test_hu_beyond_int16_are_clipped(monkeypatch):
    plug_in(monkeypatch, copy=Copy)
    mr = PLAIN.place(np.full(PLAIN.array_shape, 50_000, np.float32))
    sct = Predictor(copying_model(), "cpu").predict(mr, head_mask=head_truth(PLAIN))
    assert set(np.unique(sitk.GetArrayFromImage(sct))) >= {-1000, 32767}
    assert sitk.GetArrayFromImage(sct).min() == -1000


# -- weights ---------------------------------------------------------------------------------------------------------


def test_several_networks_of_any_types_predict_from_a_model_folder(odd_folder):
    predictor = Predictor.from_model_folder(odd_folder, device="cpu")
    assert predictor.precision == "float32" and predictor.n_folds == 2 and not predictor.has_cycle
    assert predictor.hu_range == (-1024, 3071)
    mr = PLAIN.place((smooth_hu(points_mm(PLAIN)) + 500).astype(np.float32))
    prediction = predictor.predict_with_qa(mr, head_mask=head_truth(PLAIN))
    hu = sitk.GetArrayFromImage(prediction.sct)
    assert np.ptp(hu[hu > -1000].astype(int)) > 100
    assert prediction.qa.measured.output.uncertainty_head_hu > 0 and prediction.cycle_error is None


@pytest.mark.parametrize("name", ["into.weight", "gains", "norm.num_batches_tracked", "inverted"])
def test_every_weight_counts_for_the_model_s_hash_whatever_its_type(odd_folder, name):
    plan, (states,) = odd_plan(), read_model(odd_folder, ["0"]).networks
    before = Predictor(Model(plan, "small", "odd", [states]), "cpu").model_hash
    assert before == Predictor.from_model_folder(odd_folder, ["0"], device="cpu").model_hash
    changed = {network: dict(state) for network, state in states.items()}
    weight = changed["coarse"][name]
    for key in {name, name.replace("gains", "same_gains")}:  # tied
        changed["coarse"][key] = ~weight if weight.dtype == torch.bool else weight * 2
    assert Predictor(Model(plan, "small", "odd", [changed]), "cpu").model_hash != before


# -- a trainer that is missing ---------------------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as fault:
        Predictor.from_model_folder(folder, device="cpu")
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_a_trainer_that_is_not_installed_is_named_with_its_package(odd_folder, monkeypatch):
    unplug(monkeypatch)
    message = refusal(odd_folder)
    assert "'odd'" in message and PACKAGE in message and str(odd_folder / "fold_0" / "checkpoint_final.pth") in message


@pytest.mark.parametrize("package", ["", 7, None, "  "])
def test_a_package_that_a_checkpoint_does_not_know_is_not_named(odd_folder, monkeypatch, package):
    unplug(monkeypatch)
    write_checkpoint(odd_folder / "fold_0", {"coarse": {}}, trainer="odd", trainer_package=package)
    assert "'odd'" in refusal(odd_folder)


@pytest.mark.parametrize(("key", "value"), [("trainer", ["odd"]), ("configuration", ["small"]), ("configuration", {})])
def test_names_that_are_not_text_are_refused(tmp_path, key, value):
    folder = write_model(tmp_path)
    write_checkpoint(folder / "fold_0", {}, **{key: value})
    assert "fold_0" in refusal(folder)


def test_a_trainer_that_cannot_be_imported_is_reported_with_the_file_that_needs_it(odd_folder, monkeypatch):
    plug_in(monkeypatch, odd=int)
    message = refusal(odd_folder)
    assert "'odd'" in message and str(odd_folder / "fold_0" / "checkpoint_final.pth") in message


def test_folds_of_different_trainers_are_not_combined(odd_folder, monkeypatch):
    plug_in(monkeypatch, odd=Odd, other=Odd)
    write_checkpoint(odd_folder / "fold_1", odd_networks(odd_plan(), 1), trainer="other")
    assert str(odd_folder / "fold_1" / "checkpoint_final.pth") in refusal(odd_folder)


def test_wrong_settings_are_reported_with_the_plan_s_file(odd_folder, monkeypatch):
    plan = odd_plan()
    plan.configurations["small"].methods["odd"]["width"] = "wide"
    plan.save(odd_folder / "plans.json")
    message = refusal(odd_folder)
    assert str(odd_folder / "plans.json") in message and "methods.odd.width" in message
