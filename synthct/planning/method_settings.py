"""A method's settings: planned by the method itself, kept in ``plans.json``, read back strictly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from synthct.errors import PlanError, SynthctError
from synthct.imaging.coding import Coding, GreyLevels, MrWindow
from synthct.json_dataclasses import from_plain
from synthct.planning import rules
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Configuration, Plan, Reason
from synthct.plugins import TRAINERS


@dataclass(frozen=True)
class PlannedSettings:
    """What a method planned.

    Attributes:
        settings: the method's dataclass.
        reasons: why a value is what it is, by its dotted path in the settings.
    """

    settings: Any
    reasons: dict[str, Reason] = field(default_factory=dict)


def settings_of(trainer: str, configuration: Configuration, where: str, error: type[SynthctError] = PlanError) -> Any:
    """A trainer's settings in a configuration; those of its paper where the configuration states none.

    Args:
        trainer: its name.
        configuration: with the settings as JSON holds them.
        where: the file and the configuration in it, for messages.
        error: raised for settings that are wrong.

    Raises:
        TrainingError: the trainer is not installed.
        error: naming the key that is unknown, missing or out of range; or the configuration is not for this trainer.
    """
    method = TRAINERS.load(trainer)
    check_dimensions(trainer, configuration, where, error)
    if trainer not in configuration.methods:
        return method.plan_settings(configuration, None).settings
    key = f"methods.{trainer}"
    settings = from_plain(method.Settings, configuration.methods[trainer], where, key=key, error=error, complete=True)
    try:
        method.coding(settings).check_channels(configuration.input.mr_channels)
        replace(configuration, training=method.training_plan(configuration.training, settings))
    except ValueError as fault:
        raise error(f"{where}: {key}: {fault}.") from None
    return settings


def check_dimensions(
    trainer: str, configuration: Configuration, where: str, error: type[SynthctError] = PlanError
) -> None:
    """Check that a trainer works on what a configuration is for; arguments as of :func:`settings_of`.

    Raises:
        error: it works on slices and the configuration is for slabs of them, or the other way round.
    """
    dimensions = TRAINERS.load(trainer).dimensions
    if dimensions == configuration.dimensions:
        return
    works_on, instead = {
        2: ("slices, and this configuration is for 3-D networks", "unet3d, or a configuration of slices such as 2d"),
        3: ("3-D patches, and this configuration is for networks of slices", "a configuration for them such as 3d"),
    }[dimensions]
    raise error(f"{where}: the trainer {trainer} works on {works_on}; take {instead}.")


def check_settings(plan: Plan, where: str) -> None:
    """Check what a plan states for the trainers that are installed; those that a configuration is not for are left.

    Raises:
        PlanError: naming the key that is unknown, missing or out of range.
    """
    for name, configuration in plan.configurations.items():
        for trainer in configuration.methods:  # in the plan's order, so that every run names the same key
            if _is_for(configuration, trainer):
                settings_of(trainer, configuration, f"{where}: configurations.{name}")


def coding_of(configuration: Configuration, where: str) -> Coding:
    """The coding of the first method that a configuration states, for pictures of what a network is shown.

    Raises:
        PlanError: its settings are wrong.
    """
    trainer = next((name for name in configuration.methods if _is_for(configuration, name)), None)
    if trainer is None:
        return GreyLevels(mr_windows=(MrWindow("percentile", 0.5, 99.5),) * configuration.input.mr_channels)
    return TRAINERS.load(trainer).coding(settings_of(trainer, configuration, where))


def _is_for(configuration: Configuration, trainer: str) -> bool:
    return trainer in TRAINERS.names() and TRAINERS.load(trainer).dimensions == configuration.dimensions


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
