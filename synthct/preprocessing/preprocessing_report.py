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

from synthct import __version__
from synthct.files import write_text
from synthct.preprocessing.case_picture import picture_size
from synthct.preprocessing.case_report import picture_path
from synthct.preprocessing.findings import Findings

REPORT_NAME = "preprocessing_report.html"
MOST_LINKS = 12  # in a line of the summary

_STYLE = """
:root { color-scheme: light dark; --page: #f4f4f2; --card: #fff; --text: #1a1a1a; --quiet: #595959; --line: #c9c9c6;
  --flag: #9a4a00; --flag-ground: #fff1df; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --page: #161617; --card: #222224; --text: #ececec; --quiet: #b0b0b0;
  --line: #47474a; --flag: #ffb65c; --flag-ground: #3a2a14; --link: #8cc2ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0.3rem 0 0.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
a { color: var(--link); }
p, ul { margin: 0.3rem 0 0.6rem; }
ul { padding-left: 1.2rem; }
.quiet { color: var(--quiet); }
.key { display: inline-block; width: 2em; margin-right: 0.4em; vertical-align: middle; border-top: 3px solid; }
.key.mr { border-color: #e69f00; }
.key.ct { border-color: #56b4e9; border-top-style: dashed; }
.key.unknown { height: 1em; border: 0;
  background: repeating-linear-gradient(-45deg, #343248 0 5px, #6c6892 5px 7px); }
.bar { position: sticky; top: 0; z-index: 1; padding: 0.5rem 0; background: var(--page);
  border-bottom: 1px solid var(--line); }
.bar input { width: 1.1em; height: 1.1em; vertical-align: -0.15em; }
.case { display: flex; flex-wrap: wrap; gap: 0.8rem 1.2rem; margin: 0.9rem 0; padding: 0.8rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; scroll-margin-top: 3rem; }
.case.flagged { border-left: 6px solid var(--flag); }
.case[hidden] { display: none; }
.case > a { flex: 0 1 PICTURE_WIDTHpx; min-width: 0; line-height: 0; }
.case img { width: 100%; height: auto; background: #000; }
.case > div { flex: 1 1 20rem; min-width: 0; overflow-x: auto; }
.flags { list-style: none; padding: 0; }
.flags li { margin: 0.3rem 0; padding: 0.35rem 0.6rem; background: var(--flag-ground); color: var(--flag);
  border-radius: 4px; }
.flags li::before { content: "\\26A0  "; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.1rem 0.9rem 0.1rem 0; text-align: left; vertical-align: top; }
th { font-weight: normal; color: var(--quiet); }
td { white-space: nowrap; }
"""

_SCRIPT = """
const only = document.getElementById("only"), shown = document.getElementById("shown");
const cases = [...document.querySelectorAll(".case")];
function filter() {
  for (const one of cases) one.hidden = only.checked && !one.classList.contains("flagged");
  shown.textContent = `${cases.filter(one => !one.hidden).length} of ${cases.length} cases shown`;
}
only.addEventListener("change", filter);
window.addEventListener("hashchange", () => {  // a link to a case that is filtered away shows all
  const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (aim && aim.hidden) { only.checked = false; filter(); aim.scrollIntoView(); }
});
filter();
"""


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
    title = f"{escape(dataset_name)}: preprocessing"
    style = _STYLE.replace("PICTURE_WIDTH", str(picture_size(1)[0]))
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{style}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        _summary(ordered, spacing_mm, date or datetime.date.today()),
        _hints(ordered, hints),
        _legend(),
        '<div class="bar"><label><input type="checkbox" id="only"> flagged only</label> '
        '<span id="shown" class="quiet" role="status"></span></div>\n<main>',
        *(_case(one, folder) for one in ordered),
        f"</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n",
    ]
    path = Path(folder) / REPORT_NAME
    write_text("\n".join(parts), path)
    return path


