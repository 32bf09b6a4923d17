"""Fuzz one entry point in a process of its own, and say in a few lines how it went.

    python -m fuzzing.run images --seconds 60

A crash of a library takes the fuzzing process with it, and libraries write pages of complaints; so both are kept apart
from what is shown. Exit status 1 where an input was found that the entry point cannot bear.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ENTRY_POINTS = ("json_files", "images", "dicom")
ARTIFACTS = Path(__file__).parent / "artifacts"
_SHOWN_BYTES = 20_000  # of the output's end, where the reason stands


def main() -> int:
    """Parse the arguments, fuzz, report."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing.run", description=__doc__.splitlines()[0])
    parser.add_argument("entry_point", choices=ENTRY_POINTS)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    arguments = parser.parse_args()
    name = arguments.entry_point
    before = _artifacts(name)
    with tempfile.TemporaryFile() as output:
        process = subprocess.run(
            [sys.executable, "-m", f"fuzzing.{name}", "--seconds", str(arguments.seconds)],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(max(0, output.seek(0, 2) - _SHOWN_BYTES))
        reported = output.read().decode(errors="replace")
    if process.returncode == 0:
        runs = re.search(r"number_of_executed_units: (\d+)", reported)
        print(f"{name}: {runs[1] if runs else 'no'} inputs in {arguments.seconds} s, each read or properly refused.")
        return 0
    print(
        reported[reported.rfind(" === Uncaught Python exception") :]
        if "Uncaught Python exception" in reported
        else reported[-3000:]
    )
    for path in sorted(_artifacts(name) - before):
        print(f"{name}: this input broke it; see it again with: python -m fuzzing.{name} --reproduce {path}")
    return 1


def _artifacts(name: str) -> set[Path]:
    return set((ARTIFACTS / name).glob("*"))


if __name__ == "__main__":
    sys.exit(main())
