"""Records to JSON and back, strictly: every deviation is reported with its file and key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from synthct.errors import DatasetError, PlanError
from synthct.json_dataclasses import from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int]
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if min(self.size) < 0:
            raise ValueError(f"size must not be negative, not {list(self.size)}")


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    count: int
    flag: bool
    limit: int | None
    inner: Inner
    names: tuple[str, ...]
    table: dict[str, Inner]
    anything: Any = None
    extra: dict[str, int] = field(default_factory=dict)


OUTER = Outer("n", 0.5, 3, True, None, Inner((1, 2)), ("x", "y"), {"k": Inner((3, 4), "b")}, {"free": [1, "2"]})


def changed(**changes) -> dict:
    return to_plain(OUTER) | changes


def message_of(plain: Any) -> str:
    with pytest.raises(PlanError) as fault:
        from_plain(Outer, plain, "/data/plans.json")
    assert str(fault.value).startswith("/data/plans.json: ")
    return str(fault.value)


def test_a_record_is_the_same_after_json():
    assert from_plain(Outer, json.loads(json.dumps(to_plain(OUTER))), "f") == OUTER


def test_keys_with_a_default_may_be_left_out():
    plain = to_plain(OUTER)
    del plain["anything"], plain["extra"], plain["inner"]["kind"]
    assert from_plain(Outer, plain, "f").inner.kind == "a"


def test_whole_numbers_stand_for_real_ones():
    assert from_plain(Outer, changed(share=1), "f").share == 1.0


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (changed(nmae=1), "'nmae' is unknown; known keys are name, share"),
        (changed(inner={"size": [1, 2], "kimd": "a"}), "'inner.kimd' is unknown"),
        ({key: value for key, value in changed().items() if key != "count"}, "'count' is missing"),
        (changed(inner={}), "'inner.size' is missing"),
        (changed(table={"k": {"kind": "a"}}), "'table.k.size' is missing"),
        (changed(name=3), "'name' must be of type str, not 3"),
        (changed(count="3"), "'count' must be of type int, not '3'"),
        (changed(count=3.5), "'count' must be of type int, not 3.5"),
        (changed(count=True), "'count' must be of type int, not True"),
        (changed(flag=1), "'flag' must be of type bool, not 1"),
        (changed(count=None), "'count' must be of type int, not None"),
        (changed(limit="3"), "'limit' must be of type int, not '3'"),
        (changed(share=float("nan")), "'share' must be a finite number"),
        (changed(share=float("inf")), "'share' must be a finite number"),
        (changed(share=10**400), "'share' must be a finite number"),
        (changed(inner={"size": [1, 2, 3]}), "'inner.size' must hold 2 values, not 3"),
        (changed(inner={"size": [1, "2"]}), "'inner.size[1]' must be of type int"),
        (changed(inner={"size": 3}), "'inner.size' must be a list"),
        (changed(inner={"size": [1, 2], "kind": "c"}), "'inner.kind' is 'c' but must be one of 'a', 'b'"),
        (changed(inner={"size": [1, 2], "kind": ["a"]}), "'inner.kind' is ['a'] but must be one of"),
        (changed(inner={"size": [-1, 2]}), "inner: size must not be negative, not [-1, 2]"),
        (changed(table={"k": {"size": [-1, 2]}}), "table.k: size must not be negative"),
        (changed(inner=[1]), "'inner' must be a table"),
        (changed(table=[1]), "'table' must be a table"),
        (changed(names="xy"), "'names' must be a list"),
        ([], "'the file' must be a table"),
        (None, "'the file' must be a table"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_reported_with_file_and_key(plain, words):
    assert words in message_of(plain)


def test_the_error_is_of_the_callers_kind():
    with pytest.raises(DatasetError):
        from_plain(Outer, {}, "f", error=DatasetError)


def test_a_long_value_or_key_is_reported_in_short():
    assert len(message_of(changed(count="x" * 10_000))) < 200
    assert len(message_of({"x\n" * 10_000: 1})) < 300 and "\n" not in message_of({"x\n" * 10_000: 1})
