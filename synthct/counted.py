"""Numbers of things in words, and the first of many names."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, what: str) -> str:
    """``1 patient``, ``2 patients``; ``what`` is the singular of a noun that takes an s."""
    return f"{number} {what}{'s' * (number != 1)}"


def first_of(names: Iterable[str], most: int = 5) -> str:
    """The first names of a list, such as ``P1, P2 and 7 more``."""
    names = list(names)
    return ", ".join(names[:most]) + f" and {len(names) - most} more" * (len(names) > most)
