"""The healthy place is made once a process; a test gets a copy of it as its current directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from place import Place, make_place


@pytest.fixture(scope="session")
def healthy(tmp_path_factory) -> Path:
    """The healthy place that copies are made of."""
    root, before = tmp_path_factory.mktemp("healthy"), Path.cwd()
    os.chdir(root)
    try:
        make_place(root)
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def place(healthy, tmp_path, monkeypatch) -> Place:
    """A copy to spoil; the current directory."""
    shutil.copytree(healthy, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Place(tmp_path / "work")
