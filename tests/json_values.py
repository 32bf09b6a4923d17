"""Random JSON, and every place in a JSON file where it can be put: what the parsers' property tests share."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from synthct.errors import SynthctError

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2, 10**9, 2**31, 2**63, 10**400, 1e-300, 1e300, 0.5, -0.0, "", " ", "..", "a/b", "\0"]),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.sampled_from(["\n", "\ud800", "é" * 300, "2d", "LPS", "fixed"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
FileMaker = Callable[[Any], Path]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path (keys and indices) of every value in a JSON value, the whole included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def with_value(content: Any, path: tuple, value: Any) -> Any:
    """A copy of ``content`` with another value at a path."""
    if not path:
        return value
    content = copy.deepcopy(content)
    table = content
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    return content


def without(content: Any, path: tuple) -> Any:
    """A copy of ``content`` without the value at a path."""
    content = copy.deepcopy(content)
    table = content
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    return content


def written(content: Any, path: Path) -> Path:
    """Write any JSON, NaN and half characters included."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read_or_message(read: Callable[[Path], Any], path: Path) -> Any:
    """What ``read`` returns, or None where it refuses the file in one sentence that names it."""
    try:
        return read(path)
    except SynthctError as fault:
        message = str(fault)
        assert str(path) in message and "\n" not in message and message.endswith("."), message
        assert len(message) < 700 + len(str(path)), message
        message.encode("utf-8")  # can be printed
        return None
