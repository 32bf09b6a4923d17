"""A model folder: one trainer and configuration on one dataset, with all that a prediction needs beside the folds."""

from __future__ import annotations

from pathlib import Path

from synthct.errors import PlanError, TrainingError
from synthct.files import write_text
from synthct.planning.plan import Plan

PLANS_NAME = "plans"
CHECKPOINT = "checkpoint_final.pth"  # whose presence makes a fold count as trained
DESCRIPTIONS = ("dataset.json", "dataset_fingerprint.json", "plans.json")


def model_folder_name(trainer_name: str, configuration_name: str, *, disjoint: bool = False) -> str:
    """Such as ``cyclegan__plans__2d``; a training on disjoint patients is a model of its own."""
    return f"{trainer_name}{'_disjoint' * disjoint}__{PLANS_NAME}__{configuration_name}"


def check_one_plan(preprocessed_folder: Path, model_folder: Path, configuration_name: str, fold: str) -> None:
    """One folder is one model: the other folds in it must have been trained with the plan that is in force now.

    Raises:
        TrainingError: they were not.
    """
    model_folder = Path(model_folder)
    others = sorted({path.parent.name for path in model_folder.glob("fold_*/checkpoint_*.pth")} - {f"fold_{fold}"})
    if not others or not (model_folder / "plans.json").is_file():
        return
    plan = Plan.load(Path(preprocessed_folder) / "plans.json").configuration(configuration_name)
    earlier = Plan.load(model_folder / "plans.json").configuration(configuration_name)
    if (plan.preprocessing, plan.network) != (earlier.preprocessing, earlier.network):
        raise TrainingError(
            f"{model_folder} holds {', '.join(others)} trained with another plan; move that folder away, "
            "or restore the plan, so that all folds of a model agree."
        )


def describe_model(preprocessed_folder: Path, model_folder: Path) -> None:
    """Copy dataset, fingerprint and plan into the model folder, so that it is complete wherever it is moved."""
    for name in DESCRIPTIONS:
        try:
            text = (Path(preprocessed_folder) / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise PlanError(
                f"{Path(preprocessed_folder) / name} is missing; run synthct_plan_and_preprocess."
            ) from None
        write_text(text, Path(model_folder) / name)
