"""A script without a guard, which spawned workers run again, is stopped with the reason at once."""

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
        print("error:", fault)
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


def test_a_script_without_a_guard_is_reported_to_have_one(run):
    message, errors, seconds = run("if True:")
    assert message.startswith("error: ") and "mine.py again in every worker process" in message
    assert 'if __name__ == "__main__":'.replace('"', "'") in message and "memory" not in message
    assert errors == "" and seconds < 30


def test_a_script_that_fails_where_it_is_run_again_is_reported_the_same_beside_its_error(run):
    message, errors, _ = run("if True:", 'if __name__ != "__main__": raise ValueError("the folder is locked")')
    assert "ended with the error above" in message and "if __name__ == '__main__':" in message
    assert "ValueError: the folder is locked" in errors


def test_a_script_with_a_guard_gets_its_results(run):
    assert run(GUARD)[0] == "{'P0': 0, 'P1': 2, 'P2': 4, 'P3': 6}\n"
