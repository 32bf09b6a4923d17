"""Writes the example dataset: paired head phantoms in the raw dataset layout."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import SimpleITK as sitk

from synthct.dataset.phantom.patient import make_phantom_patient

Progress = Callable[..., Iterable]


def _no_progress(iterable: Iterable, **_: object) -> Iterable:
    return iterable


def make_example_dataset(
    dataset_folder: Path,
    *,
    n_train: int = 8,
    n_test: int = 2,
    seed: int = 0,
    voxel_scale: float = 1.0,
    misalignment_mm: float = 3.0,
    file_ending: str = ".nii.gz",
    workers: int = 1,
    progress: Progress = _no_progress,
) -> list[str]:
    """Writes ``n_train`` + ``n_test`` patients and dataset.json; returns the case identifiers.

    ``progress`` is called like tqdm: ``progress(iterable, total=n, desc=...)``. With ``workers`` above 1, patients are
    made in that many processes.
    """
    dataset_folder = Path(dataset_folder)
    if n_train < 1 or n_test < 0:
        raise ValueError(f"n_train must be 1 or more and n_test 0 or more, got {n_train} and {n_test}")
    cases = [f"HEAD_{number:03d}" for number in range(1, n_train + n_test + 1)]
    suffixes = ["Tr"] * n_train + ["Ts"] * n_test
    for suffix in sorted(set(suffixes)):
        for kind in ("images", "targets"):
            (dataset_folder / f"{kind}{suffix}").mkdir(parents=True, exist_ok=True)
    write = partial(
        _write_patient,
        dataset_folder=dataset_folder,
        seed=seed,
        voxel_scale=voxel_scale,
        misalignment_mm=misalignment_mm,
        file_ending=file_ending,
    )
    jobs = list(zip(range(len(cases)), cases, suffixes, strict=True))
    if workers > 1:
        # Spawned, not forked: a fork copies the locks of SimpleITK's thread pool and may hang.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(write, *job) for job in jobs]
            for future in progress(as_completed(futures), total=len(jobs), desc="Making phantoms"):
                future.result()
    else:
        for job in progress(jobs, total=len(jobs), desc="Making phantoms"):
            write(*job)
    description = {
        "channel_names": {"0": "T1"},
        "file_ending": file_ending,
        "name": "Head phantoms",
        "description": "Computer-made paired head MR (T1 gradient echo) and CT with known anatomy; no patient data.",
        "licence": "CC0 1.0",
    }
    # Written last: a dataset.json says that the dataset is complete.
    temporary = dataset_folder / ".tmp-dataset.json"
    temporary.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, dataset_folder / "dataset.json")
    return cases


def _write_patient(
    index: int,
    case: str,
    suffix: str,
    *,
    dataset_folder: Path,
    seed: int,
    voxel_scale: float,
    misalignment_mm: float,
    file_ending: str,
) -> None:
    patient = make_phantom_patient(index, seed=seed, voxel_scale=voxel_scale, misalignment_mm=misalignment_mm)
    write_image(patient.mr, dataset_folder / f"images{suffix}" / f"{case}_0000{file_ending}")
    write_image(patient.ct, dataset_folder / f"targets{suffix}" / f"{case}{file_ending}")


def write_image(image: sitk.Image, path: Path) -> None:
    """Writes beside and moves into place, so that a broken run leaves no half image under a good name."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
