"""Put the page together from its parts: results, figures, viewer, patients, and how to repeat it."""

from __future__ import annotations

import base64
import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import matplotlib
import numpy as np

from synthct import __version__
from synthct.evaluation.models import TrainedModel
from synthct.evaluation.report import provenance, tables
from synthct.evaluation.report.pictures import figures_section
from synthct.evaluation.report.qa import WORDS, Verdict
from synthct.evaluation.report.viewer_data import SPACING_MM, STEP_HU, Volumes, within
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import Comparison, Summary
from synthct.files import write_text

log = logging.getLogger("synthct")

REPORT_NAME = "report.html"
MOST_CHARACTERS = 29_000_000  # of the page: below 30 MB in whichever way a megabyte is counted
_VOLUME_CHARACTERS = 20_000_000
# Perceptually uniform; the diverging one is Moreland's.
_COLOURS = {"signed": "coolwarm", "absolute": "magma"}
_WINDOWS = (("bone", -450, 1050), ("soft tissue", -160, 240), ("brain", 0, 80), ("full", -1000, 2000))


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
        window_hu: the plan's CT window, the viewer's first.
        volumes: of the patients that the viewer shows if they fit, most interesting first.
        reasons: why each of them was chosen, by patient.
        models: the trained models; none where two folders were compared.
        verdicts: of quality assurance, by (model, patient).
        commands: that make the page again, a line each.
    """

    title: str
    rows: Mapping[str, Sequence[Row]]
    summaries: Sequence[Summary]
    comparisons: Sequence[Comparison]
    warnings: Sequence[str]
    figures: Sequence[Path]
    window_hu: tuple[float, float]
    volumes: Sequence[Volumes]
    reasons: Mapping[str, str]
    models: Sequence[TrainedModel]
    commands: Sequence[str]
    verdicts: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)


def write_report(folder: Path, content: ReportContent, *, date: datetime.date | None = None) -> Path:
    """Write ``report.html``.

    Args:
        folder: of the evaluation.
        date: of the report; today by default.

    Returns:
        The page's path.
    """
    shown = within(content.volumes, _VOLUME_CHARACTERS)
    sections = {
        "Results": ("results", _results(content)),
        "Figures": ("figures", figures_section(content.figures)),
        "Viewer": ("viewer", _viewer(content, shown) if shown else ""),
        "Patients": ("patients-section", _patients(content, [one.patient for one in shown])),
        "How it was made": ("made", _made(content)),
    }
    whole = []
    for name, (anchor, inner) in sections.items():
        if name == "Viewer":
            whole.append(inner)
        else:
            whole.append(
                f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{name}</h2>'
            )
            whole.append(f"{inner}\n</section>")
    contents = " ".join(f'<a href="#{anchor}">{name}</a>' for name, (anchor, inner) in sections.items() if inner)
    page = Template(_part("page.html")).substitute(
        title=escape(content.title),
        css=_part("page.css"),
        lead=_lead(content, date or datetime.date.today()),
        contents=contents,
        sections="\n".join(whole),
        script=_part("tables.js") + _part("viewer.js"),
    )
    path = Path(folder) / REPORT_NAME
    write_text(page, path)
    if len(page.encode("utf-8")) > MOST_CHARACTERS:
        log.warning(f"{path} is larger than {MOST_CHARACTERS / 1e6:.0f} MB; a browser may be slow to open it.")
    return path


def _part(name: str) -> str:
    return (files("synthct.evaluation.report") / name).read_text(encoding="utf-8")


def _lead(content: ReportContent, date: datetime.date) -> str:
    n = len({row.patient for of_model in content.rows.values() for row in of_model})
    masks = {row.mask for of_model in content.rows.values() for row in of_model}
    words = {
        "ct_and_mr": "the head found in both CT and MR",
        "ct": "the head found in the reference CT",
        "given": "the given head mask",
    }
    inside = " or ".join(words[mask] for mask in sorted(masks))
    parts = [
        f"<p><strong>{n} patient{'s' * (n != 1)}, {len(content.rows)} model{'s' * (len(content.rows) != 1)}"
        f"</strong>: {escape(', '.join(content.rows))}. Compared inside {inside}, where the CT is known, on the grid "
        "of the sCT.</p>",
        f'<p class="quiet">Written on {date.isoformat()} by synthct {escape(__version__)}. The page is whole in '
        "itself: it needs no network, and can be copied and sent. Not for clinical use.</p>",
    ]
    return "\n".join(parts)


def _results(content: ReportContent) -> str:
    parts = []
    if content.warnings:
        items = "\n".join(f"<li>{escape(one)}</li>" for one in content.warnings)
        parts.append(f'<ul class="warnings" aria-label="Warnings">\n{items}\n</ul>')
    if content.verdicts:
        given = [verdict.word for verdict in content.verdicts.values()]
        counted = ", ".join(f'<span class="{word}">{given.count(word)} {word}</span>' for word in WORDS)
        parts.append(f"<p>Quality assurance of {len(given)} sCTs: {counted} (reasons in the table of patients).</p>")
    parts.append(tables.summary_table(content.summaries))
    parts.append(f"<h3>Comparisons</h3>\n{tables.comparisons_in_words(content.comparisons)}")
    parts.append(tables.metric_notes(content.rows))
    return "\n".join(parts)


def _patients(content: ReportContent, viewable: Sequence[str]) -> str:
    return tables.patient_table(content.rows, content.verdicts, viewable)


def _made(content: ReportContent) -> str:
    commands = escape("\n".join(content.commands))
    parts = [
        f"<h3>How to repeat it</h3>\n<pre>{commands}</pre>",
        f"<h3>Versions</h3>\n{provenance.definition_list(provenance.versions())}",
    ]
    if content.models:
        plans = provenance.plan_section(content.models)
        parts.append(f"<details open><summary>Plans</summary>\n{plans}\n</details>")
        parts.append(
            '<p class="quiet">The whole plan, with the reason of each value, is plans.json of each model folder.</p>'
        )
    return "\n".join(parts)


def _viewer(content: ReportContent, shown: Sequence[Volumes]) -> str:
    low, high = content.window_hu
    scores = {(label, row.patient): _scores(row) for label, of_model in content.rows.items() for row in of_model}
    patients = []
    for one in shown:
        models = [{"label": label, "scores": scores[label, one.patient]} for label in one.scts]
        mae = {
            row.metrics["mae_hu"]: label
            for label in one.scts
            for row in content.rows[label]
            if row.patient == one.patient
        }
        patients.append(
            {
                "patient": one.patient,
                "why": content.reasons[one.patient],
                "shape": one.shape,
                "mr_range": one.mr_range,
                "models": models,
                "worst_first": mae[max(mae)],
            }
        )
    index = {
        "step_hu": STEP_HU,
        "spacing_mm": SPACING_MM,
        "windows": [[f"plan ({low:g} to {high:g})", low, high]]
        + [[f"{name} ({of_low} to {of_high})", of_low, of_high] for name, of_low, of_high in _WINDOWS],
        "colours": {name: _lookup_table(colours) for name, colours in _COLOURS.items()},
        "patients": patients,
    }
    scripts = [f'<script type="application/json" id="viewer-data">{_json(index)}</script>']
    for i, one in enumerate(shown):
        volumes = {"mr": one.mr, "ct": one.ct, "labels": one.labels}
        volumes |= {f"sct-{k}": sct for k, sct in enumerate(one.scts.values())}
        scripts += [
            f'<script type="text/plain" id="volume-{i}-{name}">{volume}</script>'
            for name, volume in volumes.items()
            if volume is not None
        ]
    n = len({row.patient for of_model in content.rows.values() for row in of_model})
    which = (
        f"All {n} patients"
        if len(shown) == n and n > 1
        else "The patient"
        if n == 1
        else f"{len(shown)} of {n} patients (by MAE the worst, median and best of each model, then the next worst, as many as "
        "the page has room for)"
    )
    which += (
        f", resampled to {SPACING_MM:g} mm along the body axes and rounded to {STEP_HU} HU. The numbers in the tables are "
        "of the full images."
    )
    return Template(_part("viewer.html")).substitute(which=which, data="\n".join(scripts))


def _scores(row: Row) -> str:
    return f"MAE {row.metrics['mae_hu']:.1f} HU, PSNR {row.metrics['psnr_db']:.1f} dB"


def _lookup_table(name: str) -> str:
    """256 colours as bytes (256, 3) in base64."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")


def _json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
