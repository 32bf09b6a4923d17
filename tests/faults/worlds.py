"""The table of commands that are disturbed, and small folders for them to work in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands_apart import Commands
from synthetic_datasets import PAIRED, make_network_tiny, write_dataset

NAME = "Dataset001_Heads"
RAW, PREPROCESSED, RESULTS = (Path(root) / NAME for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"))
MODEL = RESULTS / "pix2pix__plans__2d_lowres"
TRAINING = ("1", "pix2pix", "-c", "2d_lowres", "-device", "cpu", "--epochs", "2", "--iterations", "8")


@dataclass(frozen=True)
class Row:
    """A command to disturb.

    Attributes:
        command: a module of ``synthct.commands``.
        arguments: of it.
        stage: what is there before: ``raw``, ``preprocessed``, ``trained`` or ``exported``.
        makes: the folder that it writes.
        again: further arguments of the second start.
    """

    command: str
    arguments: tuple[str, ...]
    stage: str
    makes: Path
    again: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.command


ROWS = (
    Row("plan_and_preprocess", ("-d", "1", "-c", "2d_lowres", "-np", "1"), "raw", PREPROCESSED),
    Row("train", (*TRAINING, "--checkpoint_minutes", "0.0001"), "preprocessed", RESULTS, ("--continue",)),
    Row("predict", ("-d", "1", "-i", str(RAW / "imagesTs"), "-o", "cts"), "trained", Path("cts")),
    Row(
        "evaluate",
        ("-p", str(MODEL / "fold_0/validation"), "-r", str(RAW / "targetsTr"), "-o", "scores", "-np", "1")
        + ("--protocol", "seed"),
        "trained",
        Path("scores"),
    ),
    Row(
        "make_example",
        ("-d", "2", "--train", "1", "--test", "1", "--voxel_scale", "8", "-np", "1"),
        "raw",
        Path("synthct_raw/Dataset002_HeadPhantom"),
    ),
    Row("import_data", ("-i", str(RAW), "-d", "3", "--name", "B", "-np", "1"), "raw", Path("synthct_raw/Dataset003_B")),
)

# They take moments, and what they write takes its place in one move.
OF_MODELS = (
    Row("export_model", ("-o", "exported/model.zip", "--overwrite"), "trained", Path("exported")),
    Row("install_model", ("model.zip", "-o", "installed", "--overwrite"), "exported", Path("installed")),
)


def mostly_long(*short: str, rows: tuple[Row, ...] = ROWS) -> list[Any]:
    """Rows, for ``parametrize``: those commands in the short suite, the others in the long one alone."""
    return [row if row.command in short else pytest.param(row, marks=pytest.mark.long) for row in rows]


class Worlds:
    """Folders at the stages of the work, each made once and copied for each test."""

    def __init__(self, root: Path, commands: Commands) -> None:
        self._root, self._commands = root, commands
        self._seconds: dict[Row, float] = {}

    def copy(self, stage: str, folder: Path) -> Path:
        """A folder at that stage, for a test to work in; files keep their times, which belong to the caches' keys."""
        shutil.copytree(self._stage(stage), folder, dirs_exist_ok=True)
        return folder

    def _stage(self, stage: str) -> Path:
        folder = self._root / stage
        if folder.exists():
            return folder
        if stage == "raw":
            for root in (RAW, PREPROCESSED, RESULTS):
                (folder / root.parent).mkdir(parents=True)
            write_dataset(folder / RAW, {"P1": PAIRED, "P2": PAIRED})
            write_dataset(folder / RAW, {"T1": PAIRED}, part="Ts")
        elif stage == "preprocessed":
            self.copy("raw", folder)
            self._commands.run("plan_and_preprocess", "-d", "1", "-c", "2d_lowres", "-np", "1", folder=folder)
            make_network_tiny(folder / PREPROCESSED / "plans.json")
        elif stage == "trained":
            self.copy("preprocessed", folder)
            self._commands.run("train", *TRAINING, folder=folder)
        else:
            self.copy("trained", folder)
            self._commands.run("export_model", "-o", "model.zip", folder=folder)
        return folder
