"""JSON of strangers: strictly read, and shallow."""

from __future__ import annotations

import json
from typing import Any

from synthct.errors import ModelError

DEEPEST = 24  # tables in tables; ours have 8


def read_checked_json(data: bytes, where: str, remedy: str) -> Any:
    """Parse JSON: UTF-8, no key twice, no NaN, nothing deeper than ``DEEPEST``.

    Raises:
        ModelError: ``where``, what is wrong, ``remedy``.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_table, parse_constant=_refuse)
        _check_depth(value, DEEPEST)
    except (ValueError, RecursionError) as fault:  # of ValueError are those of decode, of json and our own
        reason = "too deep" if isinstance(fault, RecursionError) else str(fault)
        raise ModelError(f"{where} is not valid JSON ({reason[:120]}); {remedy}.") from None
    return value


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice in one table")
    return table


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _check_depth(value: Any, left: int) -> None:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if items and not left:
        raise ValueError(f"tables are nested deeper than {DEEPEST}")
    for item in items:
        _check_depth(item, left - 1)
