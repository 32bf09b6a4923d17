"""Where cached slices lie, and the key by which a file is known to be what would be made now."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from synthct.counted import first_of
from synthct.errors import PlanError
from synthct.json_dataclasses import to_plain
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.slice_stack import SliceStack

if TYPE_CHECKING:
    from synthct.dataset.raw import CaseFiles  # which needs SimpleITK; a training does not

# Part of the key of every cached file: raise it when the same plan and images give another file.
CACHE_VERSION = 6
CACHE_PREFIX = "slices_"
REFINED = "refined"  # folder in that of a configuration's slices
# Likewise, of the stacks of refined pairs.
REFINEMENT_VERSION = 1


def cache_folder(preprocessed: Path, plan: PreprocessingPlan) -> Path:
    """The folder of cached slices that this preprocessing makes: one for all configurations that share it.

    Its name says what is in it, such as ``slices_sagittal_1.00x0.98x0.98mm_3f2a9c``.
    """
    spacing = "x".join(f"{mm:.2f}" for mm in plan.network_spacing_mm)
    digest = hashlib.sha256(_plain_text(plan).encode()).hexdigest()[:6]
    return Path(preprocessed) / f"{CACHE_PREFIX}{plan.slice_plane}_{spacing}mm_{digest}"


def cached_path(folder: Path, patient: str) -> Path:
    """The cached slices of a patient, in a :func:`cache_folder`."""
    return Path(folder) / f"{patient}.npz"


def refined_folder(folder: Path) -> Path:
    """Where the stacks of refined pairs lie, in a :func:`cache_folder`."""
    return Path(folder) / REFINED


def refined_key(key: str) -> str:
    """The key of the stack of a refined pair, from that of the rigid one; 16 hexadecimal digits."""
    return hashlib.sha256(f"{REFINEMENT_VERSION} {key}".encode()).hexdigest()[:16]


def cache_key(case: CaseFiles, plan: PreprocessingPlan) -> str:
    """Changes when the preprocessing or one of the case's files does; 16 hexadecimal digits."""
    return hashlib.sha256(f"{CACHE_VERSION} {case.key()} {_plain_text(plan)}".encode()).hexdigest()[:16]


def key_of(path: Path) -> str | None:
    """The key that a cached file was made with; None of a file that is missing or cannot be read."""
    info = SliceStack.load_info(path) if path.is_file() else None
    return info.get("made_from") if info else None


def check_cached(folder: Path, patients: Iterable[str], configuration: str) -> None:
    """Whether the slices of all these patients are there.

    Raises:
        PlanError: they are not all there.
    """
    missing = [patient for patient in patients if not cached_path(folder, patient).is_file()]
    if missing:
        raise PlanError(
            f"{folder} lacks the slices of {first_of(missing)}; "
            f"run synthct_plan_and_preprocess for the configuration {configuration}."
        )


def remove_earlier_caches(preprocessed: Path, configurations: Collection[str]) -> list[Path]:
    """Remove the folders of cached slices that earlier versions kept a configuration each; returns those removed."""
    removed = []
    for name in configurations:
        folder = Path(preprocessed) / name
        if folder.is_dir() and any(folder.glob("*.npz")):
            shutil.rmtree(folder)
            removed.append(folder)
    return removed


@functools.lru_cache(maxsize=16)  # the same for thousands of cases
def _plain_text(plan: PreprocessingPlan) -> str:
    return json.dumps(to_plain(plan))
