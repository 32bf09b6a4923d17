"""A script without a guard, which spawned workers run again, is told so at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synthct

BODY = """
import operator
from synthct.errors import SynthctError
from synthct.parallel import CaseRunner
{before}
{guard}
    try:
        print(CaseRunner(workers=2).run(operator.mul, {{f"P{{i}}": (i, 2) for i in range(4)}}))
    except SynthctError as fault:
        print("told:", fault)
"""
GUARD = 'if __name__ == "__main__":'


@pytest.fixture
def run(tmp_path):
    """Run such a script; its output, its errors, and the seconds that it took."""

    def go(guard: str, before: str = "") -> tuple[str, str, float]:
        script = tmp_path / "mine.py"
        script.write_text(BODY.format(guard=guard, before=before))
        environment = os.environ | {"PYTHONPATH": str(Path(synthct.__file__).parents[1])}
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=90
        )
        return done.stdout, done.stderr, time.monotonic() - begun

    return go


def test_a_script_without_a_guard_is_told_to_have_one(run):
    told, errors, seconds = run("if True:")
    assert told.startswith("told: ") and "mine.py again in every worker process" in told
    assert 'if __name__ == "__main__":'.replace('"', "'") in told and "memory" not in told
    assert errors == "" and seconds < 30


def test_a_script_that_fails_where_it_is_run_again_is_told_the_same_beside_its_error(run):
    told, errors, _ = run("if True:", 'if __name__ != "__main__": raise ValueError("the folder is locked")')
    assert "ended with the error above" in told and "if __name__ == '__main__':" in told
    assert "ValueError: the folder is locked" in errors


def test_a_script_with_a_guard_gets_its_results(run):
    assert run(GUARD)[0] == "{'P0': 0, 'P1': 2, 'P2': 4, 'P3': 6}\n"
