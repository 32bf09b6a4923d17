"""The tables of an evaluation: CSV for people and spreadsheets, JSON twins for programs, and one for the terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthct.evaluation.compared import MaskKind, masks_in_words
from synthct.evaluation.metrics import Metric, metrics_in
from synthct.evaluation.score import Row
from synthct.evaluation.scored_set import ScoredSet
from synthct.evaluation.statistics import Summary
from synthct.files import write_json, write_text
from synthct.preprocessing.refined_pairs import floor_in_words

COMPARISON_COLUMNS = (
    "metric",
    "model_a",
    "model_b",
    "n",
    "mean_difference",
    "t",
    "p",
    "sentence",
    "ci95_low",
    "ci95_high",
    "wilcoxon_p",
    "holm_p",
    "set",
    "mask",
    "clipping",
    "grid",
)
_GRID = "each patient's sCT (that of the patient's MR); the reference CT is interpolated linearly"


def write_tables(sets: Sequence[ScoredSet], folder: Path) -> tuple[Path, ...]:
    """All tables of an evaluation: ``metrics_<label>``, ``summary``, ``comparison`` (not of two folders), ``columns``.

    Args:
        sets: a cross-validation, a test set (its tables end in ``_test``), both, or two folders.
    """
    metrics = metrics_in(next(iter(sets[0].rows.values()))[0].metrics)
    paths: list[Path] = []
    for scored_set in sets:
        for label, rows in scored_set.rows.items():
            name = f"{label}_test" if scored_set.patients == "test" else label
            paths += write_patient_table(rows, name, folder)
    paths += write_summary(sets, folder)
    if sets[0].patients != "folders":
        paths += write_comparison(sets, folder)
    masks = {row.mask for scored_set in sets for rows in scored_set.rows.values() for row in rows}
    paths += write_columns(metrics, masks, folder)
    return tuple(paths)


def write_patient_table(rows: Sequence[Row], label: str, folder: Path) -> tuple[Path, Path]:
    """``metrics_<label>.csv`` and its JSON twin: a row a patient."""
    metrics = metrics_in(rows[0].metrics)
    clipping = _clipping_in_words(metrics)
    records = [
        {"patient": row.patient, "fold": row.fold}
        | {metric.column: row.metrics[metric.column] for metric in metrics}
        | {
            "voxels": row.voxels,
            "scored_head_percent": row.scored_head_percent,
            "mask": row.mask,
            "clipping": clipping,
            "grid": row.grid,
            "notes": row.notes,
        }
        for row in rows
    ]
    return _write(records, list(records[0]), folder / f"metrics_{label}.csv")


def write_summary(sets: Sequence[ScoredSet], folder: Path) -> tuple[Path, Path]:
    """``summary.csv`` and its JSON twin: a row a model and set.

    Of every metric mean, sample SD, median, 95 % interval of the mean (bootstrap) and the number of patients for whom
    it could be computed.
    """
    records = []
    for scored_set in sets:
        for summary in scored_set.summaries:
            metrics = metrics_in(summary.mean)
            record: dict[str, Any] = {"model": summary.model, "set": summary.set, "n": summary.n}
            for column in (metric.column for metric in metrics):
                low, high = summary.interval[column]
                record |= {
                    f"{column}_mean": summary.mean[column],
                    f"{column}_sd": summary.sd[column],
                    f"{column}_median": summary.median[column],
                    f"{column}_ci95_low": low,
                    f"{column}_ci95_high": high,
                    f"{column}_n": summary.counted[column],
                }
            masks = sorted({row.mask for row in scored_set.rows[summary.model]})
            record |= {"mask": ", ".join(masks), "clipping": _clipping_in_words(metrics), "grid": _GRID}
            records.append(record)
    return _write(records, list(records[0]), folder / "summary.csv")


def write_comparison(sets: Sequence[ScoredSet], folder: Path) -> tuple[Path, Path]:
    """``comparison.csv`` and its JSON twin: a row a metric and two models; only the header with a single model."""
    records = []
    for scored_set in sets:
        masks = ", ".join(sorted({row.mask for rows in scored_set.model_rows.values() for row in rows}))
        for comparison in scored_set.comparisons:
            (metric,) = metrics_in([comparison.metric])
            low, high = comparison.interval
            record = {column: getattr(comparison, column, None) for column in COMPARISON_COLUMNS}
            record |= {"ci95_low": low, "ci95_high": high}
            records.append(record | {"mask": masks, "clipping": _clipping(metric), "grid": _GRID})
    return _write(records, COMPARISON_COLUMNS, folder / "comparison.csv")


def write_columns(metrics: Sequence[Metric], masks: Collection[MaskKind], folder: Path) -> tuple[Path, Path]:
    """``columns.csv`` and its JSON twin: what each metric's column means, a row a column."""
    mask = masks_in_words(masks)
    better = {True: "lower", False: "higher", None: "nearer 0"}
    records = [
        {
            "column": metric.column,
            "title": metric.title,
            "unit": metric.unit or "none",
            "better": better[metric.lower_is_better],
            "formula": metric.formula,
            "voxels": metric.region,
            "mask": f"{mask}, where the reference CT is known",
            "clipping": _clipping(metric),
            "grid": _GRID,
            "protocols": " ".join((*metric.protocols, "all")),
            "source": metric.source,
        }
        for metric in metrics
    ]
    return _write(records, list(records[0]), folder / "columns.csv")


