"""One fold of a preprocessed dataset -> a model folder that is complete: it predicts with nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from synthct import locks
from synthct.errors import PlanError, TrainingError
from synthct.files import write_text
from synthct.model_folder import FoldFolder, ModelFolder
from synthct.parallel import Progress, quiet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan
from synthct.planning.splits import load_splits, split_of_fold
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cache_folder, check_cached, refined_folder
from synthct.training.loop import train
from synthct.training.what_to_train import FoldToTrain, TrainingOptions, fold_folder, with_settings_of


def train_fold(
    preprocessed: Path,
    results: Path,
    trainer: str,
    configuration: str = "2d",
    fold: str = "0",
    *,
    disjoint: bool = False,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008  frozen
    progress: Progress = quiet,
) -> Path:
    """Train a fold and leave a complete model folder.

    Args:
        preprocessed: the preprocessed dataset, such as ``synthct_preprocessed/Dataset001_Brain``.
        results: of the dataset, such as ``synthct_results/Dataset001_Brain``.
        trainer: such as ``cyclegan``.
        configuration: of the plan.
        fold: ``0``, ``1``, ... or ``all``.
        disjoint: MR and CT from different patients; unpaired trainers only.
        options: how the training is carried out.
        progress: a display like ``tqdm``.

    Returns:
        The model folder.

    Raises:
        PlanError: the dataset has no such configuration or fold, slices are missing, or a setting is wrong.
        TrainingError: the training cannot start or go on.
    """
    what = fold_to_train(preprocessed, results, trainer, configuration, fold, disjoint=disjoint)
    model_folder = ModelFolder(what.fold_folder.parent)
    is_main = options.ranks.is_main_process

    def describe_before() -> None:
        with locks.section(model_folder.path) if is_main else nullcontext():  # other folds may be trained at once
            check_one_plan(what)
            if is_main and not FoldFolder(what.fold_folder).final.exists():  # else it still describes the earlier model
                describe_model(what, preprocessed)

    train(what, options, describe=describe_before, progress=progress)
    if is_main:
        with locks.section(model_folder.path):
            describe_model(what, preprocessed)
    return model_folder.path


def fold_to_train(
    preprocessed: Path, results: Path, trainer: str, configuration: str, fold: str, *, disjoint: bool = False
) -> FoldToTrain:
    """What is to be trained, from the files of a preprocessed dataset; arguments as of :func:`train_fold`.

    Raises:
        PlanError, TrainingError: as of :func:`train_fold`.
    """
    preprocessed = Path(preprocessed)
    plan = Plan.load(preprocessed / "plans.json")
    planned = plan.configuration(configuration)
    fingerprint = Fingerprint.load(preprocessed / "dataset_fingerprint.json")
    patients = fingerprint.cases
    split = split_of_fold(load_splits(preprocessed / "splits_final.json", patients), fold, patients)
    slices = cache_folder(preprocessed, planned.preprocessing)
    what = FoldToTrain(
        trainer,
        with_settings_of(trainer, plan, configuration, fingerprint),
        configuration,
        {"train": list(split.train), "val": list(split.val)},
        slices,
        fold_folder(results, trainer, configuration, fold, disjoint=disjoint),
        disjoint,
        refined_folder(slices) if plan.register == "refine" and TRAINERS.load(trainer).needs_pairs else None,
    )
    what.settings()  # a wrong one is reported before any work is done
    check_cached(what.slices_folder, [*split.train, *split.val], configuration)
    if what.refined_folder is not None:
        check_cached(what.refined_folder, [name for name in split.train if patients[name].paired], configuration)
    return what


def check_one_plan(what: FoldToTrain) -> None:
    """One folder is one model: the other folds in it must have been trained with the plan that is in force now.

    Raises:
        TrainingError: they were not.
    """
    model = ModelFolder(what.fold_folder.parent)
    others = [
        fold.path.name for fold in model.folds() if fold.path != what.fold_folder and any(fold.path.glob("*.pth"))
    ]
    if not others or not model.plans.is_file():
        return
    plan, earlier = what.planned, Plan.load(model.plans).configuration(what.configuration)
    parts = [(planned.preprocessing, planned.input, planned.methods.get(what.trainer)) for planned in (plan, earlier)]
    refined = [whole.register == "refine" for whole in (what.plan, Plan.load(model.plans))]
    if parts[0] != parts[1] or refined[0] != refined[1] and what.trainer_class.needs_pairs:
        raise TrainingError(
            f"{model.path} holds {', '.join(others)} trained with another plan; move that folder away, "
            "or restore the plan, so that all folds of a model agree."
        )


def describe_model(what: FoldToTrain, preprocessed: Path) -> None:
    """Write dataset, fingerprint and plan into the model folder, so that it is complete wherever it is moved."""
    model = ModelFolder(what.fold_folder.parent)
    what.plan.save(model.plans)
    for target in (model.dataset, model.fingerprint):
        _copy(Path(preprocessed) / target.name, target)


def _copy(source: Path, target: Path) -> None:
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError(f"{source} is missing; run synthct_plan_and_preprocess.") from None
    write_text(text, target)
