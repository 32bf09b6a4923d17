"""The style and type checks are part of the suite, so that what CI runs is what a contributor runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=lambda command: command[0])
def test_ruff_finds_nothing(command):
    pytest.importorskip("ruff", reason="the extra 'test' is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--quiet", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_mypy_finds_nothing(tmp_path):
    pytest.importorskip("mypy", reason="the extra 'test' is not installed")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
