"""``python -OO`` strips docstrings and assertions; synthct works without either."""

import subprocess
import sys

_SCRIPT = """
import importlib, pkgutil, sys
import synthct

if sys.flags.optimize != 2 or synthct.__doc__ is not None:
    raise SystemExit("docstrings are still there")
for module in pkgutil.walk_packages(synthct.__path__, "synthct."):
    importlib.import_module(module.name)

from pathlib import Path
from synthct.dataset.raw import RawDataset
from synthct.planning.planner import make_plan
from synthetic_datasets import paired_fingerprint

raw = RawDataset(Path("Dataset001_Heads"), ("T1",), ".mha", {}, {}, ())
for planner in ("default", "wolterink2017"):
    print(make_plan(planner, raw, paired_fingerprint(2)).reasons["configurations.2d_lowres"].rule)
"""


def test_all_modules_are_imported_and_a_plan_is_made_without_docstrings():
    path = f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
    done = subprocess.run([sys.executable, "-OO", "-c", path + _SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reason = "half the resolution along every axis, a quarter of the width, few steps: minutes on a laptop's CPU"
    assert done.stdout.splitlines() == [reason] * 2
