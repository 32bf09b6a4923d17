"""The tables of an evaluation: CSV for people and spreadsheets, JSON twins for programs, and one for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthct.evaluation.metrics import METRICS
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import Comparison, Summary
from synthct.files import write_json, write_text

_COLUMNS = tuple(metric.column for metric in METRICS)
PATIENT_COLUMNS = ("patient", "fold", *_COLUMNS, "voxels", "mask")
SUMMARY_COLUMNS = ("model", "n", *(f"{column}_{part}" for column in _COLUMNS for part in ("mean", "sd")))
COMPARISON_COLUMNS = ("metric", "model_a", "model_b", "n", "mean_difference", "t", "p", "sentence")

_MASKS_IN_WORDS = {
    "ct_and_mr": "the head determined in both CT and MR",
    "ct": "the head determined in the reference CT",
    "given": "the given head mask",
}


def write_patient_table(rows: Sequence[Row], label: str, folder: Path) -> tuple[Path, Path]:
    """``metrics_<label>.csv`` and its JSON twin: a row a patient."""
    records = [
        {"patient": row.patient, "fold": row.fold, **row.metrics, "voxels": row.voxels, "mask": row.mask}
        for row in rows
    ]
    return _write(records, PATIENT_COLUMNS, folder / f"metrics_{label}.csv")


def write_summary(summaries: Sequence[Summary], folder: Path) -> tuple[Path, Path]:
    """``summary.csv`` and its JSON twin: a row a model, mean and sample SD of every metric."""
    records = []
    for summary in summaries:
        record: dict[str, Any] = {"model": summary.model, "n": summary.n}
        for column in _COLUMNS:
            record |= {f"{column}_mean": summary.mean[column], f"{column}_sd": summary.sd[column]}
        records.append(record)
    return _write(records, SUMMARY_COLUMNS, folder / "summary.csv")


def write_comparison(comparisons: Sequence[Comparison], folder: Path) -> tuple[Path, Path]:
    """``comparison.csv`` and its JSON twin: a row a metric and two models; only the header with a single model."""
    records = [{column: getattr(comparison, column) for column in COMPARISON_COLUMNS} for comparison in comparisons]
    return _write(records, COMPARISON_COLUMNS, folder / "comparison.csv")


def _write(records: Sequence[Mapping[str, Any]], columns: Sequence[str], csv: Path) -> tuple[Path, Path]:
    """CSV with six digits and JSON with all.

    What cannot be computed (NaN) is empty in CSV and null in JSON; an infinite PSNR is ``inf`` in CSV and, as JSON has
    no such number, null there.
    """
    frame = pd.DataFrame.from_records(list(records), columns=list(columns))
    for column in ("fold", "voxels", "n"):  # whole numbers stay so beside empty cells
        if column in frame:
            frame[column] = frame[column].astype("Int64")
    write_text(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"), csv)
    twin = csv.with_suffix(".json")
    write_json([{key: _for_json(value) for key, value in record.items()} for record in records], twin)
    return csv, twin


def _for_json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def terminal_table(
    rows: Mapping[str, Sequence[Row]], summaries: Sequence[Summary], *, width: int = 100, max_patients: int = 40
) -> str:
    """The seed's Table 1 as text: a row a patient, a column a model with MAE / PSNR, last the mean and SD.

    Args:
        rows: the scored patients by model, in the order of the columns.
        summaries: of the same models.
        width: characters a line; models that do not fit stand in a further block below.
        max_patients: more patients than this are left to the CSV files.

    Returns:
        Lines without a final newline.
    """
    summary_of = {summary.model: summary for summary in summaries}
    patients = sorted({row.patient for of_model in rows.values() for row in of_model})
    left = ["", "", *patients[:max_patients], "mean ± SD", "patients"]
    columns = []
    for model, of_model in rows.items():
        score = {row.patient: row for row in of_model}
        cells = [f"{_pair(score[patient].metrics)}" if patient in score else "-" for patient in patients[:max_patients]]
        columns.append([model, "MAE HU / PSNR dB", *cells, _mean_and_sd(summary_of[model]), str(len(of_model))])

    left = _padded(left, max_width=24)
    lines = []
    for block in _blocks([_padded(column, max_width=width - 28) for column in columns], width - len(left[0])):
        lines.append("")
        for i, cells in enumerate(zip(left, *block)):
            if i == len(left) - 2:
                if len(patients) > max_patients:
                    lines.append(f"... {len(patients) - max_patients} more patients in the CSV files")
                lines.append("-" * (len(left[0]) + sum(3 + len(column[0]) for column in block)))
            lines.append("   ".join(cells).rstrip())
    masks = {row.mask for of_model in rows.values() for row in of_model}
    lines += ["", f"Compared inside {' or '.join(_MASKS_IN_WORDS[mask] for mask in sorted(masks))}; HU not clipped."]
    return "\n".join(lines[1:])


def _pair(metrics: Mapping[str, float]) -> str:
    return f"{metrics['mae_hu']:.1f} / {metrics['psnr_db']:.1f}"


def _mean_and_sd(summary: Summary) -> str:
    parts = []
    for column in ("mae_hu", "psnr_db"):
        mean, sd = summary.mean[column], summary.sd[column]
        parts.append(f"{mean:.1f}" if math.isnan(sd) else f"{mean:.1f} ± {sd:.1f}")
    return " / ".join(parts)


def _padded(cells: Sequence[str], max_width: int) -> list[str]:
    """All cells of one width, too long ones cut in the middle, where names differ least."""
    short = []
    for cell in cells:
        if len(cell) > max_width:
            head = (max_width - 2) // 2
            cell = cell[:head] + ".." + cell[-(max_width - 2 - head) :]
        short.append(cell)
    return [cell.ljust(max(map(len, short))) for cell in short]


def _blocks(columns: Sequence[list[str]], width: int) -> list[list[list[str]]]:
    """Columns in groups that fit ``width`` beside each other, three spaces apart."""
    blocks: list[list[list[str]]] = [[]]
    used = 0
    for column in columns:
        needed = 3 + len(column[0])
        if blocks[-1] and used + needed > width:
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += needed
    return blocks