def _summary(cases: Sequence[Findings], spacing_mm: tuple[float, float, float] | None, date: datetime.date) -> str:
    n_flagged = sum(bool(one.flags) for one in cases)
    n_both, n_pairs = sum(one.has("MR") and one.has("CT") for one in cases), sum(one.paired for one in cases)
    unpaired = [(sum(one.has(scan) for one in cases) - n_both, f"{scan} alone") for scan in ("MR", "CT")]
    unpaired.append((n_both - n_pairs, "not aligned"))
    others = "".join(f", {n} {what}" for n, what in unpaired if n)
    plan = ""
    if spacing_mm is not None:
        plan = f" The plan's voxels: {' x '.join(f'{value:.3g}' for value in spacing_mm)} mm (slices, rows, columns)."
    counted = f"{len(cases)} training case{'s' * (len(cases) != 1)}"
    return (
        f"<p><strong>{counted}, {n_flagged} flagged</strong>; {n_pairs} paired{others}."
        f'{plan}</p>\n<p class="quiet">Written on {date.isoformat()} by synthct {escape(__version__)}. '
        "Test patients are not preprocessed and not shown.</p>"
    )


def _hints(cases: Sequence[Findings], hints: Sequence[str]) -> str:
    """What was said of the dataset, and the flags that several cases share, with links to them."""
    lines = [escape(hint) for hint in hints]
    of_kind: dict[str, dict[str, str]] = {}  # flags that differ in their numbers alone, by patient
    for one in cases:
        for flag in one.flags:
            of_kind.setdefault(re.sub(r"\d+(\.\d+)?", "…", flag), {})[one.patient] = flag
    for kind, flag_of in sorted(of_kind.items(), key=lambda item: -len(item[1])):
        patients = list(flag_of)
        words = kind if len(patients) > 1 else flag_of[patients[0]]
        links = ", ".join(f'<a href="#case-{quote(one)}">{escape(one)}</a>' for one in patients[:MOST_LINKS])
        more = f" and {len(patients) - MOST_LINKS} more" if len(patients) > MOST_LINKS else ""
        counted = f"{len(patients)} case{'s' * (len(patients) > 1)}"
        lines.append(f"{counted} ({links}{more}): {escape(words)}")
    return "<ul>\n" + "\n".join(f"<li>{line}</li>" for line in lines) + "\n</ul>" if lines else ""


def _legend() -> str:
    return (
        '<p class="quiet"><span class="key mr"></span>the head found in the MR &ensp; '
        '<span class="key ct"></span>the head found in the CT (dashed) &ensp; '
        '<span class="key unknown"></span>outside the field of view: unknown, not air.<br>'
        "Axial, coronal and sagittal planes through the head, for a pair along the MR's axes; R is the patient's "
        "right. A line should follow the skin, without couch, headrest or mask; a checkerboard should run on from "
        "square to square.</p>"
    )


def _case(one: Findings, folder: Path) -> str:
    scans = [scan for scan in ("MR", "CT") if one.has(scan)]
    rows = 3 if len(scans) == 2 else 1
    width, height = picture_size(rows)
    picture = quote(picture_path(folder, one.patient).relative_to(folder).as_posix())
    seen = "MR, CT and a checkerboard of both" if rows == 3 else scans[0] if scans else "images"
    alternative = f"{one.patient}: {seen}, in three planes through the head, with the outline of the head"
    flags = "\n".join(f"<li>{escape(flag)}</li>" for flag in one.flags)
    return (
        f'<article class="case{" flagged" * bool(one.flags)}" id="case-{escape(one.patient)}">\n'
        f'<a href="{picture}"><img src="{picture}" loading="lazy" width="{width}" height="{height}" '
        f'alt="{escape(alternative)}"></a>\n<div>\n<h2>{escape(one.patient)}{" (flagged)" * bool(one.flags)}</h2>\n'
        + (f'<ul class="flags">\n{flags}\n</ul>\n' if flags else "")
        + f"{_facts(one.facts, scans)}\n</div>\n</article>"
    )


def _facts(facts: Mapping[str, str | float], scans: Sequence[str]) -> str:
    """A table with a column an image; what belongs to none of them spans all."""
    by_name: dict[str, dict[str, str]] = {}
    others = []
    for name, value in facts.items():
        scan, _, rest = name.partition(" ")
        if scan in scans and rest:
            by_name.setdefault(rest, {})[scan] = _text(value)
        else:
            others.append(f'<tr><th scope="row">{escape(name)}</th><td colspan="{len(scans)}">{_text(value)}</td></tr>')
    head = "<tr><td></td>" + "".join(f'<th scope="col">{scan}</th>' for scan in scans) + "</tr>"
    rows = [
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{of.get(scan, '')}</td>" for scan in scans) + "</tr>"
        for name, of in by_name.items()
    ]
    return "<table>\n" + "\n".join([head, *rows, *others]) + "\n</table>"


def _text(value: str | float) -> str:
    return escape(value if isinstance(value, str) else f"{value:g}")
