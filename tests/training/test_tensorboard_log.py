"""The events that TensorBoard shows, read back with its own reader."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pytest
from PIL import Image
from same_training import LATEST, assert_same_result, rows
from tiny_training import SIZE, VAL, interrupted_at, logged_training
from trained_apart import Moment, train_apart

from synthct.commands import train as command
from synthct.errors import TrainingError
from synthct.training.tensorboard_log import TensorBoardLog, picture
from synthct.training.validation import ExampleImages

pytestmark = pytest.mark.usefixtures("no_figures")
TENSORBOARD = ("tensorboard",)


@pytest.fixture
def events():
    """What TensorBoard reads in a fold's folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder):
        return accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()

    return read


def steps(read, tag="val_mae_hu"):
    """As both readers of TensorBoard have them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_accumulator")
    other = accumulator.EventAccumulator(read.path).Reload()
    found = [event.step for event in read.Scalars(tag)]
    assert [event.step for event in other.Tensors(tag)] == found
    return found


def assert_curves_are_those_of_the_log(folder, read):
    with open(folder / "training_log.csv", newline="") as file:
        written = list(csv.DictReader(file))
    for tag in read.Tags()["scalars"]:
        column = tag.removeprefix("loss/")
        assert steps(read, tag) == [int(row["step"]) for row in written]
        assert [event.value for event in read.Scalars(tag)] == pytest.approx(
            [float(row[column]) for row in written], rel=1e-5
        )


def test_events_hold_the_curves_of_the_log_and_a_picture(run, tmp_path, events):
    run("pix2pix", loggers=TENSORBOARD)
    folder = tmp_path / "fold_0"
    read = events(folder)
    losses = {f"loss/{name}" for name in rows(folder)[0]} & set(read.Tags()["scalars"])
    assert losses and set(read.Tags()["scalars"]) == losses | {"val_mae_hu", "learning_rate", "ms_per_step"}
    assert_curves_are_those_of_the_log(folder, read)
    pictures = read.Images("MR, sCT, CT")
    assert pictures[-1].step == 8
    assert Image.open(io.BytesIO(pictures[-1].encoded_image_string)).size == (3 * SIZE, SIZE)


def test_no_event_names_a_case(run, tmp_path):
    pytest.importorskip("tensorboard")
    run("pix2pix", loggers=TENSORBOARD)
    held = b"".join(path.read_bytes() for path in (tmp_path / "fold_0" / "tensorboard").iterdir())
    assert b"batch_size" in held and VAL[0].encode() not in held and b"PAIR" not in held


@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_resumed_training_continues_the_curves(run, tmp_path, events, step):
    run("pix2pix", "whole")
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", "stopped", progress=interrupted_at(step), loggers=TENSORBOARD)
    run("pix2pix", "stopped", resume=True, loggers=TENSORBOARD)
    assert_curves_are_those_of_the_log(tmp_path / "stopped", events(tmp_path / "stopped"))
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    ("save", "checkpoint_minutes", "logged"),
    [(2, 10.0, [4]), (3, 10.0, [4, 8]), (6, 0.0, [4]), (11, 0.0, [4, 8])],
    ids=["first epoch again", "second epoch again", "end of the first again", "end of the second again"],
)
def test_an_epoch_that_is_logged_twice_because_of_a_kill_is_one_point(
    preprocessed_folder, tmp_path, events, save, checkpoint_minutes, logged
):
    """Killed once the epoch's row is written and before the checkpoint that knows of it."""
    folder, often = tmp_path / "fold_0", {"checkpoint_minutes": checkpoint_minutes}
    train_apart(
        folder, preprocessed_folder, "pix2pix", until=Moment("half", LATEST, save), loggers=TENSORBOARD, **often
    )
    assert steps(events(folder)) == logged
    train_apart(folder, preprocessed_folder, "pix2pix", resume=True, loggers=TENSORBOARD)
    assert_curves_are_those_of_the_log(folder, events(folder))


def test_an_extended_training_goes_on_in_the_same_curves(run, tmp_path, events):
    run("pix2pix", loggers=TENSORBOARD)
    run("pix2pix", resume=True, epochs=3, loggers=TENSORBOARD)
    assert steps(events(tmp_path / "fold_0")) == [4, 8, 12]


def test_a_training_anew_takes_the_place_of_the_earlier_events(run, tmp_path, events):
    run("pix2pix", loggers=TENSORBOARD)
    run("pix2pix", loggers=TENSORBOARD, epochs=1)
    assert steps(events(tmp_path / "fold_0")) == [4]


def test_without_pairs_there_is_no_curve_of_the_error_and_no_ct(tmp_path, events):
    pytest.importorskip("tensorboard")
    zeros = np.zeros((4, 6), np.float32)
    logger = TensorBoardLog()
    logger.start(logged_training(tmp_path, example=lambda: ExampleImages("P", zeros, zeros, None)))
    logger.epoch({"epoch": 1, "step": 4, "learning_rate": 1e-4, "ms_per_step": 1.0, "l1": 0.5, "val_mae_hu": None})
    logger.finish()
    read = events(tmp_path)
    assert set(read.Tags()["scalars"]) == {"loss/l1", "learning_rate", "ms_per_step"}
    assert Image.open(io.BytesIO(read.Images("MR, sCT, CT")[0].encoded_image_string)).size == (12, 4)


def test_a_picture_shows_hu_in_the_window_of_the_progress_figure():
    hu = np.array([[-1000.0, -600.0, 400.0, 1400.0, 3000.0]], np.float32)
    shown = picture(ExampleImages("P", np.full((1, 5), 2.0, np.float32), hu, hu))
    assert shown.tolist() == [[0] * 5 + 2 * [0, 0, 128, 255, 255]]


def test_a_missing_package_names_the_extra_and_ends_the_command_with_2(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"synthct\[tensorboard\]"):
        run("pix2pix", loggers=TENSORBOARD)
    assert not (tmp_path / "fold_0").exists()
    assert command.main(["1", "pix2pix", "--tensorboard"]) == 2
    message = capsys.readouterr().err.strip()
    assert "synthct[tensorboard]" in message and "\n" not in message
