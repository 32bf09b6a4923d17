"""Cross-validation folds by patient: ``splits_final.json``, which may be edited by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthct.counted import first_of
from synthct.errors import PlanError
from synthct.files import read_json, write_json
from synthct.json_dataclasses import from_plain, shown, shown_key, to_plain
from synthct.planning.fingerprint import Fingerprint


@dataclass(frozen=True)
class Split:
    """The patients of one fold; ``val`` is held out of the training."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def make_splits(fingerprint: Fingerprint, n_folds: int, seed: int = 0) -> tuple[Split, ...]:
    """Every paired patient is held out by exactly one fold; patients with one scan only are in every training set."""
    paired = sorted(patient for patient, case in fingerprint.cases.items() if case.paired)
    shuffled = np.random.default_rng(seed).permutation(paired).tolist()
    everyone = sorted(fingerprint.cases)
    if n_folds == 1:
        return (Split(tuple(everyone), ()),)
    held_out = [sorted(shuffled[fold::n_folds]) for fold in range(n_folds)]
    return tuple(Split(tuple(sorted(set(everyone) - set(val))), tuple(val)) for val in held_out)


def save_splits(splits: tuple[Split, ...], path: Path) -> None:
    """Write ``splits_final.json``."""
    write_json(to_plain(splits), path)


def load_splits(path: Path, patients: Collection[str]) -> tuple[Split, ...]:
    """Read ``splits_final.json``.

    Raises:
        PlanError: there is no fold, or one names a patient who is unknown, listed twice, or both in training and
            held out.
    """
    plain = read_json(path, PlanError, missing="run synthct_plan_and_preprocess")
    if not isinstance(plain, list):
        raise PlanError(
            f"{path}: 'folds' must be a list, not {shown(plain)}; restore the file, or delete it and run "
            "synthct_plan_and_preprocess again."
        )
    splits = from_plain(tuple[Split, ...], plain, str(path), key="folds")
    if not splits:
        raise PlanError(f"{path} holds no fold; delete it and run synthct_plan_and_preprocess again.")
    for number, split in enumerate(splits):
        times = Counter([*split.train, *split.val])
        unknown = [shown_key(patient) for patient in sorted(times.keys() - set(patients))]
        twice = [shown_key(patient) for patient, n in sorted(times.items()) if n > 1]
        if unknown:
            raise PlanError(
                f"{path}: fold {number} names {first_of(unknown)}, whom the dataset does not have; remove or "
                "correct that."
            )
        if twice:
            raise PlanError(f"{path}: fold {number} lists {first_of(twice)} more than once; remove all but one.")
        if not split.train:
            raise PlanError(f'{path}: fold {number} has no training patient; add some to its "train".')
    return splits


def split_of_fold(splits: tuple[Split, ...], fold: str, patients: Collection[str]) -> Split:
    """The split of fold ``0``, ``1``, ... or ``all`` (every patient trains, none is held out).

    Raises:
        PlanError: there is no such fold.
    """
    if fold == "all":
        return Split(tuple(sorted(patients)), ())
    known = [str(number) for number in range(len(splits))]
    if fold not in known:  # compared as text: 01 would make a second folder for fold 1
        raise PlanError(f"There is no fold {fold}; the folds of this dataset are {', '.join(known)} and all.")
    return splits[int(fold)]
