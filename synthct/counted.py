"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """``1 patient``, ``2 patients``; ``what`` is the singular of a noun that takes an s."""
    return f"{number} {what}{'s' * (number != 1)}"
