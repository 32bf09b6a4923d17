"""Charts at one patient and at many, with one model and with several: nothing overlaps, nothing is cut off."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from synthct.evaluation.figures import by_patient, charts
from synthct.evaluation.figures.bland_altman import draw_bland_altman
from synthct.evaluation.figures.by_patient import draw_by_patient
from synthct.evaluation.figures.by_tissue import draw_by_tissue
from synthct.evaluation.figures.joint_histogram import draw_joint_histogram
from synthct.evaluation.figures.training_curves import draw_training
from synthct.evaluation.score import Row
from synthct.evaluation.trained_models import TrainedModel
from synthct.evaluation.voxel_histogram import VoxelHistogram

NAMES = ("cyclegan", "pix2pix", "cyclegan__2d_lowres", "my_own_trainer__2d_lowres_in_three_planes", "a", "b", "c")
TISSUES = {f"{measure}_{tissue}_hu": 50.0 for measure in ("mae", "me") for tissue in ("air", "soft", "bone")}


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, in order, each with the texts that are seen in it."""
    drawn = []

    class Kept(Figure):
        def __init__(self, *values, **named):
            super().__init__(*values, **named)
            self.texts_drawn = []
            drawn.append(self)

    def draw(text, renderer):
        draw_text(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn[-1].texts_drawn = [*(earlier for earlier in drawn[-1].texts_drawn if earlier is not text), text]

    draw_text = Text.draw
    monkeypatch.setattr(Text, "draw", draw)
    monkeypatch.setattr(charts, "Figure", Kept)
    return drawn


def rows_of(n_models, n_patients):
    rng = np.random.default_rng(0)
    return {
        name: [
            Row(
                f"HEAD_{i:03d}",
                0,
                {"mae_hu": rng.normal(80, 9), "psnr_db": rng.normal(30, 1)}
                | {column: rng.normal(value, 5) for column, value in TISSUES.items()},
                1000,
                "ct_and_mr",
            )
            for i in range(n_patients)
        ]
        for name in NAMES[:n_models]
    }


def totals_of(n_models):
    rng = np.random.default_rng(0)
    ct = np.concatenate([rng.normal(mean, sd, 4000) for mean, sd in ((-900, 60), (40, 40), (800, 300))])
    sct = ct + rng.normal(0, 60, ct.shape)
    return {name: VoxelHistogram.of(sct, ct, np.ones(ct.shape, bool)) for name in NAMES[:n_models]}


def assert_readable(path, figure):
    """180 mm at 300 dpi, white to the edge, and no text on another."""
    picture = imread(path)[..., :3]
    assert picture.shape[1] == 2125 and 500 < picture.shape[0] < 2800
    border = [picture[:6], picture[-6:], picture[:, :6], picture[:, -6:]]
    assert all((side == 1).all() for side in border), "something reaches the paper's edge"
    renderer = figure.canvas.get_renderer()
    boxes = [(text, text.get_window_extent(renderer)) for text in figure.texts_drawn]
    assert len(boxes) > 8
    for (first, box), (second, another) in combinations(boxes, 2):
        width = min(box.x1, another.x1) - max(box.x0, another.x0)
        height = min(box.y1, another.y1) - max(box.y0, another.y0)
        slanted = first.get_rotation() % 90 or second.get_rotation() % 90  # whose boxes are larger than they
        assert slanted or not (width > 1 and height > 1), f"{first.get_text()!r} lies on {second.get_text()!r}"


@pytest.mark.parametrize("n_models, n_patients", [(1, 1), (2, 3), (4, 12), (6, 40)])
def test_charts_of_patients_are_readable(tmp_path, figures, n_models, n_patients):
    rows = rows_of(n_models, n_patients)
    baselines = {"mean_ct": rows_of(1, 2)["cyclegan"]}
    for path in (draw_by_patient(rows, tmp_path, baselines=baselines), draw_by_tissue(rows, tmp_path)):
        assert_readable(path, figures[-1])


@pytest.mark.parametrize("n_models", [1, 2, 4, 6])
def test_charts_of_voxels_are_readable(tmp_path, figures, n_models):
    totals = totals_of(n_models)
    paths = draw_joint_histogram(totals, dict.fromkeys(totals, 3), tmp_path), draw_bland_altman(totals, tmp_path)
    for path, figure in zip(paths, figures):
        assert_readable(path, figure)


def test_every_patient_is_a_point_and_boxes_need_five(tmp_path, figures):
    draw_by_patient(rows_of(2, 4), tmp_path)
    draw_by_patient(rows_of(2, 5), tmp_path)
    few, enough = (figure.axes[0] for figure in figures)
    assert [len(points.get_offsets()) for points in few.collections] == [4, 4]
    assert len(enough.lines) > len(few.lines) + 1


def test_a_patient_whose_psnr_is_infinite_is_left_out_of_that_panel(tmp_path, figures):
    rows = rows_of(1, 3)
    rows["cyclegan"][1].metrics["psnr_db"] = float("inf")
    draw_by_patient(rows, tmp_path)
    mae, psnr = figures[0].axes
    assert len(mae.collections[0].get_offsets()) == 3 and len(psnr.collections[0].get_offsets()) == 2
    assert by_patient.NAME == "figure_patients.png"


def test_without_metrics_by_tissue_there_is_no_chart_of_them(tmp_path):
    rows = {"cyclegan": [Row("P1", 0, {"mae_hu": 1.0, "psnr_db": 1.0}, 1, "ct")]}
    assert draw_by_tissue(rows, tmp_path) is None and list(tmp_path.iterdir()) == []


def test_all_folds_are_in_one_figure_of_the_training(tmp_path, figures):
    model = TrainedModel(tmp_path / "cyclegan__plans__2d", "cyclegan", "2d", "cyclegan")
    assert draw_training(TrainedModel(tmp_path, "x", "2d", "x"), tmp_path) is None
    for fold in range(4):
        folder = model.folder / f"fold_{fold}"
        folder.mkdir(parents=True)
        lines = [
            f"{epoch},{epoch * 10},0.0002,9,80,0.{epoch + 1},0.0{epoch + 1},{200 - epoch * 9}" for epoch in range(1, 9)
        ]
        text = "\n".join(["epoch,step,learning_rate,seconds,ms_per_step,syn_ct,cycle_mr,val_mae_hu", *lines])
        (folder / "training_log.csv").write_text(text + "\n")
    path = draw_training(model, tmp_path)
    assert path.name == "figure_training_cyclegan.png"
    assert_readable(path, figures[-1])
    losses, error, _ = figures[-1].axes
    labels = [text.get_text() for text in error.get_legend().get_texts()]
    assert labels == ["fold 0", "fold 1", "fold 2", "fold 3"]
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["syn ct", "cycle mr"]
    assert list(error.lines[0].get_ydata()) == [200 - 9 * epoch for epoch in range(1, 9)]
