"""All cases of a dataset into the cache, in parallel; what is done and unchanged is skipped."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthct.dataset.images import found_heads, head_masks, read_case
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import coding_of
from synthct.planning.plan import Configuration, PreprocessingPlan
from synthct.preprocessing.cache import (
    CACHE_VERSION,
    cache_folder,
    cache_key,
    cached_path,
    key_of,
    refined_folder,
    refined_key,
)
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.case_report import ReportEntry, ShownWindows, remove_others, report_entry, report_on_case
from synthct.preprocessing.refined_pairs import refined_stack, refinement_of

# What a worker holds at its peak for a voxel of the raw images, and what the libraries take. Measured on a pair of 38
# million voxels: 13 bytes a voxel and 144 MiB; rounded up.
BYTES_A_VOXEL, LIBRARIES_BYTES = 20, 200 * 2**20


@dataclass(frozen=True)
class CacheEntry:
    """One cached file to be made: where, by which plan, its key, and whether it is of a refined pair."""

    path: Path
    plan: PreprocessingPlan
    key: str
    refined: bool = False


def preprocess_dataset(
    raw: RawDataset,
    configurations: Mapping[str, Configuration],
    folder: Path,
    *,
    refine: bool = False,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> tuple[int, int]:
    """Write the cached slices that are new or changed; drop patients who are gone.

    Configurations that share their preprocessing share the cached slices. A case's images are read, and the head in
    them is found, once for all of them and for the case's part of the report: its picture and its findings, with the
    windows of the first configuration.

    Args:
        raw: the dataset.
        configurations: by name, those to preprocess.
        folder: the preprocessed dataset.
        refine: whether pairs are refined, too, for methods that need pairs; else what was refined before is removed.
        runner: how the patients are worked through; bad are those who cannot be preprocessed.

    Returns:
        How many cached files were written, and how many were there already and unchanged.
    """
    stale: dict[str, tuple[CaseFiles, list[CacheEntry]]] = {}
    pairs = {patient for patient, case in raw.training.items() if refine and case.paired}
    caches = {
        cache_folder(folder, configuration.preprocessing): configuration.preprocessing
        for configuration in configurations.values()
    }
    for cache, plan in caches.items():
        refined = refined_folder(cache)
        for of_folder, wanted in ((cache, raw.training), (refined, pairs)):
            for leftover in of_folder.glob("*.npz"):
                if leftover.stem not in wanted:
                    leftover.unlink()
        if not refine:
            shutil.rmtree(refined, ignore_errors=True)
        for patient, case in raw.training.items():
            key = cache_key(case, plan)
            entries = [CacheEntry(cached_path(cache, patient), plan, key)]
            if patient in pairs:
                entries.append(CacheEntry(cached_path(refined, patient), plan, refined_key(key), refined=True))
            for entry in entries:
                if key_of(entry.path) != entry.key:
                    stale.setdefault(patient, (case, []))[1].append(entry)
    coding = coding_of(next(iter(configurations.values())), "plans.json")
    windows = ShownWindows(coding.expected_mr(len(raw.channel_names)), coding.hu_range)
    jobs = _with_report(stale, raw, windows, Path(folder))
    runner.run(_preprocess_case, jobs, describe="Preprocessing")
    written = sum(len(entries) for _, entries in stale.values())
    return written, (len(raw.training) + len(pairs)) * len(caches) - written


def memory_per_worker(fingerprint: Fingerprint) -> int:
    """Upper bound in bytes of what a worker takes for the largest case."""
    volumes = [[*case.mr, *([case.ct] if case.ct else [])] for case in fingerprint.cases.values()]
    largest = max(sum(float(np.prod(volume.size_xyz)) for volume in case) for case in volumes)
    return int(largest * BYTES_A_VOXEL) + LIBRARIES_BYTES


def _with_report(
    stale: dict[str, tuple[CaseFiles, list[CacheEntry]]], raw: RawDataset, windows: ShownWindows, folder: Path
) -> dict[str, tuple[CaseFiles, list[CacheEntry], ReportEntry | None]]:
    """The cases to be done, by their slices or by their part of the report."""
    remove_others(folder, raw.training)
    jobs = {}
    for patient, case in raw.training.items():
        entry = report_entry(folder, case, windows, CACHE_VERSION)
        _, entries = stale.get(patient, (case, []))
        if entries or entry is not None:
            jobs[patient] = (case, entries, entry)
    return jobs


def _preprocess_case(case: CaseFiles, entries: list[CacheEntry], report: ReportEntry | None) -> None:
    images = read_case(case)
    masks = head_masks(images)
    refinement = None
    for entry in entries:
        stack = slices_of_case(images, entry.plan, masks)
        if entry.refined:
            refinement = refinement_of(images, masks) if refinement is None else refinement
            stack = refined_stack(images, entry.plan, masks, refinement, stack)
        replace(stack, info={**stack.info, "made_from": entry.key}).save(entry.path)
    if report is not None:
        report_on_case(images, masks, report, heads=found_heads(images, masks))
