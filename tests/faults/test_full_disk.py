"""A full disk: one sentence with the file and the remedy, nothing half-written, and afterwards the command completes.

A limit on the size of files stands for the full disk, because it needs no rights; where a small file system can be
mounted, it is a full one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands_apart import Commands, assert_same, contents
from worlds import RAW, ROWS, Row, Worlds, mostly_long

SHORT = ("plan_and_preprocess", "train", "predict", "import_data")


@pytest.fixture(scope="module")
def whole_of(tmp_path_factory, commands, worlds):
    """The folder that an undisturbed command makes."""
    known: dict[Row, Path] = {}

    def make(row: Row) -> Path:
        if row not in known:
            folder = worlds.copy(row.stage, tmp_path_factory.mktemp("whole"))
            commands.run(row.command, *row.arguments, folder=folder)
            known[row] = folder / row.makes
        return known[row]

    return make


def sizes(folder: Path) -> list[int]:
    return sorted({path.stat().st_size for path in folder.rglob("*") if path.is_file()})


def assert_reported_and_whole(row: Row, status: int, message: str, folder: Path, whole: Path) -> None:
    """Exit status 2, a sentence that ends with the remedy, every file whole, and none that is hidden."""
    assert status == 2, message
    assert "Traceback" not in message
    (sentence,) = [
        line for line in message.splitlines() if line.startswith(f"synthct_{row.command.removesuffix('_data')}: ")
    ]
    assert re.search(r"\.\w+\b.*free space", sentence), "the file and the remedy"
    there = contents(whole)
    intermediate = {"checkpoint_latest.pth", "training_log.csv", "progress.png"}
    for name, content in (contents(folder / row.makes) if (folder / row.makes).exists() else {}).items():
        assert ".partial." not in name
        assert Path(name).name in intermediate or content == there[name]
    assert not [path for path in folder.rglob(".*") if not path.is_dir()]


@pytest.mark.parametrize(
    ("row", "share"),
    [(row, 1.0) for row in ROWS if row.command in SHORT]
    + [
        pytest.param(row, share, marks=pytest.mark.long)
        for row in ROWS
        for share in (0.3, 0.6, 0.8, *([] if row.command in SHORT else [1.0]))
    ],
    ids=str,
)
def test_a_file_that_cannot_grow(row, share, commands: Commands, worlds: Worlds, whole_of, tmp_path):
    whole = whole_of(row)
    largest = sizes(whole)
    limit = max(20, largest[round(share * (len(largest) - 1))] // 2)
    folder = worlds.copy(row.stage, tmp_path)
    running = commands.start(row.command, *row.arguments, folder=folder, largest_file=limit)
    assert_reported_and_whole(row, running.wait(), running.output, folder, whole)
    commands.run(row.command, *row.arguments, *row.again, folder=folder)
    assert_same(folder / row.makes, whole)


def test_what_was_there_before_is_unharmed(commands, worlds, whole_of, tmp_path):
    row = next(row for row in ROWS if row.command == "predict")
    folder = worlds.copy(row.stage, tmp_path)
    shutil.copytree(whole_of(row), folder / row.makes)
    (sct,) = (folder / row.makes).glob("*.nii.gz")
    running = commands.start(row.command, *row.arguments, folder=folder, largest_file=sct.stat().st_size // 2)
    assert running.wait() == 2, running.output
    assert sct.read_bytes() == (whole_of(row) / sct.name).read_bytes()


def test_a_full_disk_is_no_patients_fault(commands, worlds, tmp_path):
    row, folder = next(row for row in ROWS if row.command == "import_data"), worlds.copy("raw", tmp_path)
    running = commands.start(row.command, *row.arguments, "--skip_bad", folder=folder, largest_file=3000)
    assert running.wait() == 2 and "free space" in running.output, running.output
    assert not (folder / row.makes).exists()


@pytest.mark.parametrize("ending", ["dicom", "nii", "mha", "mhd", "nrrd"])
def test_an_sct_in_any_format_is_whole_or_not_there(ending, commands, worlds, tmp_path):
    folder = worlds.copy("trained", tmp_path)
    arguments = ("-d", "1", "-i", str(RAW / "imagesTs"), "-o", "cts", "--output_format", ending)
    running = commands.start("predict", *arguments, folder=folder, largest_file=3000)
    assert running.wait() == 2 and "free space" in running.output, running.output
    assert not [path for path in (folder / "cts").rglob("*") if path.is_file()]


@pytest.fixture
def small_disk(tmp_path) -> Iterator:
    """Mounts a file system of a few bytes over a folder."""
    mounted: list[Path] = []

    def mount(folder: Path, size: int) -> None:
        if shutil.which("mount") is None:
            pytest.skip("there is no mount")
        how = [f"size={size}", *(["remount"] if folder in mounted else [])]
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(how), "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("no file system can be mounted here")
        mounted.append(folder)

    yield mount
    for folder in set(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "row",
    mostly_long("predict"),
    ids=str,
)
def test_a_disk_that_is_full(row, commands, worlds, whole_of, small_disk, tmp_path):
    whole = whole_of(row)
    folder = worlds.copy(row.stage, tmp_path)
    root = folder / row.makes.parts[0]
    before = folder / "before"
    if root.exists():
        root.rename(before)
    root.mkdir()
    there = sum(-(-path.stat().st_size // 4096) * 4096 for path in before.rglob("*") if path.is_file())
    new = sum(-(-path.stat().st_size // 4096) * 4096 for path in whole.rglob("*") if path.is_file())
    small_disk(root, there + max(4096, new // 2))
    if before.exists():
        shutil.copytree(before, root, dirs_exist_ok=True)
    running = commands.start(row.command, *row.arguments, folder=folder)
    assert_reported_and_whole(row, running.wait(), running.output, folder, whole)
    small_disk(root, 2**28)
    commands.run(row.command, *row.arguments, *row.again, folder=folder)
    assert_same(folder / row.makes, whole)
