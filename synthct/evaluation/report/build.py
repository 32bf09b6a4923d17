"""Put the page together from its parts: results, figures, viewer, patients, and how to repeat it."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from synthct.evaluation import baseline
from synthct.evaluation.compared import masks_in_words
from synthct.evaluation.comparison import Comparison
from synthct.evaluation.report import html_tables, provenance
from synthct.evaluation.report.pictures import figures_section
from synthct.evaluation.report.qa_status import WORDS, QaStatus
from synthct.evaluation.report.viewer_data import Volumes, within
from synthct.evaluation.report.viewer_section import viewer_section
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import Summary
from synthct.evaluation.trained_models import TrainedModel
from synthct.files import write_text
from synthct.html_report import elements, page_parts

log = logging.getLogger("synthct")

REPORT_NAME = "report.html"
MAX_CHARACTERS = 29_000_000  # of the page: below 30 MB in whichever way a megabyte is counted
_SCRIPTS = ("viewer_volumes.js", "viewer_slice.js", "viewer_marks.js", "viewer.js")
_FRAME_CHARACTERS = 200_000  # scripts, style, the controls of the viewer


@dataclass(frozen=True)
class ReportContent:
    """What the page says.

    Attributes:
        title: of the page.
        rows: the scored patients by model.
        summaries: of the models and the trivial baselines.
        comparisons: between models.
        warnings: a sentence each.
        figures: PNG files.
        volumes: of the patients that the viewer shows if they fit, most interesting first.
        reasons: why each of them was chosen, by patient.
        models: the trained models; none where two folders were compared.
        statuses: of quality assurance, by (model, patient).
        notes: to the table of metrics, a sentence each.
        commands: that make the page again, a line each.
    """

    title: str
    rows: Mapping[str, Sequence[Row]]
    summaries: Sequence[Summary]
    comparisons: Sequence[Comparison]
    warnings: Sequence[str]
    figures: Sequence[Path]
    volumes: Sequence[Volumes]
    reasons: Mapping[str, str]
    models: Sequence[TrainedModel]
    commands: Sequence[str]
    statuses: Mapping[tuple[str, str], QaStatus] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_report(folder: Path, content: ReportContent, *, date: datetime.date | None = None) -> Path:
    """Write ``report.html``.

    Args:
        folder: of the evaluation.
        date: of the report; today by default.

    Returns:
        The page's path.
    """
    results, figures, made = _results(content), figures_section(content.figures), _made(content)
    patients = _patients(content, content.volumes)
    room = MAX_CHARACTERS - _FRAME_CHARACTERS - sum(map(len, (results, patients, figures, made)))
    shown = within(content.volumes, room)
    sections = {
        "Results": results,
        "Patients": _patients(content, shown),
        "Viewer": viewer_section(content.rows, shown, content.reasons) if shown else "",
        "Figures": figures,
        "How it was made": made,
    }
    sections = {name: inner for name, inner in sections.items() if inner}
    page = page_parts.page(
        content.title,
        _lead(content, date or datetime.date.today()),
        page_parts.sections_with_headings(sections),
        navigation=page_parts.links_to(sections),
        style=page_parts.packaged_text(__package__, "viewer.css"),
        script="".join(page_parts.packaged_text(__package__, name) for name in _SCRIPTS),
    )
    path = Path(folder) / REPORT_NAME
    write_text(page, path)
    if len(page.encode("utf-8")) > MAX_CHARACTERS:
        log.warning(f"{path} is larger than {MAX_CHARACTERS / 1e6:.0f} MB; a browser may be slow to open it.")
    return path


def _patients(content: ReportContent, shown: Sequence[Volumes]) -> str:
    """The table, and below it the reasons of quality assurance."""
    viewable = {(label, volumes.patient) for volumes in shown for label in volumes.scts}
    table = html_tables.patient_table(content.rows, content.statuses, viewable)
    return "\n".join(filter(None, (table, html_tables.reason_list(content.rows, content.statuses))))


def _lead(content: ReportContent, date: datetime.date) -> str:
    n = len({row.patient for model_rows in content.rows.values() for row in model_rows})
    inside = masks_in_words(row.mask for model_rows in content.rows.values() for row in model_rows)
    parts = [
        f"<p><strong>{n} patient{'s' * (n != 1)}, {len(content.rows)} model{'s' * (len(content.rows) != 1)}"
        f"</strong>: {escape(', '.join(content.rows))}. Compared inside {inside}, where the CT is known, on the grid "
        "of the sCT.</p>",
        elements.written_on(
            date,
            "The page is whole in itself: it needs no network, and can be copied and sent. Not for clinical use.",
        ),
    ]
    return "\n".join(parts)


def _results(content: ReportContent) -> str:
    parts = [elements.warning_list(content.warnings, "Warnings")] if content.warnings else []
    if content.statuses:
        given = [status.word for status in content.statuses.values()]
        counted = ", ".join(f'<span class="{word}">{given.count(word)} {word}</span>' for word in WORDS)
        explained = html_tables.explained(content.rows, content.statuses)
        where = ' (<a href="#why">reasons</a> below the table of patients)' if explained else ""
        parts.append(f"<p>Quality assurance of {len(given)} sCTs: {counted}{where}.</p>")
    parts.append(html_tables.summary_table(content.summaries))
    parts += [f"<p>{escape(note)}</p>" for note in content.notes]
    baselines_shown = any(summary.model in baseline.BASELINES for summary in content.summaries)
    in_words = html_tables.comparisons_in_words(content.comparisons, baselines_shown=baselines_shown)
    parts.append(f"<h3>Comparisons</h3>\n{in_words}")
    parts.append(html_tables.other_metrics(content.summaries))
    parts.append(html_tables.metric_notes(content.rows))
    return "\n".join(parts)


def _made(content: ReportContent) -> str:
    commands = escape("\n".join(content.commands))
    parts = [
        f"<h3>How to repeat it</h3>\n<pre>{commands}</pre>",
        f"<h3>Versions</h3>\n{elements.definition_list(provenance.versions())}",
    ]
    if content.models:
        plans = provenance.plan_section(content.models)
        parts.append(elements.folded("Plans", plans, open_at_first=True))
        parts.append(
            '<p class="quiet">The whole plan, with the reason of each value, is plans.json of each model folder.</p>'
        )
    return "\n".join(parts)
