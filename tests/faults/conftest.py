"""Commands are started from one process a module, and work on copies of folders that are made once a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands_apart import Commands
from worlds import Worlds


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Starts commands."""
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Worlds:
    """Folders at the stages of the work."""
    return Worlds(tmp_path_factory.mktemp("worlds"), commands)
