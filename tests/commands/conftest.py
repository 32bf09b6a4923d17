"""Commands run in an empty current directory, with no environment variable of synthct set."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = ("synthct_raw", "synthct_preprocessed", "synthct_results")


def typed(command: str) -> str:
    """What a user types for the command of a module."""
    return "synthct_" + command.removesuffix("_data")  # import is a keyword, so its module is import_data


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def checkout(here) -> Path:
    """The current directory with the three folders in it, as a checkout has them."""
    for name in NAMES:
        (here / name).mkdir()
    return here


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Run a command that must fail with status 2; the one sentence that it tells after any progress bars."""

    def run(command: str, *arguments: str) -> str:
        capsys.readouterr()
        assert importlib.import_module(f"synthct.commands.{command}").main(list(arguments)) == 2
        bars, said, reported = capsys.readouterr().err.partition(f"{typed(command)}: ")
        assert said and reported.endswith(".\n")
        assert "Traceback" not in bars + reported
        return reported

    return run
