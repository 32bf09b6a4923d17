"""The page's tables: a row a model, the comparisons in words, and a row a patient and model, worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from synthct.evaluation.metrics import METRICS, Metric
from synthct.evaluation.report.qa import Verdict
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import Comparison, Summary

MAIN_COLUMNS = ("mae_hu", "psnr_db")
_ALWAYS_SHOWN = (*MAIN_COLUMNS, "mae_bone_hu", "me_bone_hu")
_DIGITS = {"HU": 1, "dB": 1, "mm": 2, "%": 1}
_DIGITS_WITHOUT_UNIT = 3
_MASKS = {"ct_and_mr": "CT and MR", "ct": "CT", "given": "given"}


def summary_table(summaries: Sequence[Summary]) -> str:
    """A row a model: patients, then mean and SD of every metric that was computed."""
    shown = _present(METRICS, [summary.mean for summary in summaries])
    head = "".join(_heading(metric) for metric in shown)
    rows = []
    for summary in summaries:
        cells = "".join(_summary_cell(metric, summary) for metric in shown)
        rows.append(f'<tr><th scope="row">{escape(summary.model)}</th><td class="number">{summary.n}</td>{cells}</tr>')
    caption = "Mean ± SD over the patients."
    return _table(
        "summary", caption, f'<th scope="col">model</th><th scope="col" class="number">patients</th>{head}', rows
    )


def comparisons_in_words(comparisons: Sequence[Comparison]) -> str:
    """The sentences; those of other metrics than MAE and PSNR are folded away."""
    if not comparisons:
        return "<p>There is a single model: nothing to compare it with but the constant CTs in the table.</p>"
    main = [one.sentence for one in comparisons if one.metric in MAIN_COLUMNS]
    others = [one.sentence for one in comparisons if one.metric not in MAIN_COLUMNS]
    parts = [_list(main)] if main else []
    if others:
        parts.append(f"<details><summary>By the other metrics ({len(others)})</summary>\n{_list(others)}\n</details>")
    return "\n".join(parts)


def patient_table(
    rows: Mapping[str, Sequence[Row]], verdicts: Mapping[tuple[str, str], Verdict], viewable: Sequence[str]
) -> str:
    """A row a patient and model, the highest MAE first; every heading sorts.

    Args:
        rows: of the models.
        verdicts: of quality assurance, by (model, patient); without any there is no such column.
        viewable: patients whom the viewer can show.
    """
    every = sorted(
        ((label, row) for label, of_model in rows.items() for row in of_model),
        key=lambda one: (-_or_worst(one[1].metrics["mae_hu"]), one[1].patient, one[0]),
    )
    shown = _present(METRICS, [row.metrics for _, row in every])
    folds = any(row.fold is not None for _, row in every)
    head = [_sorting("patient"), _sorting("model"), _sorting("fold") if folds else ""]
    head += [_heading(metric, sorting=True) for metric in shown]
    head += [
        _sorting("QA") if verdicts else "",
        _sorting("mask", more=True),
        _sorting("voxels", number=True, more=True),
    ]
    if viewable:
        head.append('<th scope="col">look</th>')
    body = []
    for label, row in every:
        verdict = verdicts.get((label, row.patient))
        cells = [f'<th scope="row">{escape(row.patient)}</th><td>{escape(label)}</td>']
        if folds:
            cells.append(f'<td class="number">{"" if row.fold is None else row.fold}</td>')
        cells += [_value_cell(metric, row.metrics.get(metric.column, math.nan)) for metric in shown]
        if verdicts:
            cells.append(_verdict_cell(verdict))
        cells.append(f'<td class="more">{_MASKS.get(row.mask, row.mask)}</td><td class="number more">{row.voxels}</td>')
        if viewable:
            cells.append(f"<td>{_look(row.patient, label) if row.patient in viewable else ''}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    box = ""
    if any(metric.column not in _ALWAYS_SHOWN for metric in shown):
        box = '<p><label><input type="checkbox" data-columns-of="table-patients"> all columns</label></p>\n'
    caption = "Worst MAE first. A heading sorts by its column, and again the other way."
    return box + _table("patients", caption, "".join(head), body, sortable=True)


def metric_notes(rows: Mapping[str, Sequence[Row]]) -> str:
    """What each column is, as far as the metrics say so."""
    shown = _present(METRICS, [row.metrics for of_model in rows.values() for row in of_model])
    notes = []
    for metric in shown:
        clipping = {None: "not clipped", "plan": "clipped to the plan's CT window"}.get(
            metric.clip_hu, f"clipped to {metric.clip_hu}"
        )
        formula = f"{metric.formula}; {metric.region}; {metric.source}; " if hasattr(metric, "formula") else ""
        notes.append(f"<dt>{escape(metric.title)}</dt><dd>{escape(f'{formula}HU {clipping}.')}</dd>")
    return f"<details><summary>What the columns are</summary>\n<dl>{''.join(notes)}</dl>\n</details>"


def _present(metrics: Sequence[Metric], values: Sequence[Mapping[str, float]]) -> list[Metric]:
    return [metric for metric in metrics if any(metric.column in of for of in values)]


def _heading(metric: Metric, *, sorting: bool = False) -> str:
    words = f"{metric.title}{f' ({metric.unit})' if metric.unit else ''}"
    more = metric.column not in _ALWAYS_SHOWN
    if sorting:
        return _sorting(words, number=True, more=more, falling=metric.lower_is_better is not False)
    return f'<th scope="col" class="number">{escape(words)}</th>'


def _sorting(words: str, *, number: bool = False, more: bool = False, falling: bool = False) -> str:
    classes = " ".join(name for name, applies in (("number", number), ("more", more)) if applies)
    initially = ' aria-sort="descending"' if words == "MAE (HU)" else ""
    first = ' data-first="descending"' if falling else ""
    return f'<th scope="col" class="{classes}"{first}{initially}><button type="button">{escape(words)}</button></th>'


def _summary_cell(metric: Metric, summary: Summary) -> str:
    mean, sd = summary.mean.get(metric.column, math.nan), summary.sd.get(metric.column, math.nan)
    spread = f" ± {_number(metric, sd)}" if math.isfinite(sd) else ""
    return f'<td class="number">{_number(metric, mean)}{spread}</td>'


def _value_cell(metric: Metric, value: float) -> str:
    more = "" if metric.column in _ALWAYS_SHOWN else " more"
    exact = "" if math.isnan(value) else f"{value:.6g}".replace("inf", "1e999")
    return f'<td class="number{more}" data-value="{exact}">{_number(metric, value)}</td>'


def _verdict_cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return '<td data-value="">not checked</td>'
    order = ("fail", "check", "pass").index(verdict.word)
    reasons = f"<br>{'<br>'.join(map(escape, verdict.reasons))}" if verdict.reasons else ""
    wide = "reasons" if verdict.reasons else ""
    return f'<td class="{wide}" data-value="{order}"><span class="{verdict.word}">{verdict.word}</span>{reasons}</td>'


def _look(patient: str, label: str) -> str:
    return (
        f'<button type="button" data-view="{escape(patient)}" data-model="{escape(label)}" '
        f'aria-label="Show {escape(patient)}, {escape(label)}, in the viewer">show</button>'
    )


def _number(metric: Metric, value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.{_DIGITS.get(metric.unit, _DIGITS_WITHOUT_UNIT)}f}".replace("-", "−")


def _or_worst(mae: float) -> float:
    return math.inf if math.isnan(mae) else mae


def _list(sentences: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escape(one)}</li>" for one in sentences) + "\n</ul>"


def _table(name: str, caption: str, head: str, rows: Sequence[str], *, sortable: bool = False) -> str:
    kind = ' class="sortable"' if sortable else ""
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {name}">\n<table id="table-{name}"{kind}>\n'
        f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
