"""Types of command line arguments, which say what is wrong with a value."""

from __future__ import annotations

import argparse


def positive_integer(text: str) -> int:
    """An argument that must be 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def positive_number(text: str) -> float:
    """An argument that must be above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:  # NaN is not either
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return number
