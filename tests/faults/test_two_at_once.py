"""Two commands on one folder: the second says that it is in use, and by whom, and changes nothing."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from commands_apart import Running, assert_same, contents
from worlds import MODEL, PREPROCESSED, RESULTS, ROWS, TRAINING, Row, Worlds, mostly_long

from synthct.locks import reading, section, writing

HELD = {
    "plan_and_preprocess": PREPROCESSED,
    "train": MODEL / "fold_0",
    "predict": Path("cts"),
    "evaluate": Path("scores"),
    "make_example": Path("synthct_raw/Dataset002"),
    "import_data": Path("synthct_raw/Dataset003"),
}


def assert_refused(status: int, message: str, held: Path) -> None:
    assert status == 2, message
    assert re.search(
        rf"^synthct_\w+: \S*{re.escape(str(held))} is in use by synthct_other \(process {os.getpid()} on \S+ "
        r"since [-\d]+ [:\d]+\); wait until it has ended\.$",
        message,
        re.MULTILINE,
    ), message


@pytest.mark.parametrize("row", mostly_long("predict", "import_data"), ids=str)
def test_who_comes_second_is_reported_who_works_there(row, commands, worlds: Worlds, tmp_path):
    folder = worlds.copy(row.stage, tmp_path)
    held = HELD[row.command]
    with writing(folder / held, "synthct_other"):
        before = contents(folder)
        running = commands.start(row.command, *row.arguments, folder=folder)
        assert_refused(running.wait(), running.output, held)
        assert contents(folder) == before


@pytest.mark.parametrize("clean", [pytest.param((), marks=pytest.mark.long), ("--clean",)])
def test_slices_that_are_trained_on_are_not_replaced(clean, commands, worlds, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    before = contents(folder)
    with reading(folder / PREPROCESSED, "synthct_other"):
        running = commands.start("plan_and_preprocess", "-d", "1", "-c", "2d_lowres", *clean, folder=folder)
        assert_refused(running.wait(), running.output, PREPROCESSED)
    assert contents(folder) == before


def test_slices_that_are_being_written_are_not_trained_on(commands, worlds, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    with writing(folder / PREPROCESSED, "synthct_other"):
        running = commands.start("train", *TRAINING, folder=folder)
        assert_refused(running.wait(), running.output, PREPROCESSED)
    assert not list((folder / RESULTS.parent).iterdir())


def test_a_dataset_is_checked_while_it_is_preprocessed(commands, worlds, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    with writing(folder / PREPROCESSED, "synthct_other"):
        commands.run("plan_and_preprocess", "-d", "1", "--verify_only", "-np", "1", folder=folder)


@pytest.mark.long
def test_folds_of_one_model_are_trained_at_once(commands, worlds, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    with reading(folder / PREPROCESSED, "synthct_other"), writing(folder / MODEL / "fold_1", "synthct_other"):
        commands.run("train", "1", "pix2pix", "all", *TRAINING[2:], folder=folder)
    assert (folder / MODEL / "fold_all" / "checkpoint_final.pth").exists()


@pytest.mark.long
def test_a_training_waits_for_its_turn_at_what_folds_share(commands, worlds, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    with section(folder / MODEL):
        running = commands.start("train", *TRAINING, folder=folder)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert not (folder / MODEL / "plans.json").exists()
            time.sleep(0.05)
    assert running.wait() == 0, running.output


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in ROWS if row.command != "import_data"], ids=str)
def test_of_two_that_start_together_one_works_and_one_says_so(row: Row, commands, worlds, tmp_path):
    whole = worlds.copy(row.stage, tmp_path / "whole")
    commands.run(row.command, *row.arguments, folder=whole)
    folder = worlds.copy(row.stage, tmp_path / "both")
    for running in [commands.start(row.command, "--version", folder=folder) for _ in range(2)]:
        assert running.wait() == 0  # both can start at once from now on
    both = [commands.start(row.command, *row.arguments, folder=folder) for _ in range(2)]
    first, second = sorted(both, key=Running.wait)
    assert first.wait() == 0, first.output
    if row.command != "predict":  # which is so quick that the other may wait for it
        assert second.wait() == 2, second.output
        assert f"(process {first.process} on " in second.output
    assert_same(folder / row.makes, whole / row.makes)
    assert not list(folder.rglob(".*"))
