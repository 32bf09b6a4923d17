"""The elements of the reports' pages. Arguments are plain text, which is escaped here, where they do not say HTML."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from html import escape

from synthct import __version__


def text(value: str | float) -> str:
    """A value as escaped text, numbers in six digits at most."""
    return escape(value if isinstance(value, str) else f"{value:g}")


def written_on(date: datetime.date, remark: str) -> str:
    """When and by which version the page was written, and a remark."""
    return f'<p class="quiet">Written on {date.isoformat()} by synthct {escape(__version__)}. {escape(remark)}</p>'


def bullet_list(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return html_list(map(escape, sentences))


def warning_list(sentences: Iterable[str], label: str) -> str:
    """Sentences that must not be overlooked; empty without any. ``label`` says to screen readers what they are."""
    items = [escape(sentence) for sentence in sentences]
    return html_list(items, f' class="warnings" aria-label="{escape(label)}"') if items else ""


def html_list(items: Iterable[str], attributes: str = "") -> str:
    """A list of items in HTML."""
    return f"<ul{attributes}>\n" + "\n".join(f"<li>{item}</li>" for item in items) + "\n</ul>"


def definition_list(definitions: Mapping[str, str | float]) -> str:
    """Names and what they stand for."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{text(value)}</dd>" for name, value in definitions.items())
    return f"<dl>{items}</dl>"


def folded(summary: str, inner: str, *, open_at_first: bool = False) -> str:
    """A part of the page, in HTML, that the reader folds away and out below its summary."""
    return f"<details{' open' * open_at_first}><summary>{escape(summary)}</summary>\n{inner}\n</details>"


def table(head: str, rows: Iterable[str], *, name: str = "", caption: str = "", sortable: bool = False) -> str:
    """A table.

    Args:
        head: cells of the first row, in HTML; those with a button sort a sortable table.
        rows: cells of the others, in HTML.
        name: of a large table, for its id and for screen readers; it scrolls where it is wider than the page.
        caption: a sentence above the table.
        sortable: whether a heading with a button sorts by its column.
    """
    attributes = (f' id="table-{escape(name)}"' if name else "") + (' class="sortable"' if sortable else "")
    titled = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    made = f"<table{attributes}>\n{titled}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    if not name:
        return made
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(name)}">\n{made}\n</div>'
