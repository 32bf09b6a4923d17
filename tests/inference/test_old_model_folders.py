"""Model folders of the first format of plans.json: predicted with as before, HU by HU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from old_models import old_plan, write_old_model
from synthetic_datasets import small_plan
from synthetic_heads import head_mr, make_grid
from tiny_models import tiny_model, tiny_networks

from synthct.dataset.images import CaseImages, head_masks
from synthct.errors import ModelError
from synthct.imaging.field_of_view import scanned_on
from synthct.imaging.geometry import Grid, resample, resample_mask, slice_grid
from synthct.inference import Predictor
from synthct.inference.read_model import read_model
from synthct.networks.generator import ResnetGenerator
from synthct.planning.plan import Plan
from synthct.preprocessing.inverse import volume_from_slices

GRID = make_grid((34, 42, 42), (6, 6, 6))
CYCLEGAN = tiny_networks(small_plan())
PIX2PIX = {"syn_ct": CYCLEGAN["syn_ct"], "dis_ct": {"layers.0.weight": torch.zeros(1)}}  # trainings kept it, too


def hu_by_the_first_version(mr: sitk.Image, window: tuple[float, float], ct_window: tuple[float, float]) -> np.ndarray:
    """MR -> slices -> 256 grey levels -> network -> HU, written out as format 1 had it, for OLD_PLAN."""
    images = CaseImages("P", (mr,))
    mask = head_masks(images).mr
    grid = slice_grid(mr, mask, plane="sagittal", spacing_mm=(6.0, 5.625, 5.625), slice_size=(48, 48))
    volume = sitk.GetArrayFromImage(resample(mr, grid, interpolation="linear", outside=window[0]))
    grey = np.rint(np.clip((volume - window[0]) / (window[1] - window[0]) * 255, 0, 255))
    seen = (sitk.GetArrayFromImage(resample_mask(mask, grid)) > 0) & scanned_on(images.mr_scanned, grid)
    grey[~seen] = 0
    generator = ResnetGenerator(1, 1, 2, 1)
    generator.load_state_dict(CYCLEGAN["syn_ct"])
    output = np.full(grey.shape, -1.0)
    with torch.inference_mode():
        for i in np.flatnonzero(grey.any(axis=(1, 2))):
            batch = torch.from_numpy(grey[i] / 255 * 2 - 1).float()[None, None]
            output[i] = generator(batch)[0, 0].numpy()
    low, high = ct_window
    hu = low + (output + 1) / 2 * (high - low)
    return sitk.GetArrayFromImage(volume_from_slices(hu, Grid(**vars(grid)), mask)).astype(int)


def percentiles_of(mr: sitk.Image, low: float, high: float) -> tuple[float, float]:
    inside = sitk.GetArrayFromImage(mr)[sitk.GetArrayFromImage(head_masks(CaseImages("P", (mr,))).mr) > 0]
    return tuple(np.percentile(inside, (low, high)))


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("fixed", 0, 3500), ("fixed", 100, 1000), ("percentile", 0, 100), ("percentile", 2, 99.5)]
)
@pytest.mark.parametrize("ct_window", [(-600.0, 1400.0), (-1000.0, 2000.0)])
def test_an_old_model_folder_gives_the_hu_that_it_gave(tmp_path, kind, low, high, ct_window):
    mr = head_mr(GRID, scale=2)
    plan = old_plan(mr_windows=[{"kind": kind, "low": low, "high": high}], ct_window_hu=list(ct_window))
    folder = write_old_model(tmp_path / "cyclegan__plans__small", CYCLEGAN, plan)
    sct = Predictor.from_model_folder(folder, device="cpu", precision="float32").predict(mr)
    window = (low, high) if kind == "fixed" else percentiles_of(mr, low, high)
    expected = hu_by_the_first_version(mr, window, ct_window)
    hu = sitk.GetArrayFromImage(sct).astype(int)
    assert np.ptp(expected[expected > -1000]) > 100
    difference = np.abs(hu - expected)
    if (kind, low, high) == ("fixed", 0, 3500):  # 16 bits keep the grey levels of this window
        assert difference.max() <= 1 and difference.mean() < 1e-3
    else:  # of others, up to 3 voxels in a thousand move to the next grey level
        assert difference.max() < (ct_window[1] - ct_window[0]) / 255 and difference.mean() < 0.1


def test_an_old_plan_is_what_this_version_writes_of_the_same_choices(tmp_path):
    plan = Plan.load(write_old_model(tmp_path, CYCLEGAN) / "plans.json")
    assert plan.configurations == small_plan().configurations
    assert Plan.from_plain(plan.to_plain(), "plans.json") == plan


@pytest.mark.parametrize(
    ("named", "networks", "trainer"),
    [
        ("cyclegan", CYCLEGAN, "cyclegan"),
        (None, CYCLEGAN, "cyclegan"),
        ("pix2pix", PIX2PIX, "pix2pix"),
        (None, PIX2PIX, "pix2pix"),
    ],
)
def test_the_method_is_that_of_the_checkpoint_or_reported_by_its_networks(tmp_path, named, networks, trainer):
    folder = write_old_model(tmp_path / "model", networks, trainer=named)
    predictor = Predictor.from_model_folder(folder, device="cpu")
    assert predictor.model.trainer == trainer and predictor.has_cycle == (trainer == "cyclegan")
    new = Predictor(tiny_model(small_plan(), trainer=trainer), "cpu")
    hu, expected = (
        sitk.GetArrayFromImage(model_predictor.predict(head_mr(GRID))) for model_predictor in (predictor, new)
    )
    assert np.array_equal(hu, expected) and predictor.model_hash == new.model_hash


def test_folds_of_old_and_new_checkpoints_are_combined(tmp_path):
    folder = write_old_model(tmp_path / "model", CYCLEGAN, trainer=None)
    write_old_model(folder, tiny_networks(small_plan(), 1), fold="1")
    assert read_model(folder).trainer == "cyclegan"
    assert Predictor.from_model_folder(folder, device="cpu").n_folds == 2


@pytest.mark.parametrize("gone", ["preprocessing", "network", "training"])
def test_an_old_plan_that_lacks_a_part_is_refused(tmp_path, gone):
    plan = old_plan()
    del plan["configurations"]["small"][gone]
    with pytest.raises(ModelError) as fault:
        read_model(write_old_model(tmp_path, CYCLEGAN, plan))
    assert str(Path(tmp_path) / "plans.json") in str(fault.value)
