"""A training that is killed at any moment and continued is the uninterrupted one, bit for bit."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from same_training import FINAL, LATEST, assert_same_training
from tiny_training import PAIRED, TRAIN, VAL
from trained_apart import Moment, has_ended, train_apart

from synthct.files import read_json
from synthct.training.checkpoint import load_checkpoint

# The tiny training has 2 epochs of 4 steps, and 2 network updates a step. checkpoint_latest.pth is written at the
# start and after each epoch, which is 3 times.
MOMENTS = [
    Moment("half", LATEST, 1),  # the very first
    Moment("update", call=1),  # before the first step
    Moment("update", call=14),  # in the midst of step 7; steps 5 and 6 are to be done again
    Moment("moved", "training_log.csv", 1),  # the epoch's row is there, its checkpoint is not
    Moment("half", LATEST, 2),  # at the end of an epoch
    Moment("moved", LATEST, 2),
    Moment("moved", LATEST, 3),  # all is done but for the final model
    Moment("half", FINAL),
    Moment("moved", FINAL),  # split.json is not yet there
]
EVERY_STEP = {"checkpoint_minutes": 0.0}
MOMENTS_WITHIN_AN_EPOCH = [  # with a checkpoint after every step
    Moment("update", call=6),  # in the midst of step 3, of which step 2 is saved
    Moment("half", LATEST, 4),
    Moment("whole", LATEST, 4),
]


@pytest.fixture(scope="module", params=["cyclegan", "pix2pix"])
def trainer(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(trainer, preprocessed_folder, tmp_path_factory) -> Path:
    """The fold folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole") / "fold_0"
    train_apart(folder, preprocessed_folder, trainer)
    return folder


def assert_all_checkpoints_are_whole(folder: Path) -> None:
    for path in folder.glob("checkpoint_*.pth"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("moment", "checkpoints"),
    [(moment, {}) for moment in MOMENTS] + [(moment, EVERY_STEP) for moment in MOMENTS_WITHIN_AN_EPOCH],
    ids=lambda value: str(value) if isinstance(value, Moment) else "every_step" if value else "every_epoch",
)
def test_killed_at_a_moment_and_continued(moment, checkpoints, trainer, whole, preprocessed_folder, tmp_path):
    folder = tmp_path / "fold_0"
    train_apart(folder, preprocessed_folder, trainer, until=moment, **checkpoints)
    assert_all_checkpoints_are_whole(folder)
    assert any(".partial." in path.name for path in folder.iterdir()) == (moment.what in ("half", "whole"))
    train_apart(folder, preprocessed_folder, trainer, resume=True)
    assert_same_training(folder, whole)


def test_killed_again_and_again_at_random_moments(trainer, whole, preprocessed_folder, tmp_path):
    folder, seed = tmp_path / "fold_0", 20
    delays = random.Random(f"{seed} {trainer}")
    for _ in range(8):
        after_s = delays.uniform(0.05, 0.25)
        train_apart(folder, preprocessed_folder, trainer, after_s=after_s, resume=True, **EVERY_STEP)
        reached = load_checkpoint(folder / LATEST)["step"] if (folder / LATEST).exists() else None
        print(f"killed after {after_s:.4f} s (seed {seed}); the last checkpoint is of step {reached}")
        assert_all_checkpoints_are_whole(folder)
    train_apart(folder, preprocessed_folder, trainer, resume=True)
    assert_same_training(folder, whole)


def test_the_loader_processes_of_a_killed_training_end(preprocessed_folder, tmp_path):
    moment = Moment("update", call=6)
    loaders = train_apart(tmp_path / "fold_0", preprocessed_folder, "pix2pix", until=moment, loaders=2)
    assert len(loaders) == 2
    end = time.monotonic() + 20
    while not all(map(has_ended, loaders)):
        assert time.monotonic() < end, "a loader process outlives the training"
        time.sleep(0.05)


# -- in a fold folder that holds an earlier training ----------------------------------------------------------------


@pytest.mark.parametrize(
    "moment", [Moment("update", call=4), Moment("moved", LATEST, 2), Moment("half", FINAL)], ids=str
)
def test_a_finished_training_killed_while_it_is_extended(moment, preprocessed_folder, tmp_path):
    folder, whole, constant = tmp_path / "extended", tmp_path / "whole", {"values": {"epochs_decay": 0}}
    train_apart(whole, preprocessed_folder, "pix2pix", epochs=3, **constant)
    train_apart(folder, preprocessed_folder, "pix2pix", epochs=2, **constant)
    train_apart(folder, preprocessed_folder, "pix2pix", until=moment, epochs=3, resume=True, **constant)
    assert load_checkpoint(folder / FINAL)["epoch"] == 2, "the earlier model must stay until the extension is complete"
    train_apart(folder, preprocessed_folder, "pix2pix", resume=True, **constant)  # it still knows of the third epoch
    assert_same_training(folder, whole)


@pytest.mark.parametrize("moment", [Moment("moved", LATEST, 3), Moment("moved", FINAL)], ids=str)
def test_a_new_training_killed_at_its_very_end_still_takes_the_place_of_the_earlier_one(
    moment, preprocessed_folder, tmp_path
):
    folder, whole = tmp_path / "anew", tmp_path / "whole"
    new = {"split": {"train": PAIRED[1:], "val": PAIRED[:1]}, "values": {"seed": 8}}
    train_apart(whole, preprocessed_folder, "pix2pix", **new)
    train_apart(folder, preprocessed_folder, "pix2pix")
    train_apart(folder, preprocessed_folder, "pix2pix", until=moment, **new)
    assert read_json(folder / "split.json") == {"train": TRAIN, "val": VAL}
    train_apart(folder, preprocessed_folder, "pix2pix", resume=True, **new)
    assert_same_training(folder, whole)
