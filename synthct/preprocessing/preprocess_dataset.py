"""All cases of a dataset into the cache, in parallel; what is done and unchanged is skipped."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthct.dataset.images import head_masks, read_case
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.errors import PlanError
from synthct.json_dataclasses import to_plain
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Configuration, PreprocessingPlan
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.case_report import ReportEntry, remove_others, report_entry, report_on_case
from synthct.preprocessing.slice_stack import SliceStack

# Part of the key of every cached file: raise it when the same plan and images give another file.
CACHE_VERSION = 5
# What a worker holds at its peak for a voxel of the raw images, and what the libraries take. Measured on a pair of 38
# million voxels: 13 bytes a voxel and 144 MiB; rounded up.
BYTES_A_VOXEL, LIBRARIES_BYTES = 20, 200 * 2**20


@dataclass(frozen=True)
class CacheEntry:
    """One cached file to be made: where, by which plan, and the key by which it is known again."""

    path: Path
    plan: PreprocessingPlan
    key: str


def preprocess_dataset(
    raw: RawDataset,
    configurations: Mapping[str, Configuration],
    folder: Path,
    *,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> tuple[int, int]:
    """Write ``<folder>/<configuration>/<patient>.npz`` for all that is new or changed; drop patients who are gone.

    A case's images are read, and the head in them is found, once for all configurations and for the case's part of the
    report: its picture and its findings, with the windows of the first configuration.

    Args:
        raw: the dataset.
        configurations: by name, those to preprocess.
        folder: the preprocessed dataset.
        runner: how the patients are worked through; bad are those who cannot be preprocessed.

    Returns:
        How many cached files were written, and how many were there already and unchanged.
    """
    stale: dict[str, tuple[CaseFiles, list[CacheEntry]]] = {}
    for name, configuration in configurations.items():
        for leftover in (Path(folder) / name).glob("*.npz"):
            if leftover.stem not in raw.training:
                leftover.unlink()
        for patient, case in raw.training.items():
            path = Path(folder) / name / f"{patient}.npz"
            entry = CacheEntry(path, configuration.preprocessing, cache_key(case, configuration.preprocessing))
            if _key_of(path) != entry.key:
                stale.setdefault(patient, (case, []))[1].append(entry)
    jobs = _with_report(stale, raw, next(iter(configurations.values())).preprocessing, Path(folder))
    runner.run(_preprocess_case, jobs, describe="Preprocessing")
    written = sum(len(entries) for _, entries in stale.values())
    return written, len(raw.training) * len(configurations) - written


def check_cached(folder: Path, patients: Iterable[str]) -> None:
    """Whether the slices of all these patients are there.

    Raises:
        PlanError: they are not all there.
    """
    missing = [patient for patient in patients if not (Path(folder) / f"{patient}.npz").is_file()]
    if missing:
        raise PlanError(
            f"{folder} lacks the slices of {', '.join(missing[:5])}{' and others' * (len(missing) > 5)}; "
            f"run synthct_plan_and_preprocess for the configuration {Path(folder).name}."
        )


def memory_per_worker(fingerprint: Fingerprint) -> int:
    """Upper bound in bytes of what a worker takes for the largest case."""
    volumes = [[*case.mr, *([case.ct] if case.ct else [])] for case in fingerprint.cases.values()]
    largest = max(sum(float(np.prod(volume.size_xyz)) for volume in case) for case in volumes)
    return int(largest * BYTES_A_VOXEL) + LIBRARIES_BYTES


def cache_key(case: CaseFiles, plan: PreprocessingPlan) -> str:
    """Changes when the plan or one of the case's files does."""
    return hashlib.sha256(f"{CACHE_VERSION} {case.key()} {_plain_text(plan)}".encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=16)  # the same for thousands of cases
def _plain_text(plan: PreprocessingPlan) -> str:
    return json.dumps(to_plain(plan))


def _key_of(path: Path) -> str | None:
    info = SliceStack.load_info(path) if path.is_file() else None
    return info.get("made_from") if info else None


def _with_report(
    stale: dict[str, tuple[CaseFiles, list[CacheEntry]]], raw: RawDataset, plan: PreprocessingPlan, folder: Path
) -> dict[str, tuple[CaseFiles, list[CacheEntry], ReportEntry | None]]:
    """The cases to be done, by their slices or by their part of the report."""
    remove_others(folder, raw.training)
    jobs = {}
    for patient, case in raw.training.items():
        entry = report_entry(folder, case, plan, CACHE_VERSION)
        _, entries = stale.get(patient, (case, []))
        if entries or entry is not None:
            jobs[patient] = (case, entries, entry)
    return jobs


def _preprocess_case(case: CaseFiles, entries: list[CacheEntry], report: ReportEntry | None) -> None:
    images = read_case(case)
    masks = head_masks(images)
    for entry in entries:
        stack = slices_of_case(images, entry.plan, masks)
        replace(stack, info={**stack.info, "made_from": entry.key}).save(entry.path)
    if report is not None:
        report_on_case(images, masks, report)
