"""A method's settings: planned by the method itself, kept in ``plans.json``, read back strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from synthct.errors import PlanError, SynthctError
from synthct.imaging.coding import MrWindow
from synthct.json_dataclasses import from_plain
from synthct.planning import rules
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Configuration, Reason


@dataclass(frozen=True)
class PlannedSettings:
    """What a method planned.

    Attributes:
        settings: the method's dataclass.
        reasons: why a value is what it is, by its dotted path in the settings.
    """

    settings: Any
    reasons: dict[str, Reason] = field(default_factory=dict)


def settings_from_plain(
    kind: type, plain: Any, trainer: str, where: str, error: type[SynthctError] = PlanError
) -> Any:
    """A method's settings from what JSON held.

    Args:
        kind: the settings' dataclass.
        plain: the table.
        trainer: the method's name, for messages.
        where: the file and what comes before ``methods`` in it, for messages.

    Raises:
        error: naming the key that is unknown, missing or out of range.
    """
    return from_plain(kind, plain, where, key=f"methods.{trainer}", error=error, complete=True)


def mr_windows(
    configuration: Configuration, fingerprint: Fingerprint | None
) -> tuple[tuple[MrWindow, ...], dict[str, Reason]]:
    """A window a channel by the rule for them, [0, 3500] (Wolterink et al. 2017) without a fingerprint; and reasons."""
    n_channels = configuration.input.mr_channels
    if fingerprint is None:
        return (MrWindow("fixed", 0.0, 3500.0),) * n_channels, {}
    decisions = [rules.mr_window(fingerprint, channel) for channel in range(n_channels)]
    reasons = {f"mr_windows[{i}]": decision.reason for i, decision in enumerate(decisions)}
    return tuple(decision.value for decision in decisions), reasons
