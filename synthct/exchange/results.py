"""What the evaluation measured of a model: ``metrics.json`` in a model file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthct.errors import ModelError
from synthct.evaluation.baseline import CONSTANTS
from synthct.evaluation.intervals import bootstrap_interval
from synthct.evaluation.trained_models import find_models
from synthct.files import read_json
from synthct.inference.predict_test_set import TestSetRecord
from synthct.json_dataclasses import from_plain
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.planning.splits import Split

Rows = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Results:
    """Rows of the evaluation's tables, with their columns as in ``metrics_<model>.csv`` and ``summary.csv``."""

    model_hash: str  # of the model, with these folds, that they were measured with
    held_out: Rows  # a row a patient, predicted by the fold that held the patient out
    test: Rows  # a row a patient of the test set
    baselines: Rows  # a row each of CTs of one HU everywhere, on the patients held out
    columns: Rows  # what each column is

    def __post_init__(self) -> None:
        for row in (*self.held_out, *self.test):
            if not isinstance(row.get("patient"), str) or not _is_number(row.get("mae_hu")):
                raise ValueError("every row must have a patient and a mae_hu")

    @property
    def patients(self) -> set[str]:
        """Who was scored."""
        return {row["patient"] for row in (*self.held_out, *self.test)}

    def renamed(self, new: Mapping[str, str]) -> Results:
        """The same with other case ids, in their order."""

        def rows(old: Rows) -> Rows:
            return tuple(
                sorted((row | {"patient": new[row["patient"]]} for row in old), key=lambda row: row["patient"])
            )

        return replace(self, held_out=rows(self.held_out), test=rows(self.test))


@dataclass(frozen=True)
class Figure:
    """A metric over ``n`` patients: mean, sample SD (None of one), 95 % interval of the mean (bootstrap)."""

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None


def figures(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Figure]:
    """By column, over the rows that have it; without the columns that none has."""
    found = {}
    for column in columns:
        if values := [float(row[column]) for row in rows if _is_number(row.get(column))]:
            sd = statistics.stdev(values) if len(values) > 1 else None
            interval = bootstrap_interval(np.array(values))  # NaN of fewer than three
            known = None if math.isnan(interval[0]) else interval
            found[column] = Figure(len(values), statistics.fmean(values), sd, known)
    return found


def collect_results(
    model_folder: Path, splits: Mapping[str, Split], model_hash: str, checkpoint: str
) -> tuple[Results | None, str]:
    """The evaluation of a model folder, or None and why not.

    Only rows are taken that were measured with these weights: of a fold that is exported and held the patient out, in
    tables written after the fold's training ended.

    Args:
        model_folder: in ``synthct_results/<Dataset>``, or one that was installed.
        splits: of the folds that are exported.
        model_hash: of these folds together.
        checkpoint: the file of each fold that is exported.

    Raises:
        ModelError: a table is malformed.
    """
    files, evaluation = ModelFolder(model_folder), model_folder.parent / "evaluation"
    if files.metrics.is_file():
        kept = from_plain(Results, read_json(files.metrics, ModelError), str(files.metrics), error=ModelError)
        if kept.model_hash == model_hash:
            return kept, ""
    label = next((model.label for model in find_models(model_folder.parent) if model.folder == model_folder), None)
    of_held_out, of_test = (evaluation / f"metrics_{label}{of}.json" for of in ("", "_test"))
    of_columns = evaluation / "columns.json"
    if label is None or not (of_held_out.is_file() or of_test.is_file()):
        return None, "it was not evaluated (synthct_evaluate) before it was exported"
    if checkpoint != CHECKPOINT_FINAL:
        return None, f"the evaluation is of {CHECKPOINT_FINAL} and not of {checkpoint}"
    trained = max(files.fold(fold).checkpoint(checkpoint).stat().st_mtime for fold in splits)
    if any(path.is_file() and path.stat().st_mtime < trained for path in (of_held_out, of_test, of_columns)):
        return None, "the evaluation in synthct_results is older than a training; run synthct_evaluate and export again"
    rows = [row | {"fold": str(row.get("fold"))} for row in _rows(of_held_out)]
    held_out = tuple(row for row in rows if row["fold"] in splits and row["patient"] in splits[row["fold"]].val)
    test = tuple(_rows(of_test)) if _tested_by(model_folder, splits) else ()
    if not held_out and not test:
        return None, "no patient was scored with the folds that are exported"
    baselines = tuple(
        row
        for row in _rows(evaluation / "summary.json", key="model")
        if row["model"] in CONSTANTS and row.get("set", "cross_validation") == "cross_validation"
    )
    return Results(model_hash, held_out, test, baselines, tuple(_rows(of_columns, key="column"))), ""


def _tested_by(model_folder: Path, folds: Mapping[str, Split]) -> bool:
    """Whether exactly these folds, as they are now, predicted the test set."""
    try:
        record = TestSetRecord.load(model_folder)
    except ModelError:
        return False
    return record.folds.keys() == folds.keys() and not record.changed_folds(model_folder)


def _rows(path: Path, key: str = "patient") -> list[dict[str, Any]]:
    """A JSON table of the evaluation; empty where it is missing."""
    if not path.is_file():
        return []
    rows = read_json(path, ModelError)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get(key), str) for row in rows):
        raise ModelError(f"{path} is not a table of an evaluation; run synthct_evaluate again.")
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
