"""Ctrl-C as a terminal sends it, to all processes of a command: it and its workers end at once, without a traceback."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import replace

import pytest
from worlds import ROWS, Row

LIMIT_S = 5.0
MAKE_EXAMPLE = next(row for row in ROWS if row.command == "make_example")


def interrupt(row: Row, after_s: float, commands, folder, *, number=signal.SIGINT, **how) -> tuple[int, str]:
    """Exit status and what was said, after the checks that hold for every moment."""
    running = commands.start(row.command, *row.arguments, folder=folder, **how)
    time.sleep(after_s)
    begin = time.monotonic()
    running.signal(number, group=True)
    status = running.wait()
    assert time.monotonic() - begin < LIMIT_S
    running.assert_no_process_is_left(1.0)
    assert "Traceback" not in running.output, running.output
    assert not [path for path in folder.rglob(".*") if ".partial." in path.name or path.name.endswith(".lock")]
    return status, running.output


@pytest.mark.parametrize(
    ("row", "number"),
    [(row, 0) if row.command in ("predict", "import_data") else
     pytest.param(row, number, marks=pytest.mark.long) for row in ROWS for number in range(3)
     if number == 0 or row.command not in ("predict", "import_data")],
    ids=str,
)  # fmt: skip
def test_at_a_random_moment(row, number, commands, worlds, tmp_path):
    after_s = random.Random(f"{row} {number}").uniform(0.02, 0.2 if row.command in ("predict", "import_data") else 1.5)
    status, message = interrupt(row, after_s, commands, worlds.copy(row.stage, tmp_path))
    assert status == 0 or (status == 130 and message.endswith("interrupted.\n")), message


@pytest.mark.parametrize("after_s", [0.15, *(pytest.param(s, marks=pytest.mark.long) for s in (0.05, 0.1, 0.25, 0.5))])
def test_while_a_command_is_being_loaded(after_s, commands, worlds, tmp_path):
    row = MAKE_EXAMPLE
    status, _ = interrupt(row, after_s, commands, worlds.copy(row.stage, tmp_path), fresh=True)
    assert status in (130, -signal.SIGINT)  # the latter before the command itself has begun; a shell calls both 130


@pytest.mark.parametrize(
    "after_s", [0.1, *(pytest.param(s, marks=pytest.mark.long) for s in (0.3, 0.6, 1.0, 1.5, 2.0, 3.0))]
)
def test_while_workers_are_started_and_work(after_s, commands, worlds, tmp_path):
    arguments = ("-d", "2", "--train", "4", "--test", "1", "--voxel_scale", "4", "-np", "2")
    row = replace(MAKE_EXAMPLE, arguments=arguments)
    status, message = interrupt(row, after_s, commands, worlds.copy(row.stage, tmp_path))
    assert status == 130 and "synthct_make_example: interrupted.\n" in message and "Traceback" not in message, message


def test_sigterm_to_the_command_alone_ends_its_workers_too(commands, worlds, tmp_path):
    folder = worlds.copy("raw", tmp_path)
    arguments = ("-d", "2", "--train", "4", "--test", "1", "--voxel_scale", "4", "-np", "2")
    running = commands.start("make_example", *arguments, folder=folder)
    while len(running.others()) < 3:  # two workers, and what multiprocessing starts beside them
        time.sleep(0.01)
    running.signal(signal.SIGTERM)
    assert running.wait(LIMIT_S) == 130, running.output
    running.assert_no_process_is_left(1.0)
    assert "Traceback" not in running.output
    assert not list((folder / "synthct_raw").glob(".*"))
