"""Tuples of two and three values, out of arrays, generators and what SimpleITK returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Value = TypeVar("Value")


def pair(values: Iterable[Value]) -> tuple[Value, Value]:
    """Two values.

    Raises:
        ValueError: there are more or fewer.
    """
    first, second = values
    return first, second


def triple(values: Iterable[Value]) -> tuple[Value, Value, Value]:
    """Three values.

    Raises:
        ValueError: there are more or fewer.
    """
    first, second, third = values
    return first, second, third
