"""The three folders: by environment variable, else in the current directory, else one clear sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from synthct.errors import FolderError
from synthct.paths import root_folder

NAMES = ["synthct_raw", "synthct_preprocessed", "synthct_results"]


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_variable_comes_first(tmp_path, name):
    (tmp_path / name).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert root_folder(name, {name: str(elsewhere)}, tmp_path) == elsewhere


@pytest.mark.parametrize("environ", [{}, {"synthct_raw": ""}])
def test_without_it_the_folder_of_that_name_here_is_taken(tmp_path, environ):
    (tmp_path / "synthct_raw").mkdir()
    assert root_folder("synthct_raw", environ, tmp_path) == tmp_path / "synthct_raw"


def test_with_neither_the_variable_and_the_remedy_are_reported(tmp_path):
    with pytest.raises(FolderError, match=r"synthct_raw is not set .*export synthct_raw="):
        root_folder("synthct_raw", {}, tmp_path)


def test_a_variable_that_names_no_folder_is_reported_and_not_replaced_by_the_folder_here(tmp_path):
    (tmp_path / "synthct_raw").mkdir()
    with pytest.raises(FolderError, match="which does not exist"):
        root_folder("synthct_raw", {"synthct_raw": str(tmp_path / "gone")}, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="which is a file"):
        root_folder("synthct_raw", {"synthct_raw": str(tmp_path / "file")}, tmp_path)


def test_the_environment_is_read_when_needed(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("synthct_results", str(tmp_path / name))
        assert root_folder("synthct_results") == tmp_path / name


def test_importing_needs_no_folder(tmp_path):
    environ = {key: value for key, value in os.environ.items() if key not in NAMES}
    modules = "synthct.paths, synthct.commands.plan_and_preprocess, synthct.commands.predict, synthct.commands.train"
    subprocess.run([sys.executable, "-c", f"import {modules}"], cwd=tmp_path, env=environ, check=True)
