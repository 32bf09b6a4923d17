"""Frozen dataclasses to JSON and back, strictly: an unknown, missing or wrongly typed key is an error that names it."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthct.errors import PlanError, SynthctError

Record = TypeVar("Record")
_MAX_SHOWN = 80  # characters of a value in a message


def added_later(default: Any) -> Any:
    """A field that files of before do not have; the default means what they mean, and is not written either.

    So plans, checkpoints and models of before stay what they were, to the bit.
    """
    return dataclasses.field(default=default, metadata={"added_later": True})


def to_plain(value: Any) -> Any:
    """Turn a dataclass (nested, with tuples and dicts) into dicts, lists and scalars that JSON can hold.

    Fields :func:`added_later` are left out where they have the default.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if "added_later" not in field.metadata or getattr(value, field.name) != field.default
        }
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(
    kind: type[Record],
    plain: Any,
    where: str,
    *,
    key: str = "",
    error: type[SynthctError] = PlanError,
    complete: bool = False,
) -> Record:
    """Build a ``kind`` from what JSON held.

    Args:
        kind: the dataclass (or a type that one of its fields has).
        plain: dicts, lists and scalars.
        where: the file, for the message.
        key: the dotted path to ``plain`` inside the file.
        complete: whether fields with a default must be there, too, but for those :func:`added_later`.

    Raises:
        error: naming the file and the key that is unknown, missing or of a wrong type.
    """

    def fail(problem: str) -> SynthctError:
        return error(f"{where}: {problem}.")

    def convert(kind: Any, plain: Any, key: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if dataclasses.is_dataclass(kind):
            return convert_record(kind, plain, key)
        if origin in (Union, types.UnionType):
            if plain is None and type(None) in arguments:
                return None
            return convert(next(argument for argument in arguments if argument is not type(None)), plain, key)
        if origin is Literal:
            if plain not in arguments:
                raise fail(f"'{key}' is {shown(plain)} but must be one of {', '.join(map(repr, arguments))}")
            return plain
        if origin is tuple:
            if not isinstance(plain, (list, tuple)):
                raise fail(f"'{key}' must be a list, not {shown(plain)}")
            if arguments[-1] is Ellipsis:
                arguments = (arguments[0],) * len(plain)
            if len(plain) != len(arguments):
                raise fail(f"'{key}' must hold {len(arguments)} values, not {len(plain)}")
            return tuple(
                convert(argument, item, f"{key}[{i}]") for i, (argument, item) in enumerate(zip(arguments, plain))
            )
        if origin is dict:
            if not isinstance(plain, dict):
                raise fail(f"'{key}' must be a table of keys and values, not {shown(plain)}")
            return {name: convert(arguments[1], item, f"{key}.{shown_key(name)}") for name, item in plain.items()}
        return convert_scalar(kind, plain, key)

    def convert_scalar(kind: Any, plain: Any, key: str) -> Any:
        if kind is Any:
            return plain
        if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
            plain = float(plain) if abs(plain) < 1e300 else math.inf
        if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
            raise fail(f"'{key}' must be of type {kind.__name__}, not {shown(plain)}")
        if kind is float and not math.isfinite(plain):
            raise fail(f"'{key}' must be a finite number, not {shown(plain)}")
        return plain

    def convert_record(kind: Any, plain: Any, key: str) -> Any:
        if not isinstance(plain, dict):
            raise fail(f"'{key or 'the file'}' must be a table of keys and values, not {shown(plain)}")
        prefix = f"{key}." if key else ""
        fields = _fields(kind)
        for name in plain:
            if name not in fields:
                raise fail(f"the key '{prefix}{shown_key(name)}' is unknown; known keys are {', '.join(fields)}")
        for name, (_, optional, later) in fields.items():
            if name not in plain and not later and (complete or not optional):
                raise fail(f"the key '{prefix}{name}' is missing")
        values = {name: convert(fields[name][0], item, f"{prefix}{name}") for name, item in plain.items()}
        try:
            return kind(**values)
        except ValueError as fault:  # a dataclass that checks its own values in __post_init__
            raise fail(f"{key + ': ' if key else ''}{fault}") from None

    return convert(kind, plain, key)


def check_ranges(record: Any, **limits: tuple[float, float]) -> None:
    """Raise ValueError where a numeric field of a dataclass lies outside its limits (low, high), ends included.

    Fields that are tuples are checked value by value, and None passes.
    """
    for name, (low, high) in limits.items():
        value = getattr(record, name)
        values = value if isinstance(value, tuple) else (value,)
        if not all(value is None or low <= value <= high for value in values):
            raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {shown(to_plain(value))}")


def shown(value: Any) -> str:
    """A value as it may stand in a sentence: on one line and short."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def is_name(text: str) -> bool:
    """Whether a text can be the name of a file or folder, and so of a patient or a dataset: one part of a path."""
    return bool(text.strip(" .")) and text.isprintable() and not set(text) & set("/\\") and len(text.encode()) <= 200


def shown_key(key: str) -> str:
    """A key likewise, without quotes."""
    return shown(key)[1:-1] if len(repr(key)) <= _MAX_SHOWN else f"{repr(key)[1:_MAX_SHOWN]}..."


@functools.cache
def _fields(kind: type) -> dict[str, tuple[Any, bool, bool]]:
    """Each field's type, whether it has a default, and whether it was added later; resolving types takes long."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return {
        field.name: (
            hints[field.name],
            field.default is not missing or field.default_factory is not missing,
            "added_later" in field.metadata,
        )
        for field in dataclasses.fields(kind)
    }
