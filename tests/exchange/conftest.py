"""A results folder with a small evaluated model, and files made of it to be tampered with."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from model_files import read_members, write_trained_model

from synthct.exchange import export_model


@pytest.fixture(scope="session")
def shared_file(tmp_path_factory) -> Path:
    """A proper model file; not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    model = write_trained_model(folder / "synthct_results")
    return export_model(model, folder / "model.zip").path


@pytest.fixture
def members(shared_file) -> dict[str, bytes]:
    """The members of a proper model file by name; a test changes its copy."""
    return read_members(shared_file)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current directory, with an empty synthct_results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthct_results").mkdir()
    return tmp_path


@pytest.fixture
def run(capsys) -> Callable[..., str]:
    """Run a command that must succeed; what it printed."""

    def run(command: str, *arguments: object) -> str:
        status = importlib.import_module(f"synthct.commands.{command}").main(list(map(str, arguments)))
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Run a command that must end with status 2; the one sentence that it tells."""

    def run(command: str, *arguments: object) -> str:
        capsys.readouterr()
        assert importlib.import_module(f"synthct.commands.{command}").main(list(map(str, arguments))) == 2
        printed = capsys.readouterr().err
        assert "Traceback" not in printed and printed.count(f"synthct_{command}: ") == 1
        reported = printed.partition(f"synthct_{command}: ")[2].splitlines()[0]  # there may be bars before and behind
        assert reported.endswith(".") and reported.isprintable() and len(reported) < 900
        return reported

    return run
