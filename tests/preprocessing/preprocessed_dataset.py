"""The preprocessed dataset that the tests of planning and preprocessing start from, and what they look at in it."""

from __future__ import annotations

import json
from pathlib import Path

from synthetic_datasets import PAIRED, cache_of

from synthct.imaging.coding import GreyLevels
from synthct.planning.method_settings import settings_of
from synthct.planning.plan import Plan

PATIENTS = {"P1": PAIRED, "P2": PAIRED, "P3": PAIRED, "M": {"mr"}, "C": {"ct"}}
JSONS = {"dataset.json", "dataset_fingerprint.json", "plans.json", "splits_final.json"}
REPORT = {"preprocessing_report.html", *(f"report/{p}.{ending}" for p in PATIENTS for ending in ("jpg", "json"))}


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def page(folder: Path) -> str:
    return (folder / "preprocessing_report.html").read_text(encoding="utf-8")


def read(path: Path):
    return json.loads(path.read_text())


def cached(folder: Path, configuration: str = "2d_lowres") -> Path:
    """Where the cached slices of a configuration are, relative to the preprocessed dataset."""
    return cache_of(folder, configuration).relative_to(folder)


def cyclegan_coding(plan: Plan, configuration: str = "2d_lowres") -> GreyLevels:
    return settings_of("cyclegan", plan.configurations[configuration], "plans.json").coding


def held_out(folder: Path) -> list[list[str]]:
    return [fold["val"] for fold in read(folder / "splits_final.json")]


def widen(plan: dict) -> None:
    """Other HU for CycleGAN's grey levels: of what it does not say, 2d_lowres takes the values of 2d."""
    plan["configurations"]["2d_lowres"]["methods"]["cyclegan"]["coding"] = {"ct_window_hu": [-1000, 2000]}


def coarsen(plan: dict) -> None:
    """Another grid for 2d_lowres, which the configurations that inherit from it follow."""
    plan["configurations"]["2d_lowres"]["preprocessing"]["spacing_mm"] = [9, 8, 8]
