"""Neither the clock, nor the times of files, nor language and encoding of the system change a result."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from commands_apart import assert_same, contents
from worlds import PREPROCESSED, RAW, ROWS, Worlds

from synthct.dataset.raw import RawDataset

PLAN, TRAIN, PREDICT, EVALUATE = ROWS[:4]
DAY_NS = 86_400 * 10**9
YEARS = {"1970": 1, "2100": 47_482 * DAY_NS}
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def set_times(folder: Path, time_ns: int) -> None:
    for path in folder.rglob("*"):
        os.utime(path, ns=(time_ns, time_ns))


@pytest.mark.parametrize(
    "row", [PLAN, *(pytest.param(row, marks=pytest.mark.long) for row in (PREDICT, EVALUATE))], ids=str
)
@pytest.mark.parametrize(
    "system",
    [{**PLAIN, "TZ": "Pacific/Kiritimati"}]
    + [
        pytest.param({**PLAIN, "LC_ALL": locale, "TZ": zone}, marks=pytest.mark.long)
        for locale, zone in (("de_DE.UTF-8", "Europe/Berlin"), ("POSIX", "America/Nuuk"), ("tr_TR.UTF-8", "UTC"))
    ],
    ids=lambda system: system["LC_ALL"],
)
def test_in_any_language_time_zone_and_folder(row, system, commands, worlds: Worlds, tmp_path):
    """A fresh Python, because it decides at its start how it writes the names of files and its messages."""
    whole = worlds.copy(row.stage, tmp_path / "whole")
    commands.run(row.command, *row.arguments, folder=whole)
    folder = worlds.copy(row.stage, tmp_path / "Zürich 世界")
    commands.run(row.command, *row.arguments, folder=folder, fresh=True, **system)
    here, there = contents(folder / row.makes), contents(whole / row.makes)
    assert here.keys() == there.keys()
    assert not [name for name in here if here[name] != there[name]]


@pytest.mark.parametrize("year", ["2100", pytest.param("1970", marks=pytest.mark.long)])
def test_files_of_another_time_are_taken_and_known_again(year, commands, worlds, tmp_path):
    """So it is after a clock was set back, too: the files are then newer than what is made of them."""
    folder = worlds.copy("raw", tmp_path)
    set_times(folder / RAW, YEARS[year])
    commands.run(PLAN.command, *PLAN.arguments, folder=folder)
    made = contents(folder / PREPROCESSED)
    set_times(folder / PREPROCESSED, 2)
    message = commands.run(PLAN.command, *PLAN.arguments, folder=folder)
    assert "0 cached cases written, 2 unchanged" in message
    assert contents(folder / PREPROCESSED) == made


@pytest.mark.long
@pytest.mark.parametrize("year", YEARS)
def test_a_training_and_a_prediction_do_not_look_at_times(year, commands, worlds, tmp_path):
    for row in (replace(TRAIN, again=()), PREDICT, EVALUATE):
        whole, folder = worlds.copy(row.stage, tmp_path / f"{row} whole"), worlds.copy(row.stage, tmp_path / str(row))
        commands.run(row.command, *row.arguments, folder=whole)
        for root in ("synthct_preprocessed", "synthct_results"):
            set_times(folder / root, YEARS[year])
        commands.run(row.command, *row.arguments, folder=folder)
        assert_same(folder / row.makes, whole / row.makes)


def test_a_file_that_is_older_than_its_predecessor_is_a_change(worlds, tmp_path):
    folder = worlds.copy("raw", tmp_path)
    case = RawDataset.open(folder / RAW).training["P1"]
    before = case.files_key()
    time_ns = case.ct.stat().st_mtime_ns
    os.utime(case.ct, ns=(time_ns, time_ns - DAY_NS))
    assert case.files_key() != before


def test_a_file_of_the_same_size_and_time_is_taken_as_unchanged(commands, worlds, tmp_path):
    """Reading all files at each run would take as long as the work; --clean does it (documentation/reference.md)."""
    folder = worlds.copy("preprocessed", tmp_path)
    ct = RawDataset.open(folder / RAW).training["P1"].ct
    times, content = (ct.stat().st_atime_ns, ct.stat().st_mtime_ns), bytearray(ct.read_bytes())
    content[9] ^= 1  # in gzip's header: which system wrote the file
    ct.write_bytes(content)
    os.utime(ct, ns=times)
    message = commands.run(PLAN.command, *PLAN.arguments, folder=folder)
    assert "0 cached cases written, 2 unchanged" in message
    message = commands.run(PLAN.command, *PLAN.arguments, "--clean", folder=folder)
    assert "2 cached cases written, 0 unchanged" in message
