"""The page's tables: a row a model, the comparisons in words, and a row a patient and model, worst first."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape

from synthct.evaluation.comparison import Comparison
from synthct.evaluation.metrics import Metric, metrics_in
from synthct.evaluation.report.qa_status import QaStatus
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import Summary
from synthct.html_report.elements import bullet_list, definition_list, folded, html_list, table

SHOWN_COLUMNS = (
    "mae_hu",
    "psnr_db",
    "me_hu",
    "mae_soft_hu",
    "mae_bone_hu",
    "dice_bone_250",
    "wepl_median_mm",
    "wepl_p95_mm",
)
_DIGITS = {"HU": 1, "dB": 1, "mm": 2, "%": 1}
_DIGITS_WITHOUT_UNIT = 3
_MASKS = {"ct_and_mr": "CT and MR", "ct": "CT", "given": "given"}


def summary_table(summaries: Sequence[Summary], columns: Collection[str] | None = None, name: str = "summary") -> str:
    """A row a metric, a column a model: mean and SD over the patients.

    Args:
        summaries: of the models and baselines.
        columns: the metrics to show; by default :data:`SHOWN_COLUMNS`.
        name: of the table.
    """
    chosen = SHOWN_COLUMNS if columns is None else columns
    shown = [metric for metric in _present([summary.mean for summary in summaries]) if metric.column in chosen]
    head = "".join(
        f'<th scope="col" class="number">{escape(summary.model)}'
        f'<br><span class="quiet">{_patients(summary.n)}</span></th>'
        for summary in summaries
    )
    rows = []
    for metric in shown:
        cells = "".join(_summary_cell(metric, summary) for summary in summaries)
        rows.append(f'<th scope="row" title="{escape(_explained(metric))}">{escape(_named(metric))}</th>{cells}')
    caption = "Mean ± SD over the patients; below, their median and the 95 % interval of the mean (bootstrap)."
    return table(f'<th scope="col">metric</th>{head}', rows, name=name, caption=caption)


def other_metrics(summaries: Sequence[Summary]) -> str:
    """The rest of the summary, folded away; nothing where there is no rest."""
    others = {metric.column for metric in _present([summary.mean for summary in summaries])} - set(SHOWN_COLUMNS)
    if not others:
        return ""
    return folded(f"All other metrics ({len(others)})", summary_table(summaries, others, "other metrics"))


def comparisons_in_words(comparisons: Sequence[Comparison], *, baselines_shown: bool) -> str:
    """The sentences; those by others than the main metrics are folded away.

    Args:
        comparisons: of the models; none where there is a single one.
        baselines_shown: whether the table of metrics has the trivial baselines.
    """
    if not comparisons:
        but = " but the trivial CTs in the table" if baselines_shown else ""
        return f"<p>There is a single model: nothing to compare it with{but}.</p>"
    main = [comparison.sentence for comparison in comparisons if comparison.main]
    others = [comparison.sentence for comparison in comparisons if not comparison.main]
    parts = [bullet_list(main)] if main else []
    if others:
        parts.append(folded(f"By the other metrics ({len(others)})", bullet_list(others)))
    return "\n".join(parts)


def patient_table(
    rows: Mapping[str, Sequence[Row]],
    statuses: Mapping[tuple[str, str], QaStatus],
    viewable: Collection[tuple[str, str]],
) -> str:
    """A row a patient and model, the highest MAE first; every heading sorts.

    Args:
        rows: of the models.
        statuses: of quality assurance, by (model, patient); without any there is no such column. Those with reasons
            link to :func:`reason_list`.
        viewable: what the viewer can show, likewise.
    """
    every = _worst_first(rows)
    shown = _present([row.metrics for _, row in every])
    folds = any(row.fold is not None for _, row in every)
    head = [_sorting("patient"), _sorting("model"), _sorting("fold") if folds else ""]
    head += [
        _sorting(
            _named(metric),
            number=True,
            more=metric.column not in SHOWN_COLUMNS,
            falling=metric.lower_is_better is not False,
        )
        for metric in shown
    ]
    head += [
        _sorting("QA") if statuses else "",
        _sorting("mask", more=True),
        _sorting("voxels", number=True, more=True),
    ]
    if viewable:
        head.append('<th scope="col">look</th>')
    anchors = {patient: _reason_anchor(i) for i, patient in enumerate(explained(rows, statuses))}
    body = []
    for label, row in every:
        status = statuses.get((label, row.patient))
        cells = [f'<th scope="row">{escape(row.patient)}</th><td>{escape(label)}</td>']
        if folds:
            cells.append(f'<td class="number">{"" if row.fold is None else row.fold}</td>')
        cells += [_value_cell(metric, row.metrics.get(metric.column, math.nan)) for metric in shown]
        if statuses:
            cells.append(_status_cell(status, anchors.get(row.patient)))
        cells.append(f'<td class="more">{_MASKS.get(row.mask, row.mask)}</td><td class="number more">{row.voxels}</td>')
        if viewable:
            cells.append(f"<td>{_look(row.patient, label) if (label, row.patient) in viewable else ''}</td>")
        body.append("".join(cells))
    box = ""
    if any(metric.column not in SHOWN_COLUMNS for metric in shown):
        box = '<p><label><input type="checkbox" data-columns-of="table-patients"> all columns</label></p>\n'
    caption = "Worst MAE first. A heading sorts by its column, and again the other way."
    return box + table("".join(head), body, name="patients", caption=caption, sortable=True)


def reason_list(rows: Mapping[str, Sequence[Row]], statuses: Mapping[tuple[str, str], QaStatus]) -> str:
    """Why sCTs did not pass quality assurance, by patient in the order of the table; nothing without reasons."""
    items = []
    for i, (patient, by_model) in enumerate(explained(rows, statuses).items()):
        models = [
            f'{escape(label)}, <span class="{status.word}">{status.word}</span>: '
            f"{'<br>'.join(map(escape, status.reasons))}"
            for label, status in by_model.items()
        ]
        items.append(f'<li id="{_reason_anchor(i)}"><strong>{escape(patient)}</strong>\n{html_list(models)}</li>')
    return '<h3 id="why">Why</h3>\n<ul>\n' + "\n".join(items) + "\n</ul>" if items else ""


def explained(
    rows: Mapping[str, Sequence[Row]], statuses: Mapping[tuple[str, str], QaStatus]
) -> dict[str, dict[str, QaStatus]]:
    """QA statuses that have reasons, by patient and model, in the order of the table of patients."""
    found: dict[str, dict[str, QaStatus]] = {}
    for label, row in _worst_first(rows):
        status = statuses.get((label, row.patient))
        if status is not None and status.reasons:
            found.setdefault(row.patient, {})[label] = status
    return found


def metric_notes(rows: Mapping[str, Sequence[Row]]) -> str:
    """What each metric is, folded away."""
    shown = _present([row.metrics for model_rows in rows.values() for row in model_rows])
    return folded("What the metrics are", definition_list({metric.title: _explained(metric) for metric in shown}))


def _worst_first(rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, Row]]:
    """With the model of each."""
    return sorted(
        ((label, row) for label, model_rows in rows.items() for row in model_rows),
        key=lambda labelled_row: (
            -_or_worst(labelled_row[1].metrics["mae_hu"]),
            labelled_row[1].patient,
            labelled_row[0],
        ),
    )


def _reason_anchor(place: int) -> str:
    """A number: a case id may hold what an anchor may not."""
    return f"why-{place + 1}"


def _present(values: Sequence[Mapping[str, float]]) -> list[Metric]:
    """The metrics that were computed for somebody."""
    return list(metrics_in({column for of in values for column in of}))


def _named(metric: Metric) -> str:
    title = metric.title[0].upper() + metric.title[1:]
    return f"{title} ({metric.unit})" if metric.unit else title


def _explained(metric: Metric) -> str:
    if metric.clip_hu is None:
        clipping = "HU not clipped"
    else:
        clipping = f"HU clipped to {metric.clip_hu[0]:g} to {metric.clip_hu[1]:g}"
    better = {True: "lower is better", False: "higher is better", None: "0 is best"}[metric.lower_is_better]
    return f"{metric.formula}; over {metric.region}; {clipping}; {better}. Source: {metric.source}."


def _patients(n: int) -> str:
    return f"{n} patient{'s' * (n != 1)}"


def _sorting(words: str, *, number: bool = False, more: bool = False, falling: bool = False) -> str:
    classes = " ".join(name for name, applies in (("number", number), ("more", more)) if applies)
    initially = ' aria-sort="descending"' if words == "MAE (HU)" else ""
    first = ' data-first="descending"' if falling else ""
    return f'<th scope="col" class="{classes}"{first}{initially}><button type="button">{escape(words)}</button></th>'


def _summary_cell(metric: Metric, summary: Summary) -> str:
    column = metric.column
    if column not in summary.mean or math.isnan(summary.mean[column]):
        return '<td class="number">–</td>'
    sd = summary.sd[column]
    spread = f" ± {_number(metric, sd)}" if math.isfinite(sd) else ""
    small = f"median {_number(metric, summary.median[column])}"
    if all(map(math.isfinite, summary.interval[column])):
        low, high = summary.interval[column]
        small += f"; {_number(metric, low)} to {_number(metric, high)}"
    if summary.counted[column] < summary.n:
        small += f"; of {_patients(summary.counted[column])}"
    return f'<td class="number">{_number(metric, summary.mean[column])}{spread}<br><small>{small}</small></td>'


def _value_cell(metric: Metric, value: float) -> str:
    more = "" if metric.column in SHOWN_COLUMNS else " more"
    exact = "" if math.isnan(value) else f"{value:.6g}".replace("inf", "1e999")
    return f'<td class="number{more}" data-value="{exact}">{_number(metric, value)}</td>'


def _status_cell(status: QaStatus | None, anchor: str | None) -> str:
    """The word, linked to its reasons: in the cell they would make rows of half a page in a narrow window."""
    if status is None:
        return '<td data-value="">not checked</td>'
    order = ("fail", "check", "pass").index(status.word)
    if status.reasons:
        word = f'<a class="{status.word}" href="#{anchor}">{status.word}</a>'
    else:
        word = f'<span class="{status.word}">{status.word}</span>'
    return f'<td data-value="{order}">{word}</td>'


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
