"""What the evaluation measured of a model: ``metrics.json`` in a model file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthct.errors import ModelError
from synthct.evaluation.baseline import CONSTANTS
from synthct.evaluation.trained_models import find_models
from synthct.files import read_json
from synthct.inference.predict_test_set import TestSetRecord
from synthct.json_dataclasses import from_plain
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.planning.splits import Split

CROSS_VALIDATION = "cross_validation"  # the set of patients that were held out in turn
MAX_ROWS = 10_000  # patients; the bootstrap of a million would take all memory
Rows = tuple[dict[str, Any], ...]

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class Results:
    """Rows of the evaluation's tables, with their columns as in ``metrics_<model>.csv`` and ``summary.csv``."""

    model_hash: str  # of the model, with these folds, that they were measured with
    held_out: Rows  # a row a patient, predicted by the fold that held the patient out
    test: Rows  # a row a patient of the test set
    baselines: Rows  # a row each of CTs of one HU everywhere, on the patients held out
    columns: Rows  # what each column is

    def __post_init__(self) -> None:
        for key, rows in (("patient", (*self.held_out, *self.test)), ("model", self.baselines)):
            if len(rows) > MAX_ROWS or not all(isinstance(row.get(key), str) for row in rows):
                raise ValueError(f"every row must have a {key}, and there may be {MAX_ROWS:,} rows")
        if not all(is_number(row.get("mae_hu")) for row in (*self.held_out, *self.test)):
            raise ValueError("every row must have a mae_hu")


def is_number(value: Any) -> bool:
    """Whether a cell of a table can be calculated with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12


def collect_results(
    model_folder: Path, splits: Mapping[str, Split], model_hash: str, checkpoint: str
) -> Results | None:
    """The evaluation of a model folder; None, and a warning that says why, where there is none of these weights.

    Only rows are taken that were measured with these weights: of a fold that is exported and held the patient out, in
    tables written after the fold's training ended. ``splits`` are of the folds that are exported, and ``model_hash`` is
    of these together.

    Raises:
        ModelError: a table is malformed.
    """
    files = ModelFolder(model_folder)
    if files.metrics.is_file():
        kept = from_plain(Results, read_json(files.metrics, ModelError), str(files.metrics), error=ModelError)
        if kept.model_hash == model_hash:
            return kept
    found = _evaluated(files, splits, model_hash, checkpoint)
    if isinstance(found, Results):
        return found
    log.warning(f"The model card has no results: {found}.")
    return None


def _evaluated(files: ModelFolder, splits: Mapping[str, Split], model_hash: str, checkpoint: str) -> Results | str:
    """What ``synthct_evaluate`` measured, or why it is not of these weights."""
    model = next((model for model in find_models(files.path.parent) if model.folder == files.path), None)
    evaluation = files.path.parent / "evaluation"
    names = [f"metrics_{model.label}", f"metrics_{model.label}_test", "columns", "summary"] if model else []
    paths = [evaluation / f"{name}.json" for name in names]
    if model is None or not any(path.is_file() for path in paths[:2]):
        return "it was not evaluated (synthct_evaluate) before it was exported"
    if checkpoint != CHECKPOINT_FINAL:
        return f"the evaluation is of {CHECKPOINT_FINAL} and not of {checkpoint}"
    trained = max(files.fold(fold).checkpoint(checkpoint).stat().st_mtime for fold in splits)
    if any(path.is_file() and path.stat().st_mtime < trained for path in paths[:3]):
        return "the evaluation in synthct_results is older than a training; run synthct_evaluate and export again"
    scored, test, columns, summary = map(_rows, paths)
    scored = tuple(row | {"fold": str(row.get("fold"))} for row in scored)
    held_out = [row for row in scored if row["fold"] in splits and row.get("patient") in splits[row["fold"]].val]
    if not model.tested or TestSetRecord.load(files.path).folds.keys() != splits.keys():
        test = ()  # other folds predicted it, or these as they were before
    if not held_out and not test:
        return "no patient was scored with the folds that are exported"
    baselines = [
        row for row in summary if row.get("model") in CONSTANTS and row.get("set", CROSS_VALIDATION) == CROSS_VALIDATION
    ]
    tables = {"held_out": held_out, "test": test, "baselines": baselines, "columns": columns}
    return from_plain(Results, {"model_hash": model_hash} | tables, str(evaluation), error=ModelError)


def _rows(path: Path) -> Rows:
    """A JSON table of the evaluation; empty where it is missing."""
    return from_plain(Rows, read_json(path, ModelError), str(path), error=ModelError) if path.is_file() else ()
