"""What an installed synthct consists of."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_a_wheel_holds_every_file_of_the_package(tmp_path):
    pytest.importorskip("setuptools", reason="setuptools is not installed: no wheel was built")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "synthct", tmp_path / "synthct", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", ".", "--quiet", "--no-deps", "--no-build-isolation", "-w", "wheels"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").iterdir()
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("synthct/")}
    there = {
        f"synthct/{path.relative_to(tmp_path / 'synthct').as_posix()}" for path in (tmp_path / "synthct").rglob("*.*")
    }
    assert packed == {name for name in there if "__pycache__" not in name}
    assert "synthct/evaluation/report/viewer.js" in packed
