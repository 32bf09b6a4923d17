"""A worker process that the system ends, as it does for lack of memory, and one that fails: reported with the case."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from commands_apart import Running, assert_same
from worlds import NAME, RAW, Worlds

from synthct.commands import plan_and_preprocess
from synthct.preprocessing import preprocess_dataset as preprocessing

TWO = ("-d", "2", "--train", "2", "--test", "1", "--voxel_scale", "8")


def workers(running: Running) -> list[int]:
    """Those that do the work; multiprocessing starts another process, which cleans up."""
    found = []
    for process in running.others():
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in words:
            found.append(process)
    return found


@pytest.mark.long
def test_a_worker_that_is_ended_once_changes_nothing_in_the_result(commands, worlds: Worlds, tmp_path):
    whole, folder = worlds.copy("raw", tmp_path / "whole"), worlds.copy("raw", tmp_path / "disturbed")
    commands.run("make_example", *TWO, "-np", "1", folder=whole)
    running = commands.start("make_example", *TWO, "-np", "2", folder=folder)
    making = folder / "synthct_raw"
    while not (found := workers(running)) or not list(making.glob(".*.partial.*/imagesTr/*")):
        assert running.process and not running.output.count("interrupted")
        time.sleep(0.005)
    os.kill(found[0], signal.SIGKILL)
    assert running.wait() == 0, running.output
    assert "A worker process was killed" in running.output
    assert_same(making / "Dataset002_HeadPhantom", whole / "synthct_raw" / "Dataset002_HeadPhantom")


def test_workers_that_are_ended_each_time_are_reported_with_the_cases_and_the_remedy(commands, worlds, tmp_path):
    folder = worlds.copy("raw", tmp_path)
    running = commands.start("make_example", *TWO, "-np", "2", folder=folder)
    status = None
    while status is None:
        for process in workers(running):
            os.kill(process, signal.SIGKILL)
        try:
            os.kill(running.process, 0)
        except ProcessLookupError:
            status = running.wait()
        time.sleep(0.005)
    assert status == 2, running.output
    assert "HEAD_001" in running.output and "lack of memory" in running.output and "Traceback" not in running.output
    assert not list((folder / "synthct_raw").glob("*002*")) + list((folder / "synthct_raw").glob(".*"))


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (KeyError("spacing"), 1, ": P1: KeyError: 'spacing'\nThis is a bug in synthct"),
        (MemoryError(), 2, ": P1: there is not enough memory; use fewer workers (-np).\n"),
    ],
)
def test_work_that_fails_is_reported_with_the_case(worlds, tmp_path, monkeypatch, capsys, fault, status, words):
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(preprocessing, "slices_of_case", fail)
    monkeypatch.chdir(worlds.copy("raw", tmp_path))
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == status
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err
    assert not [path for path in Path(f"synthct_preprocessed/{NAME}").rglob("*") if path.suffix in (".npz", ".partial")]
    assert (tmp_path / RAW / "dataset.json").exists()
