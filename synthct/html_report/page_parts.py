"""A whole page in the shared frame and style, and its sections."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template


def packaged_text(package: str, name: str) -> str:
    """Text of a file that is installed with a package, such as a style sheet."""
    return (files(package) / name).read_text(encoding="utf-8")


def page(
    title: str,
    lead: str,
    content: str,
    *,
    navigation: str = "",
    style: str = "",
    script: str = "",
    images_beside_it: bool = False,
) -> str:
    """The whole page as HTML.

    Args:
        title: plain text, of the window and of the first heading.
        lead: HTML above the content.
        content: HTML of the main part.
        navigation: HTML between the two, such as :func:`links_to`.
        style: CSS of this report, after the shared style sheet.
        script: JavaScript of this report, after that of the tables.
        images_beside_it: whether the page may load images from files beside it; it loads nothing else.
    """
    return Template(packaged_text(__package__, "page_frame.html")).substitute(
        title=escape(title),
        style=packaged_text(__package__, "page_style.css") + style,
        lead=lead,
        navigation=navigation,
        content=content,
        script=packaged_text(__package__, "sortable_tables.js") + script,
        image_sources="data: 'self' file:" if images_beside_it else "data:",  # from a server or a disk
    )


def links_to(sections: Mapping[str, str]) -> str:
    """A line of links to the sections of :func:`sections_with_headings`."""
    links = " ".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in sections)
    return f'<nav aria-label="Parts of this page">{links}</nav>'


def sections_with_headings(sections: Mapping[str, str]) -> str:
    """Sections of the page from HTML by heading."""
    return "\n".join(_section(name, inner) for name, inner in sections.items())


def _section(name: str, inner: str) -> str:
    anchor = _anchor(name)
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{escape(name)}</h2>\n'
        f"{inner}\n</section>"
    )


def _anchor(name: str) -> str:
    return escape(name.lower().replace(" ", "-"))
