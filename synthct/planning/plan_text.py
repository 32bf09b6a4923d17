"""How ``plans.json`` is written: configurations that inherit from another, and plans of an earlier version read."""

from __future__ import annotations

import copy
from typing import Any

from synthct.errors import SynthctError
from synthct.json_dataclasses import shown, shown_key

INHERITS = "inherits_from"  # in a configuration: the one whose values it takes where it says nothing

_MOVED = ("learning_rate", "adam_betas", "lambda_cycle", "lambda_identity", "pool_size", "lambda_l1")

Table = dict[str, Any]


def with_differences(plan: Table) -> Table:
    """The same plan, each configuration as what in it differs from the first with the same cache, else the first.

    So a change of ``2d_lowres`` by hand is followed by ``2.5d_lowres``. One that lacks a key of that is written in
    full, for a difference cannot take a key away.
    """
    configurations = plan["configurations"]
    names = list(configurations)
    written = {}
    for name, whole in configurations.items():
        slices = whole.get("preprocessing")
        same_cache = next(other for other in names if configurations[other].get("preprocessing") == slices)
        parent = names[0] if same_cache == name else same_cache
        difference = None if parent == name else _difference(configurations[parent], whole)
        written[name] = whole if difference is None else {INHERITS: parent, **difference}
    return plan | {"configurations": written}


def with_inherited(plan: Any, where: str, error: type[SynthctError]) -> Any:
    """Inverse of :func:`with_differences`; what is not a plan is returned as it is, for others to refuse.

    Raises:
        error: a configuration inherits from one that is not there, or in the end from itself.
    """
    configurations = plan.get("configurations") if isinstance(plan, dict) else None
    if not isinstance(configurations, dict):
        return plan

    def whole(name: str, heirs: tuple[str, ...]) -> Any:
        configuration = configurations[name]
        if not isinstance(configuration, dict) or INHERITS not in configuration:
            return configuration
        parent = configuration[INHERITS]
        if not isinstance(parent, str) or parent not in configurations or parent in (*heirs, name):
            raise error(
                f"{where}: 'configurations.{shown_key(str(name))}.{INHERITS}' is {shown(parent)} but must be another "
                "configuration of the plan, which does not inherit from this one."
            )
        base = whole(parent, (*heirs, name))
        difference = {key: value for key, value in configuration.items() if key != INHERITS}
        return _merged(base, difference) if isinstance(base, dict) else base

    return plan | {"configurations": {name: whole(name, ()) for name in configurations}}


def _difference(base: Table, whole: Table) -> Table | None:
    """What of ``whole`` differs, for :func:`_merged`; None where a key of ``base`` is missing in it."""
    if not base.keys() <= whole.keys():
        return None
    difference = {}
    for key, value in whole.items():
        if key in base and value == base[key]:
            continue
        if key in base and isinstance(value, dict) and isinstance(base[key], dict):
            value = _difference(base[key], value)
            if value is None:
                return None
        difference[key] = value
    return difference


def _merged(base: Table, difference: Table) -> Table:
    merged = copy.deepcopy(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def upgraded(plan: Any) -> Any:
    """A plan of format 1 as format 2 says the same; any other content as it is, for others to refuse.

    Format 1 kept windows and grey levels with preprocessing, the networks' size in a part of its own, and what
    CycleGAN and pix2pix need with the training.
    """
    if not isinstance(plan, dict) or plan.get("format_version") != 1:
        return plan
    plan = copy.deepcopy(plan)
    try:
        plan["configurations"] = {
            name: _upgraded(configuration) for name, configuration in plan["configurations"].items()
        }
        plan["reasons"] = {}  # their paths have moved
        plan["format_version"] = 2
    except (KeyError, TypeError, AttributeError):
        return plan  # not a plan of format 1 either
    return plan


def upgraded_training(training: Any) -> Any:
    """What a checkpoint says of its training, without what format 1 kept there for the methods."""
    if not isinstance(training, dict):
        return training
    return {key: value for key, value in training.items() if key not in _MOVED}


def _upgraded(configuration: Table) -> Table:
    preprocessing, network, training = (
        configuration["preprocessing"],
        configuration["network"],
        configuration["training"],
    )
    coding = {key: preprocessing.pop(key) for key in ("ct_window_hu", "mr_windows", "grey_levels")}
    mr_channels = network.pop("mr_channels")
    both = {
        "coding": coding,
        **network,
        **{key: training.pop(key) for key in ("learning_rate", "adam_betas")},
    }
    cycle = {key: training.pop(key) for key in ("lambda_cycle", "lambda_identity", "pool_size")}
    l1 = {"lambda_l1": training.pop("lambda_l1")}
    return {
        "preprocessing": preprocessing,
        "input": {"plane": preprocessing["slice_plane"], "neighbours": 0, "mr_channels": mr_channels},
        "training": training,
        "network_width": 1.0,
        "methods": {"cyclegan": both | cycle, "pix2pix": copy.deepcopy(both) | l1},
    }
