"""Which patients are drawn, and all figures of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthct.dataset.raw import CaseFiles
from synthct.errors import ModelError, TrainingError
from synthct.evaluation.figures.bland_altman import draw_bland_altman
from synthct.evaluation.figures.by_patient import draw_by_patient
from synthct.evaluation.figures.by_tissue import draw_by_tissue
from synthct.evaluation.figures.figure4 import draw_figure4
from synthct.evaluation.figures.figure5 import draw_figure5
from synthct.evaluation.figures.figure6 import draw_figure6
from synthct.evaluation.figures.joint_histogram import draw_joint_histogram
from synthct.evaluation.figures.training_curves import draw_training
from synthct.evaluation.sagittal import SagittalSlice
from synthct.evaluation.score import PatientScore, Row, mae_by_patient
from synthct.evaluation.trained_models import TrainedModel
from synthct.evaluation.voxel_histogram import VoxelHistogram
from synthct.parallel import IN_THIS_PROCESS, CaseRunner, Progress, quiet
from synthct.plugins import TRAINERS

log = logging.getLogger("synthct")


def best_median_worst(mae_hu: Mapping[str, float]) -> tuple[str, ...]:
    """Up to three patients by MAE: the best, the median (the better one of two) and the worst."""
    ranked = sorted(mae_hu, key=lambda patient: (mae_hu[patient], patient))
    picks = (0, (len(ranked) - 1) // 2, len(ranked) - 1) if ranked else ()
    return tuple(dict.fromkeys(ranked[i] for i in picks))


def draw_charts(
    rows: Mapping[str, Sequence[Row]],
    scores: Mapping[str, PatientScore],
    folder: Path,
    *,
    models: Sequence[TrainedModel] = (),
    baselines: Mapping[str, Sequence[Row]] | None = None,
) -> tuple[Path, ...]:
    """What is drawn over all patients: by patient, by tissue, joint histogram, Bland-Altman, and training curves.

    Args:
        rows: of the models, in the order of all charts.
        scores: by patient, for the histograms.
        models: those whose training is drawn.
        baselines: the rows of the trivial sCTs.
    """
    histograms = {
        label: [score.histograms[label] for score in scores.values() if label in score.histograms] for label in rows
    }
    totals = {label: VoxelHistogram.total(model_rows) for label, model_rows in histograms.items()}
    drawn = [
        draw_by_patient(rows, folder, baselines=baselines),
        draw_by_tissue(rows, folder),
        draw_joint_histogram(totals, {label: len(model_rows) for label, model_rows in histograms.items()}, folder),
        draw_bland_altman(totals, folder),
        *(draw_training(model, folder) for model in models),
    ]
    return tuple(path for path in drawn if path is not None)


def draw_scores(
    rows: Mapping[str, Sequence[Row]],
    slices: Mapping[str, SagittalSlice],
    window_hu: tuple[float, float],
    folder: Path,
    *,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> tuple[Path, ...]:
    """Figure 4 of the best, median and worst patient of each label in ``rows``; a fault raises, whatever the runner."""
    jobs = {}
    for label, model_rows in rows.items():
        row_of = {row.patient: row for row in model_rows}
        for patient in best_median_worst(mae_by_patient(model_rows)):
            jobs[f"{label} {patient}"] = (slices[patient], label, row_of[patient], window_hu, folder)
    return tuple(runner.strict().run(draw_figure4, jobs, describe="Figure 4").values())


def draw_models_beside_each_other(
    models: Sequence[TrainedModel],
    rows: Mapping[str, Sequence[Row]],
    slices: Mapping[str, SagittalSlice],
    window_hu: tuple[float, float],
    folder: Path,
) -> tuple[Path, ...]:
    """Figure 5 of the best, median and worst patient that all models were scored on; none with a single model."""
    if len(models) < 2:
        return ()
    row_of = {model.label: {row.patient: row for row in rows[model.label]} for model in models}
    common = set.intersection(*(set(model_rows) for model_rows in row_of.values()))
    mean_mae = {
        patient: sum(model_rows[patient].metrics["mae_hu"] for model_rows in row_of.values()) / len(models)
        for patient in common
    }
    titles = panel_titles(models)
    return tuple(
        draw_figure5(slices[patient], titles, {label: row_of[label][patient] for label in titles}, window_hu, folder)
        for patient in best_median_worst(mean_mae)
    )


def draw_cycles(
    models: Sequence[TrainedModel],
    rows: Mapping[str, Sequence[Row]],
    cases: Mapping[str, CaseFiles],
    window_hu: tuple[float, float],
    folder: Path,
    *,
    progress: Progress = quiet,
) -> tuple[Path, ...]:
    """Figure 6 of the best, median and worst patient of every model that can turn a CT back into an MR."""
    drawn = []
    # Paired training needs no way back from CT to MR, so its models have none.
    able = [model for model in models if _paired(model.trainer) is not True]
    jobs = [(model, patient) for model in able for patient in best_median_worst(mae_by_patient(rows[model.label]))]
    if not jobs:
        return ()  # an empty progress bar would say nothing
    without_cycle = set()
    for model, patient in progress(jobs, total=len(jobs), desc="Figure 6", unit="figure"):
        if model.label in without_cycle:
            continue
        try:
            drawn.append(draw_figure6(model, patient, cases[patient].mr, window_hu, folder))
        except ModelError as fault:
            log.info(f"No figure 6 of {model.label}: {fault}")
            without_cycle.add(model.label)
    return tuple(drawn)


def panel_titles(models: Sequence[TrainedModel]) -> dict[str, str]:
    """Title of each model's panel by label, paired training before unpaired as in the paper's figure 5."""
    pairing = {model.label: _paired(model.trainer) for model in models}
    words: dict[bool | None, str] = {True: "Paired training", False: "Unpaired training"}
    ordered = sorted(pairing, key=lambda label: ([True, False, None].index(pairing[label]), label))
    return {label: f"{words[pairing[label]]} ({label})" if pairing[label] in words else label for label in ordered}


def _paired(trainer: str) -> bool | None:
    """Whether a trainer learns from pairs; None where it is not installed here."""
    try:
        return TRAINERS.load(trainer).needs_pairs
    except TrainingError:
        return None
