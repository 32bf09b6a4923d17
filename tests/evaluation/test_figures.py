from dataclasses import replace

import numpy as np
import pytest
from made_up import make_model, make_raw
from matplotlib.image import imread

from synthct.errors import ModelError
from synthct.evaluation.figures import draw, figure6
from synthct.evaluation.figures.draw import best_median_worst, panel_titles
from synthct.evaluation.figures.figure4 import draw_figure4
from synthct.evaluation.figures.figure5 import draw_figure5
from synthct.evaluation.figures.fitted_text import FittedText, fitted
from synthct.evaluation.figures.panels import Panel, Scale, draw_panels
from synthct.evaluation.sagittal import SagittalSlice
from synthct.evaluation.score import Row
from synthct.evaluation.trained_models import HeldOut, TrainedModel, find_models
from synthct.networks import ResnetGenerator
from synthct.training.checkpoint import KEYS, save_checkpoint

WIDTH = 2125  # pixels: 180 mm at 300 dpi
WINDOW = (-600.0, 1400.0)


@pytest.fixture
def shown():
    rng = np.random.default_rng(0)
    rows, cols = np.indices((60, 50))
    head = np.hypot(rows - 30, cols - 25) < 20
    ct = np.where(head, rng.normal(40, 200, head.shape), -1000).astype(np.float32)
    ct[55:] = np.nan
    scts = {label: np.nan_to_num(ct, nan=-1000.0) + 50 for label in ("cyclegan", "pix2pix")}
    return SagittalSlice("P1", (3.5, 4.0), (head * 800.0).astype(np.float32), (0.0, 900.0), ct, head, scts)


def row_of(patient, mae, fold=0):
    return Row(patient, fold, {"mae_hu": mae, "psnr_db": 30.0}, 10, "ct_and_mr")


def assert_good_figure(path):
    picture = imread(path)[..., :3]
    assert picture.shape[1] == WIDTH and 500 < picture.shape[0] < 1500
    assert picture.std() > 0.1
    border = np.concatenate(
        [picture[:8].ravel(), picture[-8:].ravel(), picture[:, :8].ravel(), picture[:, -8:].ravel()]
    )
    assert (border == 1).all(), "something reaches the paper's edge"
    return picture


def test_figure_4_is_named_sized_and_not_blank(shown, tmp_path):
    path = draw_figure4(shown, "cyclegan", row_of("P1", 73.7), WINDOW, tmp_path)
    assert path == tmp_path / "figure4_cyclegan_P1.png"
    with_mr = assert_good_figure(path)
    without = SagittalSlice(**{**vars(shown), "mr": None, "patient": "P2"})
    picture = assert_good_figure(draw_figure4(without, "cyclegan", row_of("P2", 73.7, None), WINDOW, tmp_path))
    assert picture.shape[0] > with_mr.shape[0]  # three panels are larger than four
    assert sorted(file.name for file in tmp_path.iterdir()) == ["figure4_cyclegan_P1.png", "figure4_cyclegan_P2.png"]


def test_figure_5_is_named_sized_and_not_blank(shown, tmp_path):
    titles = {"pix2pix": "Paired training (pix2pix)", "cyclegan": "Unpaired training (cyclegan)", "absent": "?"}
    rows = {label: row_of("P1", 70.0) for label in titles}
    path = draw_figure5(shown, titles, rows, WINDOW, tmp_path)
    assert path.name == "figure5_P1.png"
    assert_good_figure(path)


def test_panels_keep_the_physical_proportions_and_long_titles_stay_inside(tmp_path):
    panel = Panel("a title that is much too long for a panel " * 4, np.ones((100, 50)), Scale(0, 2, "unit " * 60))
    tall = draw_panels([panel] * 4, tmp_path / "a.png", title="x" * 500, spacing_mm=(1.0, 1.0), note="y" * 900)
    flat = draw_panels([panel] * 4, tmp_path / "b.png", title="x" * 500, spacing_mm=(1.0, 2.0), note="y" * 900)
    panel_width = (180 - 4 - 3 * 2) / 4 / 25.4 * 300  # pixels
    assert assert_good_figure(tall).shape[0] - assert_good_figure(flat).shape[0] == pytest.approx(panel_width, abs=2)


def test_best_median_and_worst_are_drawn_once_each():
    assert best_median_worst({"a": 3.0, "b": 1.0, "c": 2.0, "d": 9.0, "e": 8.0}) == ("b", "a", "d")
    assert best_median_worst({"a": 3.0, "b": 1.0}) == ("b", "a")
    assert best_median_worst({"a": 3.0}) == ("a",)
    assert best_median_worst({}) == ()


