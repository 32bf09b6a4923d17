"""The preprocessing report: one page that shows in a minute whether the data are right.

The page is whole in itself: it opens from the disk, needs no network, and works for hundreds of cases, because the
pictures are files of their own that a browser loads when they are scrolled to.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from synthct.counted import counted, first_of
from synthct.files import write_text
from synthct.html_report import elements, page_parts
from synthct.preprocessing.case_picture import picture_size
from synthct.preprocessing.case_report import picture_path
from synthct.preprocessing.findings import Findings

REPORT_NAME = "preprocessing_report.html"
MAX_LINKS = 12  # in a line of the summary


def write_report(
    folder: Path,
    dataset_name: str,
    findings: Mapping[str, Findings],
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    hints: Sequence[str] = (),
    date: datetime.date | None = None,
) -> Path:
    """Write ``preprocessing_report.html``; flagged cases come first, then all by name.

    Args:
        folder: the preprocessed dataset; pictures are looked for where ``case_report`` puts them.
        dataset_name: the title.
        findings: by patient.
        spacing_mm: (slices, rows, cols) of the plan.
        hints: sentences about the dataset as a whole.
        date: of the report; today by default.

    Returns:
        The page's path. A page that says the same already is left alone.
    """
    ordered = [findings[patient] for patient in sorted(findings, key=lambda name: (not findings[name].flags, name))]
    lead = [
        _summary(ordered, spacing_mm),
        elements.written_on(date or datetime.date.today(), "Test patients are not preprocessed and not shown."),
        _hints(ordered, hints),
        _legend(),
    ]
    page = page_parts.page(
        f"{dataset_name}: preprocessing",
        "\n".join(lead),
        "\n".join(_case(case, folder) for case in ordered),
        navigation='<div class="controls"><label><input type="checkbox" id="only"> flagged only</label> '
        '<span id="shown" class="quiet" role="status"></span></div>',
        style=f":root {{ --picture-width: {picture_size(1)[0]}px; }}\n"
        + page_parts.packaged_text(__package__, "preprocessing_report.css"),
        script=page_parts.packaged_text(__package__, "preprocessing_report.js"),
        images_beside_it=True,
    )
    path = Path(folder) / REPORT_NAME
    write_text(page, path)
    return path


def _summary(cases: Sequence[Findings], spacing_mm: tuple[float, float, float] | None) -> str:
    n_flagged = sum(bool(case.flags) for case in cases)
    n_both, n_pairs = sum(case.has("MR") and case.has("CT") for case in cases), sum(case.paired for case in cases)
    unpaired = [(sum(case.has(scan) for case in cases) - n_both, f"{scan} alone") for scan in ("MR", "CT")]
    unpaired.append((n_both - n_pairs, "not aligned"))
    others = "".join(f", {n} {what}" for n, what in unpaired if n)
    plan = ""
    if spacing_mm is not None:
        plan = f" The plan's voxels: {' x '.join(f'{value:.3g}' for value in spacing_mm)} mm (slices, rows, columns)."
    counted = f"{len(cases)} training case{'s' * (len(cases) != 1)}"
    return f"<p><strong>{counted}, {n_flagged} flagged</strong>; {n_pairs} paired{others}.{plan}</p>"


def _hints(cases: Sequence[Findings], hints: Sequence[str]) -> str:
    """What was said of the dataset, and the flags that several cases share, with links to them."""
    lines = [escape(hint) for hint in hints]
    by_kind: dict[str, dict[str, str]] = {}  # flags that differ in their numbers alone, by patient
    for case in cases:
        for flag in case.flags:
            by_kind.setdefault(re.sub(r"\d+(\.\d+)?", "…", flag), {})[case.patient] = flag
    for kind, flag_of in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        patients = list(flag_of)
        words = kind if len(patients) > 1 else flag_of[patients[0]]
        links = first_of((f'<a href="#case-{quote(patient)}">{escape(patient)}</a>' for patient in patients), MAX_LINKS)
        lines.append(f"{counted(len(patients), 'case')} ({links}): {escape(words)}")
    return elements.html_list(lines) if lines else ""


def _legend() -> str:
    return (
        '<p class="quiet"><span class="key mr"></span>the head found in the MR &ensp; '
        '<span class="key ct"></span>the head found in the CT (dashed) &ensp; '
        '<span class="key unknown"></span>outside the field of view: unknown, not air.<br>'
        "Axial, coronal and sagittal planes through the head, for a pair along the MR's axes; R is the patient's "
        "right. A line should follow the skin, without couch, headrest or mask; a checkerboard should run on from "
        "square to square.</p>"
    )


def _case(case: Findings, folder: Path) -> str:
    scans = [scan for scan in ("MR", "CT") if case.has(scan)]
    rows = 3 if len(scans) == 2 else 1
    width, height = picture_size(rows)
    picture = quote(picture_path(folder, case.patient).relative_to(folder).as_posix())
    seen = "MR, CT and a checkerboard of both" if rows == 3 else scans[0] if scans else "images"
    alternative = f"{case.patient}: {seen}, in three planes through the head, with the outline of the head"
    return (
        f'<article class="case{" flagged" * bool(case.flags)}" id="case-{escape(case.patient)}">\n'
        f'<a href="{picture}"><img src="{picture}" loading="lazy" width="{width}" height="{height}" '
        f'alt="{escape(alternative)}"></a>\n<div>\n<h2>{escape(case.patient)}{" (flagged)" * bool(case.flags)}</h2>\n'
        f"{elements.warning_list(case.flags, 'Flags')}\n{_facts(case.facts, scans)}\n</div>\n</article>"
    )


def _facts(facts: Mapping[str, str | float], scans: Sequence[str]) -> str:
    """A table with a column for each image; what belongs to none of them spans all."""
    by_name: dict[str, dict[str, str | float]] = {}
    others = []
    for name, value in facts.items():
        scan, _, rest = name.partition(" ")
        if scan in scans and rest:
            by_name.setdefault(rest, {})[scan] = value
        else:
            others.append(f'<th scope="row">{escape(name)}</th><td colspan="{len(scans)}">{elements.text(value)}</td>')
    rows = []
    for name, of in by_name.items():
        cells = "".join(f"<td>{elements.text(of.get(scan, ''))}</td>" for scan in scans)
        rows.append(f'<th scope="row">{escape(name)}</th>{cells}')
    head = "".join(f'<th scope="col">{scan}</th>' for scan in scans)
    return elements.table(f"<td></td>{head}", rows + others)
