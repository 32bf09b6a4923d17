"""A model folder: one trainer and configuration on one dataset, with all that a prediction needs beside the folds."""

from __future__ import annotations

from pathlib import Path

from synthct.errors import PlanError, TrainingError
from synthct.files import write_text
from synthct.planning.plan import Plan

PLANS_NAME = "plans"
DESCRIPTIONS = ("dataset.json", "dataset_fingerprint.json", "plans.json")


def model_folder_name(trainer_name: str, configuration_name: str) -> str:
    """Such as ``cyclegan__plans__2d``."""
    return f"{trainer_name}__{PLANS_NAME}__{configuration_name}"


def describe_model(preprocessed_folder: Path, model_folder: Path, configuration_name: str, fold: str) -> None:
    """Copy dataset, fingerprint and plan into the model folder, so that it is complete wherever it is moved.

    Raises:
        TrainingError: other folds in it were trained with another plan; one folder is one model.
    """
    preprocessed_folder, model_folder = Path(preprocessed_folder), Path(model_folder)
    others = [path.parent.name for path in model_folder.glob("fold_*/checkpoint_*.pth")]
    others = sorted(set(others) - {f"fold_{fold}"})
    if others and (model_folder / "plans.json").is_file():
        plan = Plan.load(preprocessed_folder / "plans.json").configuration(configuration_name)
        earlier = Plan.load(model_folder / "plans.json").configuration(configuration_name)
        if (plan.preprocessing, plan.network) != (earlier.preprocessing, earlier.network):
            raise TrainingError(
                f"{model_folder} holds {', '.join(others)} trained with another plan; move that folder away, "
                "or restore the plan, so that all folds of a model agree."
            )
    for name in DESCRIPTIONS:
        try:
            text = (preprocessed_folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise PlanError(f"{preprocessed_folder / name} is missing; run synthct_plan_and_preprocess.") from None
        write_text(text, model_folder / name)