def test_relative_error_is_of_the_head_alone():
    mr, back = np.array([0.0, 0.0, 100.0, 50.0]), np.array([9.0, 0.5, 90.0, 75.0])
    error = figure6.relative_error_percent(mr, back, np.array([False, True, True, True]))
    np.testing.assert_allclose(error, [np.nan, 50, 10, 50])


def model(trainer, tmp_path, fold=0):
    return TrainedModel(tmp_path, trainer, "2d", trainer, {"P1": HeldOut(tmp_path / "P1.nii.gz", fold, ())})


def test_paired_training_stands_before_unpaired_as_in_the_paper(tmp_path):
    titles = panel_titles([model(name, tmp_path) for name in ("cyclegan", "not_installed", "pix2pix")])
    assert titles == {
        "pix2pix": "Paired training (pix2pix)",
        "cyclegan": "Unpaired training (cyclegan)",
        "not_installed": "not_installed",
    }


def test_figure_6_is_left_out_where_a_model_has_no_way_back(tmp_path, monkeypatch):
    def draw_or_fail(model, patient, *_):
        if model.trainer == "pix2pix":
            raise ModelError("no network from CT to MR")
        return tmp_path / f"figure6_{model.label}_{patient}.png"

    monkeypatch.setattr(draw, "draw_figure6", draw_or_fail)
    models = [model("pix2pix", tmp_path), model("cyclegan", tmp_path)]
    rows = {"pix2pix": [row_of("P1", 1.0)], "cyclegan": [row_of("P1", 2.0)]}
    cases = {"P1": type("Case", (), {"mr": (tmp_path / "mr.nii.gz",)})}
    figures = draw.draw_cycles(models, rows, cases, WINDOW, tmp_path)
    assert [path.name for path in figures] == ["figure6_cyclegan_P1.png"]


def test_paired_models_alone_show_no_progress_of_figure_6(tmp_path):
    def progress(*_, **__):
        raise AssertionError("there is nothing to show")

    rows = {"pix2pix": [row_of("P1", 1.0)]}
    assert draw.draw_cycles([model("pix2pix", tmp_path)], rows, {}, WINDOW, tmp_path, progress=progress) == ()


def test_figure_6_sends_a_slice_through_a_models_own_networks(tmp_path):
    raw = make_raw(tmp_path / "raw" / "Dataset001_Spheres", ["P1"])
    folder = make_model(tmp_path / "cyclegan__plans__2d", {"P1": 0.0}, split={"train": [], "val": ["P1"]}, fold=3)
    states = {name: ResnetGenerator(base_channels=4, n_blocks=1).state_dict() for name in ("syn_ct", "syn_mr")}
    content = dict.fromkeys(KEYS, 0) | {"trainer": "cyclegan", "configuration": "2d", "networks": states}
    save_checkpoint(folder / "fold_3" / "checkpoint_final.pth", content)
    (model,) = find_models(tmp_path)
    path = figure6.draw_figure6(model, "P1", raw.training["P1"].mr, WINDOW, tmp_path / "figures")
    assert path.name == "figure6_cyclegan_P1.png"
    assert_good_figure(path)


NAMES = ["my_hospitals_residual_unet_with_perceptual_loss__2d_lowres_disjoint", "nameofatrainerinasingleword" * 2]


@pytest.mark.parametrize("label", NAMES)
def test_a_long_name_of_a_trainer_is_wrapped_and_whole(label):
    title = fitted(f"Paired training ({label})", 28.0, 8, max_lines=4)
    assert title.text.replace("\n", "") == f"Paired training ({label})"
    assert title.text.count("\n") <= 3 and 5 <= title.size <= 8
    assert title.height_mm == pytest.approx((title.text.count("\n") + 1) * title.size * 1.2 * 25.4 / 72)


def test_a_short_title_stays_on_its_line():
    assert fitted("Paired training (unet)", 40.0, 8, max_lines=4) == FittedText("Paired training (unet)", 8)


def test_figure_5_with_long_names_keeps_its_width(shown, tmp_path):
    labels = [*NAMES, "cyclegan", "pix2pix"]
    long = replace(shown, sct_hu={label: shown.ct_hu for label in labels})
    titles = {label: f"Paired training ({label})" for label in labels}
    assert_good_figure(draw_figure5(long, titles, {label: row_of("P1", 70.0) for label in labels}, WINDOW, tmp_path))
