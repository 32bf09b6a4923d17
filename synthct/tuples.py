"""Tuples of a known length from what has none by its type, such as SimpleITK's sizes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def pair_of(values: Iterable[T]) -> tuple[T, T]:
    """Two values.

    Raises:
        ValueError: there are more or fewer.
    """
    first, second = values
    return first, second


def triple_of(values: Iterable[T]) -> tuple[T, T, T]:
    """Three values.

    Raises:
        ValueError: there are more or fewer.
    """
    first, second, third = values
    return first, second, third
