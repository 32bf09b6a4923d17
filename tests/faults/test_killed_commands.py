"""Every command, killed with SIGKILL at random moments and started again, leaves what an undisturbed one leaves."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from commands_apart import Commands, assert_same, contents
from worlds import OF_MODELS, RAW, ROWS, Row, Worlds, mostly_long

KILLED_IN_SHORT = ("plan_and_preprocess", "train", "predict", "import_data")
KILLS_EACH = 12  # of the long variant, a command


class Undisturbed:
    """What each command leaves, and how long it takes."""

    def __init__(self, root: Path, commands: Commands, worlds: Worlds) -> None:
        self._root, self._commands, self._worlds = root, commands, worlds
        self._known: dict[tuple[Row, bool], tuple[Path, float]] = {}

    def __call__(self, row: Row, *, fresh: bool = False) -> tuple[Path, float]:
        """The folder that it makes, and seconds."""
        if (row, fresh) not in self._known:
            folder = self._worlds.copy(row.stage, self._root / f"{row}_{fresh}")
            begin = time.monotonic()
            self._commands.run(row.command, *row.arguments, folder=folder, fresh=fresh)
            self._known[row, fresh] = folder / row.makes, time.monotonic() - begin
        return self._known[row, fresh]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, commands, worlds) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), commands, worlds)


def kill_and_start_again(
    row: Row, moments: random.Random, kills: int, folder: Path, commands: Commands, undisturbed: Undisturbed, **how
) -> None:
    """Kill a command so many times, each time later than nothing and sooner than its end, and let it complete then."""
    whole, seconds = undisturbed(row, **how)
    raw = contents(folder / RAW)
    again: tuple[str, ...] = ()
    for _ in range(kills):
        after_s, group = moments.uniform(0, seconds), moments.random() < 0.5
        running = commands.start(row.command, *row.arguments, *again, folder=folder, **how)
        time.sleep(after_s)
        running.signal(signal.SIGKILL, group=group)
        status = running.wait()
        print(f"{row}: {'the group' if group else 'it alone'} killed after {after_s:.3f} of {seconds:.3f} s: {status}")
        running.assert_no_process_is_left()
        assert_nothing_half_written_has_a_name(row, folder / row.makes, whole)
        if status == 0 and row.command == "import_data":  # it does not overwrite
            return assert_same(folder / row.makes, whole)
        again = row.again
        if row.command == "make_example" and (folder / row.makes).exists():
            again = ("--overwrite",)
    already_there = row.command == "import_data" and (folder / row.makes).exists()
    if not already_there:  # killed between its last act and its end
        commands.run(row.command, *row.arguments, *again, folder=folder, **how)
    assert_same(folder / row.makes, whole)
    assert contents(folder / RAW) == raw
    hidden = [path for path in folder.rglob(".*")]
    assert not hidden, "what killed runs left must go"


def assert_nothing_half_written_has_a_name(row: Row, folder: Path, whole: Path) -> None:
    """Every file that is not hidden is as it is in the end; of a training, it can be read."""
    if not folder.exists():
        return
    here = {name: content for name, content in contents(folder).items() if ".partial." not in name}
    there = contents(whole)
    unfinished = {"checkpoint_latest.pth", "training_log.csv", "progress.png"}
    for name, content in here.items():
        if name in there and Path(name).name not in unfinished:
            assert content == there[name], f"{name} of a killed {row} is not whole"


@pytest.mark.parametrize(
    "row", mostly_long("plan_and_preprocess", "train", "predict", "import_data", rows=(*ROWS, *OF_MODELS)), ids=str
)
def test_killed_once_and_started_again(row, commands, worlds, undisturbed, tmp_path):
    moments = random.Random(f"{row} 1")
    kill_and_start_again(row, moments, 1, worlds.copy(row.stage, tmp_path), commands, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("number", range(KILLS_EACH // 2))
@pytest.mark.parametrize("row", (*ROWS, *OF_MODELS), ids=str)
def test_killed_again_and_again(row, number, commands, worlds, undisturbed, tmp_path):
    moments = random.Random(f"{row} {number} again and again")
    kill_and_start_again(row, moments, 2, worlds.copy(row.stage, tmp_path), commands, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_killed_with_its_workers_beside_it(row, number, commands, worlds, undisturbed, tmp_path):
    two = tuple("2" if before == "-np" else argument for before, argument in zip(("", *row.arguments), row.arguments))
    row = Row(row.command, two, row.stage, row.makes, row.again)
    moments = random.Random(f"{row} {number} workers")
    kill_and_start_again(row, moments, 1, worlds.copy(row.stage, tmp_path), commands, undisturbed, fresh=True)
