"""The files of the page that are not Python."""

from importlib.resources import files


def page_part(name: str) -> str:
    """Text of a file beside this one, such as ``page.css``."""
    return (files("synthct.evaluation.report") / name).read_text(encoding="utf-8")
