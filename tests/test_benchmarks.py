"""Programs that measure are not run by the suite; they must at least find what they measure."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_a_benchmark_can_be_imported(name, monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")  # some set it where it is not set
    importlib.import_module(f"benchmarks.{name}")
