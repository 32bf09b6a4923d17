"""Raw data are never written to: commands work where they cannot be, and leave times and bytes as they were."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds import RAW, Worlds, mostly_long


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and bytes of all that is there."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.fixture
def read_only() -> Iterator:
    """Takes the right to write from a folder: by its permissions, or, since root needs none, by a mount."""
    made: list[Path] = []

    def take(folder: Path) -> None:
        if os.geteuid():
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222)
        elif shutil.which("mount") is None or subprocess.run(["mount", "--bind", folder, folder]).returncode:
            pytest.skip("nothing can be mounted here")
        elif subprocess.run(["mount", "-o", "remount,ro,bind", folder]).returncode:
            subprocess.run(["umount", "-l", folder], check=True)
            pytest.skip("nothing can be mounted here")
        made.append(folder)
        with pytest.raises(OSError):
            (folder / "new").touch()

    yield take
    for folder in made:
        if os.geteuid():
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)
        else:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("row", mostly_long("plan_and_preprocess", "predict", "import_data"), ids=str)
def test_every_command_works(row, commands, worlds: Worlds, read_only, tmp_path):
    folder = worlds.copy(row.stage, tmp_path)
    read_only(folder / RAW)
    before = listing(folder / RAW)
    commands.run(row.command, *row.arguments, folder=folder)
    assert listing(folder / RAW) == before


def test_slices_that_can_only_be_read_can_be_trained_on(commands, worlds, read_only, tmp_path):
    folder = worlds.copy("preprocessed", tmp_path)
    read_only(folder / "synthct_preprocessed")
    before = listing(folder / "synthct_preprocessed")
    commands.run("train", "1", "pix2pix", "-c", "2d_lowres", "--benchmark_steps", "2", folder=folder)
    assert listing(folder / "synthct_preprocessed") == before
