"""Where the numbers come from: versions, the plan of each model, and the commands that make them again."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from synthct import __version__
from synthct.evaluation.trained_models import TrainedModel
from synthct.html_report.elements import definition_list
from synthct.planning.plan import Plan
from synthct.training.log import TrainingLog

_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "scikit-image", "matplotlib")


def versions() -> dict[str, str]:
    """Of synthct, Python and what computed the numbers."""
    found = {"synthct": __version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"system": f"{platform.system()} on {platform.machine()}"}


def commands_of_models(dataset_name: str, models: Sequence[TrainedModel]) -> list[str]:
    """What was run from the raw dataset to this page, with the options that the plans and folders still show."""
    number = str(int(match[1])) if (match := re.match(r"Dataset(\d{3})_", dataset_name)) else dataset_name
    plans = {model.label: Plan.load(model.files.plans) for model in models}
    preparations, trainings, predictions = [], [], []
    for model in models:
        plan = plans[model.label]
        planner = "" if plan.planner == "default" else f" -p {plan.planner}"
        register = "" if plan.register == "off" else f" --register {plan.register}"
        preparations.append(f"synthct_plan_and_preprocess -d {number} -c {model.configuration}{planner}{register}")
        trainer = model.trainer.removesuffix("_disjoint")
        disjoint = " --disjoint" if trainer != model.trainer else ""
        trainings += [
            f"synthct_train {number} {trainer} {fold} -c {model.configuration}{_epochs(model, fold, plan)}{disjoint}"
            for fold in _trained_folds(model)
        ]
        if model.tested:
            predictions.append(f"synthct_predict -d {number} -tr {model.trainer} -c {model.configuration} --test_set")
    return [*dict.fromkeys(preparations), *trainings, *predictions, f"synthct_evaluate -d {number}"]


def plan_section(models: Sequence[TrainedModel]) -> str:
    """A definition list a model: what its plan decided."""
    parts = []
    for model in models:
        plan = Plan.load(model.files.plans)
        parts.append(f"<h3>{escape(model.label)}</h3>\n{definition_list(_facts(model, plan))}")
    return "\n".join(parts)


def _facts(model: TrainedModel, plan: Plan) -> dict[str, str]:
    configuration = plan.configuration(model.configuration)
    trainer = model.trainer.removesuffix("_disjoint")
    preparation, training, seen = configuration.preprocessing, configuration.training, configuration.input
    mm = " x ".join(f"{value:.3g}" for value in preparation.spacing_mm)
    rows, cols = preparation.slice_size
    patient_folds = [held_out.fold for held_out in model.held_out.values() if held_out.fold is not None]
    counts = {fold: patient_folds.count(fold) for fold in sorted(set(patient_folds))}
    folds = [f"fold {fold}: {n} patient{'s' * (n != 1)}" for fold, n in counts.items()]
    return {
        "model folder": model.folder.name,
        "planner": f"{plan.planner}, of synthct {plan.synthct_version}",
        "registration of CT to MR": plan.register,
        "slices": f"{preparation.slice_plane}, {rows} x {cols} pixels; volumes at {mm} mm (slices, rows, columns)",
        "network input": f"{seen.plane} slices with {seen.neighbours} neighbours on each side"
        if configuration.dimensions == 2
        else f"3-D patches of {seen.plane} slices",
        **{
            f"methods.{trainer}.{name}": value
            for name, value in _settings(configuration.methods.get(trainer, {})).items()
        },
        "training": f"{training.epochs_constant} + {training.epochs_decay} epochs planned, "
        f"batch {training.batch_size}, seed {training.seed}",
        "trained": "; ".join(_trained(model, fold) for fold in _trained_folds(model)),
        "held-out patients": f"{', '.join(folds) or 'none'}; {plan.n_folds} folds planned",
        "test patients": str(len(model.tested) or "none"),
    }


def _settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A method's settings as the plan states them, by their dotted path."""
    facts: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            facts |= _settings(value, f"{prefix}{name}.")
        else:
            facts[f"{prefix}{name}"] = json.dumps(value)
    return facts


def _trained_folds(model: TrainedModel) -> list[int]:
    """Numbers of the folds that have a log of their training or have held somebody out."""
    logged = {fold.number for fold in model.files.folds() if fold.log.is_file()}
    patient_folds = {held_out.fold for held_out in model.held_out.values()}
    return sorted(fold for fold in logged | patient_folds if fold is not None)


def _log(model: TrainedModel, fold: int) -> TrainingLog:
    log = TrainingLog(model.files.fold(fold).log)
    log.read()
    return log


def _trained(model: TrainedModel, fold: int) -> str:
    rows = _log(model, fold).rows
    if not rows:
        return f"fold {fold}: no log"
    minutes = sum(float(row.get("seconds") or 0) for row in rows) / 60
    return f"fold {fold}: {rows[-1]['epoch']} epochs, {rows[-1]['step']} steps, {minutes:.0f} min"


def _epochs(model: TrainedModel, fold: int, plan: Plan) -> str:
    rows = _log(model, fold).rows
    planned = plan.configuration(model.configuration).training.epochs
    return f" --epochs {rows[-1]['epoch']}" if rows and int(rows[-1]["epoch"]) != planned else ""