def _clipping(metric: Metric) -> str:
    return "none" if metric.clip_hu is None else "{:g} to {:g} HU".format(*metric.clip_hu)


def _clipping_in_words(metrics: Sequence[Metric]) -> str:
    """Of all columns in a cell: no clipping but of those that are named."""
    clipped = [f"{m.column}: {_clipping(m)}" for m in metrics if m.clip_hu is not None]
    return "; ".join((*clipped, "others: none"))


def _write(records: Sequence[Mapping[str, Any]], columns: Sequence[str], csv: Path) -> tuple[Path, Path]:
    """CSV with six digits and JSON with all.

    What cannot be computed (NaN) is empty in CSV and null in JSON; an infinite PSNR is ``inf`` in CSV and, as JSON has
    no such number, null there.
    """
    frame = pd.DataFrame.from_records(list(records), columns=list(columns))
    for column in frame:  # whole numbers stay so beside empty cells
        if column in ("fold", "n") or (column == "voxels" and "patient" in frame):
            frame[column] = frame[column].astype("Int64")
    write_text(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"), csv)
    twin = csv.with_suffix(".json")
    write_json([{key: _for_json(value) for key, value in record.items()} for record in records], twin)
    return csv, twin


def _for_json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def terminal_table(scored: ScoredSet, *, width: int = 100, max_patients: int = 40) -> str:
    """The paper's Table 1 as text: a row a patient, a column a model with MAE / PSNR, last the mean and SD.

    Args:
        scored: patients and models, in the order of the columns.
        width: characters a line; models that do not fit stand in a further block below.
        max_patients: more patients than this are left to the CSV files.

    Returns:
        Lines without a final newline.
    """
    rows = scored.rows
    summary_of = {summary.model: summary for summary in scored.summaries}
    patients = sorted({row.patient for model_rows in rows.values() for row in model_rows})
    left = ["", "", *patients[:max_patients], "mean ± SD", "patients"]
    columns = []
    for model, model_rows in rows.items():
        score = {row.patient: row for row in model_rows}
        cells = [f"{_pair(score[patient].metrics)}" if patient in score else "-" for patient in patients[:max_patients]]
        columns.append([model, "MAE HU / PSNR dB", *cells, _mean_and_sd(summary_of[model]), str(len(model_rows))])

    left = _padded(left, max_width=24)
    lines = []
    for block in _blocks([_padded(column, max_width=width - 28) for column in columns], width - len(left[0])):
        lines.append("")
        for i, line in enumerate(zip(left, *block)):
            if i == len(left) - 2:
                if len(patients) > max_patients:
                    lines.append(f"... {len(patients) - max_patients} more patients in the CSV files")
                lines.append("-" * (len(left[0]) + sum(3 + len(column[0]) for column in block)))
            lines.append("   ".join(line).rstrip())
    masks = masks_in_words(row.mask for model_rows in rows.values() for row in model_rows)
    lines += ["", f"Compared inside {masks}; HU not clipped."]
    shares = [row.scored_head_percent for model_rows in rows.values() for row in model_rows]
    if shares := [share for share in shares if not math.isnan(share)]:
        low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
        lines.append(f"Scored: {low if low == high else f'{low} to {high}'} % of the head in the reference CT.")
    if scored.registration_floor_hu:
        lines.append(floor_in_words(scored.registration_floor_hu))
    return "\n".join(["Test set", *lines] if scored.patients == "test" else lines[1:])


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
