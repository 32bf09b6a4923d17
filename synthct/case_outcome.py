"""What becomes of one case's work, in whatever process it is done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

from synthct.errors import DiskError, SynthctError, os_error_sentence


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its result, or the error that it raised, or it is ``lost``: it ended its worker."""

    case: str
    result: Any = None
    fault: Exception | None = None
    lost: bool = False


def call_named(function: Callable[..., Any], case: str, values: tuple[Any, ...]) -> Any:
    """``function(*values)``.

    Raises:
        SynthctError: what the user can fix.
        RuntimeError: any other failure, naming the case.
    """
    try:
        return function(*values)
    except SynthctError:
        raise
    except OSError as fault:
        raise DiskError(f"{case}: {os_error_sentence(fault)}") from fault
    except MemoryError as fault:
        raise SynthctError(f"{case}: there is not enough memory; use fewer workers (-np).") from fault
    except Exception as fault:
        raise RuntimeError(f"{case}: {type(fault).__name__}: {fault}") from fault


def outcome_of(case: str, result: Callable[[], Any]) -> Outcome:
    """What calling ``result`` comes to."""
    try:
        return Outcome(case, result())
    except BrokenExecutor:
        return Outcome(case, lost=True)
    except Exception as fault:
        return Outcome(case, fault=fault)
