from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_training import (
    N_SLICES,
    ONLY_CT,
    ONLY_MR,
    PAIRED,
    logged_training,
    make_configuration,
    make_settings,
    make_stack,
)

from synthct.imaging.coding import GreyLevels
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_reader import SliceReader
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.log import TrainingLog
from synthct.training.pix2pix import Pix2Pix
from synthct.training.progress_figure import ProgressFigure
from synthct.training.validation import Validation

INPUT = NetworkInput(InputPlan("sagittal", neighbours=0, mr_channels=1), GreyLevels())
GREY_LEVEL_HU = 2000 / 255


class _Constant(Pix2Pix):
    """Synthesizes the middle of the window everywhere: 400 HU."""

    @classmethod
    def synthesize(cls, networks, mr):
        assert mr.shape[2] % 4 == 0
        assert mr.shape[3] % 4 == 0
        return torch.zeros(len(mr), 1, *mr.shape[2:])


@pytest.fixture
def constant():
    return _Constant(make_configuration(), make_settings("pix2pix"), "cpu")


def test_mae_is_that_of_equation_4_inside_the_head(preprocessed_folder, constant):
    validation = Validation.read(preprocessed_folder / "tiny", ["PAIR_4"], PAIRED[:3], INPUT)
    assert len(validation.slices) == N_SLICES - 2
    stack = make_stack("PAIR_4", 3)
    inside = (stack.regions & 1) > 0
    # The CT is compared as the network is shown it: in grey levels.
    ct = np.rint((stack.ct + 600) / GREY_LEVEL_HU) * GREY_LEVEL_HU - 600
    assert validation.mae_hu(constant) == pytest.approx(np.abs(ct[inside] - 400).mean(), rel=1e-4)


def test_at_most_12_slices_evenly_spread_over_patients(preprocessed_folder):
    validation = Validation.read(preprocessed_folder / "tiny", PAIRED, [], INPUT)
    assert len(validation.slices) == 12
    assert [sum(example.patient == p for example in validation.slices) for p in PAIRED] == [3, 3, 3, 3]


def test_however_many_are_held_out_only_the_chosen_slices_are_read(tmp_path, monkeypatch):
    patients = [f"P{number:02d}" for number in range(30)]
    for number, patient in enumerate(patients):
        make_stack(patient, number).save(tmp_path / f"{patient}.npz")
    monkeypatch.setattr(SliceStack, "load", lambda path: pytest.fail(f"{path} was read whole"))
    inflated = []
    read_slice = SliceReader._read
    monkeypatch.setattr(SliceReader, "_read", lambda *arguments: inflated.append(1) or read_slice(*arguments))
    validation = Validation.read(tmp_path, patients, [], INPUT)
    assert len({example.patient for example in validation.slices}) == 12
    assert len(inflated) == 3 * (12 + 1)  # MR, CT and regions of each, and of the example
    for example in validation.slices:
        stack = make_stack(example.patient, patients.index(example.patient))
        pairs = [INPUT.paired(stack, i) for i in range(N_SLICES)]
        shown = [(pair["mr"], INPUT.coding.network_to_hu(pair["ct"])) for pair in pairs]
        assert any(np.array_equal(example.mr, mr) and np.array_equal(example.ct_hu, ct_hu) for mr, ct_hu in shown)


def test_odd_slice_sizes_are_padded_for_the_generator(tmp_path, constant):
    stack = make_stack("P", 0, size=30)
    stack.save(tmp_path / "P.npz")
    validation = Validation.read(tmp_path, ["P"], [], INPUT)
    assert validation.sct_hu(constant, validation.slices[0]).shape == (1, 30, 30)
    assert validation.mae_hu(constant) > 0


@pytest.mark.parametrize(
    ("held_out", "training", "patient"),
    [(["PAIR_4"], ["PAIR_1"], "PAIR_4"), ([ONLY_CT], [ONLY_MR, "PAIR_1"], "PAIR_1"), ([], [ONLY_CT, ONLY_MR], ONLY_MR)],
)
def test_example_is_held_out_where_it_can_be(preprocessed_folder, held_out, training, patient, tmp_path, constant):
    validation = Validation.read(preprocessed_folder / "tiny", held_out, training, INPUT)
    assert validation.example.patient == patient
    assert (validation.mae_hu(constant) is None) == (held_out != ["PAIR_4"])
    rows = TrainingLog(tmp_path / "log.csv")
    rows.epoch({"epoch": 1, "step": 2, "learning_rate": 1e-4, "l1": 0.5, "val_mae_hu": None})
    figure = ProgressFigure(tmp_path / "progress.png", rows)
    figure.start(logged_training(tmp_path, example=lambda: validation.images(constant)))
    figure.finish()
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("held_out", "noted"), [(["PAIR_4"], False), ([ONLY_CT], True)])
def test_the_figure_says_where_no_held_out_patient_is_a_pair(preprocessed_folder, held_out, noted, tmp_path, constant):
    from matplotlib.figure import Figure

    validation = Validation.read(preprocessed_folder / "tiny", held_out, [ONLY_MR], INPUT)
    rows = TrainingLog(tmp_path / "log.csv")
    rows.epoch({"epoch": 1, "step": 2, "learning_rate": 1e-4, "l1": 0.5, "val_mae_hu": None})
    axes = Figure().subplots(1, 3)
    ProgressFigure._draw_curves(axes, rows, bool(validation.slices))
    assert bool(axes[1].texts) == noted


def test_missing_matplotlib_is_said_once_and_is_not_fatal(tmp_path, monkeypatch, caplog):
    import sys

    caplog.set_level("INFO", "synthct")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    rows = TrainingLog(tmp_path / "log.csv")
    rows.epoch({"epoch": 1, "l1": 0.5})
    figure = ProgressFigure(tmp_path / "progress.png", rows)
    figure.start(logged_training(tmp_path))
    for _ in range(3):
        figure.finish()
    assert caplog.text.count("matplotlib is not installed") == 1
    assert not (tmp_path / "progress.png").exists()


def test_log_keeps_only_the_rows_of_finished_epochs(tmp_path):
    written = TrainingLog(tmp_path / "log.csv")
    for epoch in (1, 2, 3):
        written.epoch({"epoch": epoch, "l1": 0.123456789 / epoch, "val_mae_hu": None})
    again = TrainingLog(tmp_path / "log.csv")
    again.start(logged_training(tmp_path, epoch=2))
    assert again.rows == written.rows[:2]
    again.epoch({"epoch": 3, "l1": 1.0, "val_mae_hu": 70.25})
    assert (tmp_path / "log.csv").read_text().splitlines()[-1] == "3,1,70.25"
    assert again.losses() == ["l1"]
    assert np.isnan(again.column("val_mae_hu")[:2]).all()
