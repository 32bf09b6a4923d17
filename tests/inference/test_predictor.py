"""A model folder, wherever it lies, turns MRs into HU on the MR's own grid."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from synthetic_datasets import small_plan
from synthetic_heads import head_mr, head_truth, make_grid, points_mm, same_geometry, smooth_hu
from tiny_models import tiny_model, write_model
from tiny_training import make_stack

from synthct.errors import ImageError, ModelError
from synthct.imaging.axial import axial_grid, on_axial_grid
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.imaging.geometry import Grid
from synthct.imaging.head_mask import volume_litres
from synthct.inference import Predictor
from synthct.inference.synthesis import NetworkOutput
from synthct.planning.plan import Plan
from synthct.preprocessing.slice_stack import SliceStack

GRID = make_grid((34, 42, 42), (6, 6, 6))
ROOMY = make_grid((38, 48, 44), (6, 6, 6))  # nothing of the head touches a border but the neck
OBLIQUE = make_grid((41, 51, 33), (5.1, 4.9, 7.3), "SRP", (15, -10, 20), (310.7, -420.3, 999.9))


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_model(tmp_path / "results" / "Dataset001_Heads", folds=("0", "1"))


def predictor_of(seeds: tuple[int, ...] = (0,), mr_channels: int = 1) -> Predictor:
    return Predictor(tiny_model(small_plan(mr_channels), seeds), "cpu")


def hu_of(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).astype(int)


# -- predictions -----------------------------------------------------------------------------------------------------


def test_a_copied_model_folder_predicts_with_no_environment_variable(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "usb stick" / "model"
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for name in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        monkeypatch.delenv(name, raising=False)
    sct = Predictor.from_model_folder(elsewhere, device="cpu").predict(head_mr(GRID))
    assert hu_of(sct).shape == GRID.array_shape
    assert os.listdir() == []


@pytest.mark.parametrize("grid", [GRID, OBLIQUE], ids=["plain", "oblique"])
@pytest.mark.parametrize("pixel_type", [sitk.sitkInt16, sitk.sitkFloat64, sitk.sitkUInt8])
def test_the_sct_has_the_mrs_geometry_and_minus_1000_outside_the_head(grid, pixel_type):
    centre = (310.7, -420.3, 999.9) if grid is OBLIQUE else (0.0, 0.0, 0.0)
    mr = sitk.Cast(head_mr(grid, scale=0.2, centre_mm=centre), pixel_type)
    sct = predictor_of().predict(mr)
    assert same_geometry(sct, mr)
    assert sct.GetPixelID() == sitk.sitkInt16
    hu, head = hu_of(sct), sitk.GetArrayFromImage(head_truth(grid, centre_mm=centre)) > 0
    assert (hu[~head] == -1000).mean() > 0.95
    assert (hu[head] > -1000).mean() > 0.8
    assert hu[hu > -1000].min() >= -610 and hu.max() <= 1410


def test_a_given_mask_on_any_grid_is_the_head():
    mask = make_grid((20, 20, 20), (5, 5, 5)).place(np.ones((20, 20, 20), np.uint8))  # a cube of 100 mm
    hu = hu_of(predictor_of().predict(head_mr(GRID), head_mask=mask))
    assert (hu > -1000).sum() * 0.006**3 == pytest.approx(0.001, rel=0.25)  # m3


def test_a_given_mask_that_was_interpolated_is_cut_at_one_half():
    mr, predictor = head_mr(GRID), predictor_of()
    mask = sitk.Cast(head_truth(GRID), sitk.sitkFloat32)
    hu = hu_of(predictor.predict(mr, head_mask=mask))
    np.testing.assert_array_equal(hu_of(predictor.predict(mr, head_mask=mask * 0.6 + 0.2)), hu)
    with pytest.raises(ImageError, match="the head mask is not a mask"):
        predictor.predict(mr, head_mask=mr)


@pytest.mark.parametrize("orientation", ["PIL", "PIR"], ids=["sagittal", "oblique"])
def test_an_sct_on_an_axial_grid_is_sampled_once_from_the_slices_at_the_same_points(orientation, monkeypatch):
    tilt = (12, -9, 7) if orientation == "PIR" else (0, 0, 0)
    centre = (310.7, -420.3, 999.9)
    mr_grid = make_grid((60, 80, 80), (3.3, 3.0, 3.0), orientation, tilt, centre)
    predictor, wanted = predictor_of(), axial_grid(mr_grid)

    def field(grid: Grid) -> np.ndarray:
        return smooth_hu(points_mm(grid) - np.reshape(centre, (3, 1, 1, 1)))

    def perfect_network(stack: SliceStack, cycle_every: int) -> NetworkOutput:
        return NetworkOutput(field(Grid.from_plain(stack.info["grid"])), None, None)

    monkeypatch.setattr(predictor, "synthesize", perfect_network)
    mr = head_mr(mr_grid, centre_mm=centre)
    sct = predictor.predict(mr, grid=wanted)
    assert Grid.of(sct) == wanted and sct.GetPixelID() == sitk.sitkInt16
    head = ndimage.binary_erosion(hu_of(sct) > -1000, iterations=4)
    truth = sitk.GetArrayFromImage(head_truth(wanted, centre_mm=centre)) > 0
    assert head.sum() > 50_000 and (truth[head]).mean() > 0.99
    on_mr_grid = predictor.predict(mr)
    assert volume_litres(sct > -1000) == pytest.approx(volume_litres(on_mr_grid > -1000), rel=0.01)
    once = np.abs(hu_of(sct) - field(wanted))[head].mean()
    twice = sitk.GetArrayFromImage(on_axial_grid(on_mr_grid, outside=-1000))
    assert once < 2  # HU
    assert once < np.abs(twice - field(wanted))[head].mean()


def test_a_model_is_known_by_its_weights_and_configuration(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy")
    original, same = (Predictor.from_model_folder(path, device="cpu").model_hash for path in (folder, copied))
    assert original == same and len(original) == 12 and int(original, 16)
    plan = Plan.load(folder / "plans.json")
    assert Predictor(tiny_model(plan, (0, 1)), "cpu").model_hash == original
    window = MrWindow("percentile", 0, 100)
    other_window = small_plan(coding=GreyLevels((-1000.0, 2000.0), (window,)))
    assert small_plan(coding=GreyLevels(mr_windows=(window,))) == plan
    others = [
        Predictor.from_model_folder(folder, ["1"], device="cpu").model_hash,
        Predictor(tiny_model(plan, (0,)), "cpu").model_hash,
        Predictor(tiny_model(plan, (1, 0)), "cpu").model_hash,
        Predictor(tiny_model(other_window, (0, 1)), "cpu").model_hash,
        Predictor(tiny_model(plan, (0, 1), "pix2pix"), "cpu").model_hash,
    ]
    assert len({original, *others}) == 6


def test_the_same_mr_gives_the_same_sct():
    first, second = (hu_of(predictor_of().predict(head_mr(GRID))) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_mrs_pixels_are_left_as_they_were():
    mr = head_mr(GRID)
    before = sitk.GetArrayFromImage(mr)
    predictor_of().predict(mr)
    assert np.array_equal(sitk.GetArrayFromImage(mr), before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_slice_without_head_is_air_whatever_the_network_makes_of_it(precision):
    predictor = Predictor(tiny_model(small_plan()), "cpu", precision)
    hu = predictor.synthesize(make_stack("P", 0)).sct_hu  # whose first and last slice show nothing
    assert (hu[[0, -1]] == -600).all()
    assert all(slice_hu.std() > 0 for slice_hu in hu[1:-1])


def test_precisions_differ_by_little(folder):
    mr = head_mr(GRID)
    predictors = [Predictor.from_model_folder(folder, device="cpu", precision=p) for p in ("float32", "bfloat16")]
    first, second = (hu_of(predictor.predict(mr)) for predictor in predictors)
    assert predictors[0].model_hash == predictors[1].model_hash
    assert 0 < np.abs(first - second)[first > -1000].mean() < 5


def test_folds_are_averaged(folder):
    alone = [hu_of(Predictor.from_model_folder(folder, [fold], device="cpu").predict(head_mr(GRID))) for fold in (0, 1)]
    both = hu_of(Predictor.from_model_folder(folder, device="cpu").predict(head_mr(GRID)))
    assert np.abs(alone[0] - alone[1]).max() > 2
    assert np.abs(both - (alone[0] + alone[1]) / 2).max() <= 1  # each is rounded to whole HU


def test_a_fold_counts_once(folder):
    twice = Predictor.from_model_folder(folder, ["0", 1, 0], device="cpu").predict(head_mr(GRID))
    assert np.array_equal(hu_of(twice), hu_of(Predictor.from_model_folder(folder, device="cpu").predict(head_mr(GRID))))


def test_two_channels_are_given_in_order():
    predictor = predictor_of(mr_channels=2)
    t1, t2 = head_mr(GRID), head_mr(GRID, seed=1) * -1 + 1000
    first, second = (hu_of(predictor.predict(mr)) for mr in ((t1, t2), [t2, t1]))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["too few", "too many", "another grid"])
def test_channels_that_do_not_fit_are_reported(kind):
    mr = head_mr(GRID)
    channels = {"too few": [mr], "too many": [mr] * 3, "another grid": [mr, head_mr(OBLIQUE)]}[kind]
    with pytest.raises(ImageError, match="channel"):
        predictor_of(mr_channels=2).predict(channels)


def test_an_mr_without_a_head_is_reported():
    with pytest.raises(ImageError, match="no head was found in the MR"):
        predictor_of().predict(GRID.place(np.zeros(GRID.array_shape, np.int16)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mr: mr[:, :, 20], "The MR is 2-D"),
        (lambda mr: sitk.JoinSeries([mr, mr]), "The MR is 4-D"),
        (lambda mr: sitk.Compose(mr, mr, mr), "The MR has 3 values a voxel"),
        (lambda mr: mr + float("nan"), "The MR holds .* voxels that are NaN or infinite"),
    ],
)
def test_an_image_of_another_kind_is_reported(spoil, words):
    mr = head_mr(GRID)
    with pytest.raises(ImageError, match=words) as fault:
        predictor_of().predict(spoil(mr))
    assert "\n" not in str(fault.value)
    with pytest.raises(ImageError, match=words.replace("The MR", "The MR: the head mask")):
        predictor_of().predict(mr, head_mask=spoil(mr))


def warnings_of(caplog, mr: sitk.Image, window: MrWindow, **options) -> list[str]:
    """What a model with that MR window doubts about an MR."""
    plan = small_plan(coding=GreyLevels(mr_windows=(window,)))
    caplog.clear()
    Predictor(tiny_model(plan), "cpu").predict(mr, **options)
    return [record.getMessage() for record in caplog.records]


def test_an_mr_of_another_scale_is_doubted_where_the_window_is_fixed(caplog):
    fixed = MrWindow("fixed", 0, 1000)  # the brightest tissue has about 900
    assert not warnings_of(caplog, head_mr(ROOMY), fixed)
    for scale in (0.001, 0.4, 3):
        (message,) = warnings_of(caplog, head_mr(ROOMY, scale=scale), fixed, name="P.nii")
        assert message.startswith("P.nii: The intensity that 99.5 % of the head stay below is ")
        assert "MRs have 500 to 2000." in message and "trained on MRs up to about 1000:" in message
        assert not warnings_of(caplog, head_mr(ROOMY, scale=scale), MrWindow("percentile", 0, 99.5))


def test_a_head_of_an_implausible_volume_is_doubted(caplog):
    mr = head_mr(ROOMY)
    mr.SetSpacing([spacing / 2 for spacing in mr.GetSpacing()])
    (message,) = warnings_of(caplog, mr, MrWindow("percentile", 0, 100))
    assert "The volume of the head found in the MR is 0." in message and "heads have 2 to 7.5 l" in message


def test_a_tight_field_of_view_is_not_doubted(caplog):
    assert not warnings_of(caplog, head_mr(ROOMY)[:, :, 15:], MrWindow("percentile", 0, 100))


# -- what a prediction is worth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [GRID, OBLIQUE], ids=["plain", "oblique"])
def test_maps_lie_on_the_mrs_grid_and_are_0_outside_the_head(grid):
    mr = head_mr(grid, centre_mm=(310.7, -420.3, 999.9) if grid is OBLIQUE else (0.0, 0.0, 0.0))
    prediction = predictor_of((0, 1, 2)).predict_with_qa(mr, cycle_every=1)
    facts = prediction.qa.measured.output
    assert facts.n_folds == prediction.qa.n_folds == 3
    outside = hu_of(prediction.sct) == -1000
    means = facts.uncertainty_head_hu, facts.cycle_error_head
    for image, mean in zip((prediction.uncertainty, prediction.cycle_error), means):
        assert same_geometry(image, mr) and image.GetPixelID() == sitk.sitkFloat32
        values = sitk.GetArrayFromImage(image)
        assert not values[outside].any() and (values[~outside] > 0).mean() > 0.5
        assert values[~outside].mean() == pytest.approx(mean, rel=0.1)


def test_a_map_is_interpolated_once_as_the_sct_is(monkeypatch):
    mr_grid = make_grid((60, 80, 80), (3.3, 3.0, 3.0), "PIR", (12, -9, 7))
    predictor, wanted = predictor_of((0, 1)), axial_grid(mr_grid)

    def perfect_networks(stack: SliceStack, cycle_every: int) -> NetworkOutput:
        spread = smooth_hu(points_mm(Grid.from_plain(stack.info["grid"]))).astype(np.float32)
        return NetworkOutput(np.zeros(spread.shape, np.float32), spread, None)

    monkeypatch.setattr(predictor, "synthesize", perfect_networks)
    prediction = predictor.predict_with_qa(head_mr(mr_grid), grid=wanted)
    assert Grid.of(prediction.uncertainty) == wanted
    values = sitk.GetArrayFromImage(prediction.uncertainty)
    head = ndimage.binary_erosion(hu_of(prediction.sct) > -1000, iterations=4)
    assert np.abs(values - smooth_hu(points_mm(wanted)))[head].mean() < 2  # HU


def test_one_fold_has_no_uncertainty_and_the_notes_say_so():
    prediction = predictor_of().predict_with_qa(head_mr(GRID))
    assert prediction.uncertainty is None and prediction.cycle_error is None  # one slice in eight makes no map
    assert prediction.qa.measured.output.cycle_error_head > 0
    assert any("There is no uncertainty" in note for note in prediction.qa.judgement.notes)


def test_folds_are_combined_by_mean_or_median():
    plan, mr = small_plan(), head_mr(GRID)
    model = tiny_model(plan, (0, 1, 2))
    singles = np.stack([hu_of(Predictor(tiny_model(plan, (seed,)), "cpu").predict(mr)) for seed in range(3)])
    mean = hu_of(Predictor(model, "cpu").predict(mr))
    assert np.abs(mean - singles.mean(axis=0)).max() <= 1.5
    median = hu_of(Predictor(model, "cpu", combine="median").predict(mr))
    assert not np.array_equal(mean, median)
    from_median = [np.abs(sct - np.median(singles, axis=0)).mean() for sct in (median, mean)]
    assert from_median[0] < from_median[1]  # not 0: folds are combined before they are interpolated
    with pytest.raises(ValueError, match="mean, median"):
        Predictor(model, "cpu", combine="mode")


def test_predict_is_the_sct_of_predict_with_qa():
    mr = head_mr(GRID)
    predictor = predictor_of((0, 1))
    prediction = predictor.predict_with_qa(mr, assess=False)
    assert np.array_equal(hu_of(predictor.predict(mr)), hu_of(prediction.sct)) and prediction.qa is None


def test_the_cycle_gives_a_slice_in_three_kinds():
    slice_shown = predictor_of().cycle(head_mr(GRID), 0.5)
    assert (
        slice_shown.mr.shape == slice_shown.sct_hu.shape == slice_shown.reconstructed_mr.shape == slice_shown.head.shape
    )
    assert slice_shown.head.dtype == bool and slice_shown.head.mean() > 0.1
    assert 0 <= slice_shown.reconstructed_mr.min() and slice_shown.reconstructed_mr.max() <= 255
    assert -600 <= slice_shown.sct_hu.min() and slice_shown.sct_hu.max() <= 1400
    for position in (0.0, 1.0):
        predictor_of().cycle(head_mr(GRID), position)


def test_a_model_without_the_way_back_has_no_cycle():
    pix2pix = Predictor(tiny_model(small_plan(), trainer="pix2pix"), "cpu")
    with pytest.raises(ModelError, match="only a cyclegan"):
        pix2pix.cycle(head_mr(GRID))
    pix2pix.predict(head_mr(GRID))
