"""From fingerprint to plan. A planner is a function ``(raw, fingerprint) -> Plan`` in :data:`PLANNERS`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from synthct import __version__
from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.json_dataclasses import to_plain
from synthct.planning import rules
from synthct.planning.configurations import FULL_SIZE, reference_configuration
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import FORMAT_VERSION, Configuration, Plan, Reason
from synthct.plugins import CONFIGURATIONS, TRAINERS

logger = logging.getLogger("synthct")


def plan_as_reference(raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """Everything as in Wolterink et al. 2017, whatever the data; only the number of folds yields to fewer pairs."""
    full = reference_configuration(len(raw.channel_names))
    folds = rules.n_folds(fingerprint)
    reasons = {
        "configurations": Reason("all values are those of Wolterink et al. 2017", "nothing"),
        "n_folds": folds.reason,
    }
    plan = _plan(raw, "wolterink2017", folds.value, full, reasons, None)
    return replace(plan, recommended_trainer="cyclegan")


def plan_by_rules(raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """The values of Wolterink et al. 2017 where the data allow them, else what rules derive from the fingerprint."""
    plane = rules.slice_plane(fingerprint)
    spacing = rules.spacing_mm(fingerprint, plane.value)
    size = rules.slice_size(spacing.value[1])
    iterations = rules.iterations_per_epoch(fingerprint, plane.value, spacing.value[0])
    folds = rules.n_folds(fingerprint)
    trainer = rules.recommended_trainer(fingerprint)
    reference = reference_configuration(len(raw.channel_names))
    full = replace(
        reference,
        preprocessing=replace(
            reference.preprocessing, slice_plane=plane.value, spacing_mm=spacing.value, slice_size=size.value
        ),
        input=replace(reference.input, plane=plane.value),
        training=replace(
            reference.training,
            padded_size=rules.padded_size(size.value),
            crop_size=size.value,
            iterations_per_epoch=iterations.value,
        ),
    )
    decisions = {
        "recommended_trainer": trainer,
        "n_folds": folds,
        f"configurations.{FULL_SIZE}.preprocessing.slice_plane": plane,
        f"configurations.{FULL_SIZE}.preprocessing.spacing_mm": spacing,
        f"configurations.{FULL_SIZE}.preprocessing.slice_size": size,
        f"configurations.{FULL_SIZE}.training.iterations_per_epoch": iterations,
    }
    reasons = {path: decision.reason for path, decision in decisions.items()}
    plan = _plan(raw, "default", folds.value, full, reasons, fingerprint)
    return replace(plan, recommended_trainer=trainer.value)


PLANNERS: dict[str, Callable[[RawDataset, Fingerprint], Plan]] = {
    "default": plan_by_rules,
    "wolterink2017": plan_as_reference,
}


def make_plan(planner: str, raw: RawDataset, fingerprint: Fingerprint) -> Plan:
    """Plan a dataset.

    Raises:
        PlanError: there is no such planner, or there is no MR or no CT to learn from.
    """
    if planner not in PLANNERS:
        raise PlanError(f"There is no planner '{planner}'; the planners are {', '.join(PLANNERS)}.")
    for modality, folder, present in (
        ("MR", "imagesTr", any(case.mr for case in fingerprint.cases.values())),
        ("CT", "targetsTr", any(case.ct is not None for case in fingerprint.cases.values())),
    ):
        if not present:
            raise PlanError(f"{raw.folder} has no {modality} to learn from; put some into {folder}.")
    return PLANNERS[planner](raw, fingerprint)


def planned_methods(
    configuration: Configuration, fingerprint: Fingerprint | None
) -> tuple[dict[str, dict], dict[str, Reason]]:
    """The settings of every trainer of a configuration's dimensions, as JSON holds them, and the reasons by their path.

    A trainer of another package that cannot be imported, or not be planned for these data, is left out with a warning.

    Args:
        configuration: for which they are planned.
        fingerprint: of the dataset; None takes the values of the methods' papers whatever the data.
    """
    methods: dict[str, dict] = {}
    reasons: dict[str, Reason] = {}
    for name in TRAINERS.names():
        try:
            method = TRAINERS.load(name)
            if method.dimensions != configuration.dimensions:
                continue
            planned = method.plan_settings(configuration, fingerprint)
        except Exception as fault:  # of another package, which must not keep ours from being planned
            if name in TRAINERS.ours:
                raise
            logger.warning(f"The trainer '{name}' ({TRAINERS.package_of(name)}) is left out of the plan: {fault}")
            continue
        methods[name] = to_plain(planned.settings)
        reasons |= {f"{name}.{path}": reason for path, reason in planned.reasons.items()}
    return methods, reasons


def _derived_configurations(full: Configuration) -> tuple[dict[str, Configuration], dict[str, Reason]]:
    """Every configuration beside the full size, and why one would take it; a faulty one of another package is left out.

    In a dataset of axial slices ``2d`` is axial already, and so for coronal ones: such a configuration is left out too.
    """
    configurations, reasons = {}, {}
    for name in CONFIGURATIONS.names():
        try:
            configuration, reason = CONFIGURATIONS.load(name)(full)
        except Exception as fault:  # of another package, which must not keep ours from being planned
            if name in CONFIGURATIONS.ours:
                raise
            logger.warning(f"The configuration '{name}' ({CONFIGURATIONS.package_of(name)}) is left out: {fault}")
            continue
        if name != FULL_SIZE and configuration != full:
            configurations[name] = configuration
            reasons[f"configurations.{name}"] = Reason(reason, FULL_SIZE)
    return configurations, reasons


def _plan(
    raw: RawDataset,
    planner: str,
    folds: int,
    full: Configuration,
    reasons: dict[str, Reason],
    fingerprint: Fingerprint | None,
) -> Plan:
    derived, derived_reasons = _derived_configurations(full)
    configurations, reasons = {FULL_SIZE: full, **derived}, reasons | derived_reasons
    full_size_reasons: dict[str, Reason] = {}  # which comes first: what is as there is explained there alone
    for name, configuration in configurations.items():
        methods, method_reasons = planned_methods(configuration, fingerprint)
        configurations[name] = replace(configuration, methods=methods)
        reasons = reasons | {
            f"configurations.{name}.methods.{path}": reason
            for path, reason in method_reasons.items()
            if reason != full_size_reasons.get(path)
        }
        full_size_reasons = full_size_reasons or method_reasons
    return Plan(
        format_version=FORMAT_VERSION,
        synthct_version=__version__,
        dataset_name=raw.name,
        planner=planner,
        channel_names=raw.channel_names,
        file_ending=raw.file_ending,
        n_folds=folds,
        configurations=configurations,
        reasons=reasons,
    )
