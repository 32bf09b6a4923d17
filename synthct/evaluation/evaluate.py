"""Evaluate the trained models of a dataset on their held-out patients, or any two folders of CTs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.dataset.register import with_registrations
from synthct.dataset.registration import REGISTRATIONS
from synthct.errors import DatasetError, ModelError
from synthct.evaluation import baseline
from synthct.evaluation.figures import draw
from synthct.evaluation.matching import images_by_patient, mrs_of, some
from synthct.evaluation.metrics import Protocol
from synthct.evaluation.models import HeldOut, TrainedModel, find_models
from synthct.evaluation.score import Candidate, PatientScore, Reference, Row, score_patient
from synthct.evaluation.statistics import Comparison, PatientSet, Summary, compare_models, summarise
from synthct.evaluation.tables import terminal_table, write_tables
from synthct.parallel import Progress, quiet, run_cases
from synthct.planning.plan import Plan

log = logging.getLogger("synthct")

SEED_WINDOW_HU = (-600.0, 1400.0)  # where no plan says otherwise
_OWN_FILES = re.compile(
    r"(metrics_.+|summary|comparison|columns)\.(csv|json)|figure([456]|_training)_.+\.png|figure_(patients|tissues|joint_histogram|bland_altman)\.png"
)


@dataclass(frozen=True)
class Evaluation:
    """What was measured and where it was written.

    Attributes:
        folder: holds all files.
        rows: the scored patients by model label, trained models first, then the trivial baselines
            ``mean_ct`` and ``median_ct``.
        summaries: each model over its patients, in the same order.
        comparisons: paired tests between every two trained models by every metric.
        tables: CSV files and their JSON twins.
        figures: PNG files.
        terminal_table: per-patient MAE / PSNR as text of at most 100 columns.
        warnings: what the user should know before trusting the numbers, a sentence each; also logged.
        test_rows, test_summaries, test_comparisons: of the test set, apart from the above; empty where no model has
            predicted it.
    """

    folder: Path
    rows: dict[str, tuple[Row, ...]]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    terminal_table: str
    warnings: tuple[str, ...]
    test_rows: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    test_summaries: tuple[Summary, ...] = ()
    test_comparisons: tuple[Comparison, ...] = ()


def evaluate_dataset(
    raw: RawDataset,
    results_folder: Path,
    preprocessed_folder: Path | None = None,
    *,
    workers: int = 1,
    progress: Progress = quiet,
) -> Evaluation:
    """Score every trained model of a dataset on the patients that its folds held out.

    Writes ``metrics_<label>``, ``summary`` and ``comparison`` (CSV and JSON) and the figures to
    ``results_folder/evaluation``; files of an earlier evaluation there that no longer hold are removed.

    Args:
        results_folder: ``synthct_results/<Dataset>``.
        preprocessed_folder: ``synthct_preprocessed/<Dataset>``, where the registrations are; needed only for models
            that were trained on registered pairs.
        workers: processes, over patients.

    Raises:
        DatasetError: no patient has both an MR and a CT, or an sCT and its reference cannot be compared.
        ModelError: no model has predictions of held-out patients with a reference CT.
        ImageError: an image cannot be read.
    """
    models = find_models(results_folder)
    raw, warnings = _as_registered(raw, models, preprocessed_folder)
    paired = {patient: case for patient, case in raw.training.items() if case.paired}
    if not paired:
        raise DatasetError(
            f"{raw.folder}: no patient has both an MR and a CT that are aligned, so there is nothing to compare an sCT "
            "with; add the CT of some MR patients to targetsTr."
        )
    models = [model for model in models if not paired.keys().isdisjoint(model.held_out)]
    if not models:
        number = str(int(match[1])) if (match := re.match(r"Dataset(\d{3})_", raw.name)) else raw.name
        raise ModelError(
            f"{results_folder} holds no sCT of a held-out patient with a reference CT; train a model with "
            f"'synthct_train {number} cyclegan', or let a trained one predict with "
            f"'synthct_train {number} cyclegan --val'."
        )
    window_hu = _common_window(models)
    references = {p: Reference(p, case.ct, case.mr[0], case.mask, case.registration) for p, case in paired.items()}
    candidates: dict[str, dict[str, Candidate]] = {patient: {} for patient in paired}
    for model in models:
        for patient in paired.keys() & model.held_out.keys():
            held_out = model.held_out[patient]
            candidates[patient][model.label] = Candidate(held_out.sct, held_out.fold)
    baseline.add_baselines(candidates, models)

    scores = _score(references, candidates, window_hu, workers, progress)
    labels = [model.label for model in models]
    rows = _rows_by_label(scores, [*labels, *baseline.LABELS])
    slices = {patient: score.slice for patient, score in scores.items()}
    folder = Path(results_folder) / "evaluation"
    of_models = {label: rows[label] for label in labels}
    comparisons = compare_models(of_models)
    tables = _write_tables(folder, rows, comparisons)
    baselines = {label: rows[label] for label in baseline.LABELS if label in rows}
    figures = (
        *draw.draw_charts(of_models, scores, folder, models=models, baselines=baselines),
        *draw.draw_scores(of_models, slices, window_hu, folder, workers=workers, progress=progress),
        *draw.draw_models_beside_each_other(models, of_models, slices, window_hu, folder),
        *draw.draw_cycles(models, of_models, paired, window_hu, folder, progress=progress),
    )
    _remove_stale(folder, {*tables, *figures})
    warnings = (*warnings, *_warnings(scores), *baseline.useless_models(rows, candidates, labels))
    return _summed_up(folder, rows, comparisons, tables, figures, warnings)


def evaluate_folders(
    predictions: Path,
    references: Path,
    output: Path,
    *,
    mrs: Path | None = None,
    masks: Path | None = None,
    workers: int = 1,
    progress: Progress = quiet,
) -> Evaluation:
    """Score the sCTs of one folder against the reference CTs of another, matched by patient name.

    File endings may differ. The head is determined in both CT and MR, as in :func:`evaluate_dataset`, or in the
    reference CT alone where no MRs are given; given masks replace both. The model's label is the name of the folder
    ``predictions``.

    Args:
        output: folder for the tables and figures.
        mrs: a folder of the MRs that the sCTs were made from, ``PATIENT`` or ``PATIENT_0000`` (the first channel);
            every scored patient needs one.
        masks: a folder of head masks; every scored patient needs one.

    Raises:
        DatasetError: a folder is missing, no names match, or two images cannot be compared.
        ImageError: an image cannot be read.
    """
    predictions, references = Path(predictions), Path(references)
    scts, cts = images_by_patient(predictions), images_by_patient(references)
    given = images_by_patient(Path(masks)) if masks is not None else None
    matched = sorted(scts.keys() & cts.keys())
    if not matched:
        raise DatasetError(
            f"No image in {predictions} ({some(scts)}) has the name of one in {references} ({some(cts)}); "
            f"an sCT and its reference need one name, such as PATIENT.nii.gz; endings may differ."
        )
    if given is not None and (without := [patient for patient in matched if patient not in given]):
        raise DatasetError(f"{masks} holds no mask of {some(without)}; add it, or evaluate without given masks.")
    mr_of = mrs_of(matched, Path(mrs)) if mrs is not None else {}
    unmatched = [
        f"{path} is left out: {other} holds no image of that name."
        for images, other, others in ((scts, references, cts), (cts, predictions, scts))
        for patient, path in images.items()
        if patient not in others
    ]
    label = predictions.resolve().name
    scores = _score(
        {p: Reference(p, cts[p], mr_of.get(p), given[p] if given is not None else None) for p in matched},
        {patient: {label: Candidate(scts[patient])} for patient in matched},
        SEED_WINDOW_HU,
        workers,
        progress,
    )
    rows = _rows_by_label(scores, [label])
    slices = {patient: score.slice for patient, score in scores.items()}
    output = Path(output)
    tables = _write_tables(output, rows)
    figures = (
        *draw.draw_charts(rows, scores, output),
        *draw.draw_scores(rows, slices, SEED_WINDOW_HU, output, workers=workers, progress=progress),
    )
    return _summed_up(output, rows, (), tables, figures, (*unmatched, *_warnings(scores)))


def _as_registered(
    raw: RawDataset, models: Sequence[TrainedModel], preprocessed_folder: Path | None
) -> tuple[RawDataset, tuple[str, ...]]:
    """The dataset with the registrations of its preprocessing, and a warning for every patient that lacks a valid one.

    Raises:
        DatasetError: a model was trained on registered pairs, and the registrations are not there.
    """
    plan_path = None if preprocessed_folder is None else Path(preprocessed_folder) / "plans.json"
    if plan_path is None or not plan_path.is_file():
        registered = [model.folder for model in models if Plan.load(model.folder / "plans.json").register != "off"]
        if registered:
            raise DatasetError(
                f"{registered[0]} was trained on registered pairs, and {plan_path or 'synthct_preprocessed'} is "
                "missing; preprocess the dataset again, or set synthct_preprocessed to where it is."
            )
        return raw, ()
    mode = Plan.load(plan_path).register
    raw = with_registrations(raw, plan_path.parent / REGISTRATIONS, mode)
    warnings = []
    for patient, case in raw.training.items():
        if not case.aligned:
            warnings.append(f"{patient} is left out: the registration of his CT to his MR failed.")
        elif mode != "off" and case.paired and case.registration is None:
            warnings.append(
                f"{patient}: his files have changed since his CT was registered, and are taken as they lie; "
                "run synthct_plan_and_preprocess again."
            )
    return raw, tuple(warnings)


def _common_window(models: Sequence[TrainedModel]) -> tuple[float, float]:
    """The CT window of the plans; one for all models, or their windowed metrics could not be compared."""
    windows = {
        model.label: Plan.load(model.folder / "plans.json")
        .configuration(model.configuration)
        .preprocessing.ct_window_hu
        for model in models
    }
    label, window_hu = next(iter(windows.items()))
    if len(set(windows.values())) > 1:
        log.warning(f"The models' CT windows differ; the windowed metrics of all use that of {label}, {window_hu} HU.")
    return window_hu


def _score(
    references: Mapping[str, Reference],
    candidates: Mapping[str, Mapping[str, Candidate]],
    window_hu: tuple[float, float],
    workers: int,
    progress: Progress,
) -> dict[str, PatientScore]:
    jobs = {
        patient: (references[patient], of_patient, window_hu)
        for patient, of_patient in candidates.items()
        if of_patient
    }
    return run_cases(score_patient, jobs, workers=workers, progress=progress, describe="Scoring")


def _rows_by_label(scores: Mapping[str, PatientScore], labels: Sequence[str]) -> dict[str, tuple[Row, ...]]:
    """Rows by label, in the order of ``labels``; a label without rows is left out."""
    rows = {label: tuple(s.rows[label] for s in scores.values() if label in s.rows) for label in labels}
    return {label: of_label for label, of_label in rows.items() if of_label}


def _warnings(scores: Mapping[str, PatientScore]) -> tuple[str, ...]:
    return tuple(warning for score in scores.values() for warning in score.warnings)


def _write_tables(
    folder: Path, rows: Mapping[str, Sequence[Row]], comparisons: Sequence[Comparison] | None = None
) -> tuple[Path, ...]:
    """``comparisons`` is None where there is but one model by nature, so no ``comparison.csv``."""
    tables = [path for label, of_label in rows.items() for path in write_patient_table(of_label, label, folder)]
    tables += write_summary([summarise(label, of_label) for label, of_label in rows.items()], folder)
    if comparisons is not None:
        tables += write_comparison(comparisons, folder)
    return tuple(tables)


def _summed_up(
    folder: Path,
    rows: dict[str, tuple[Row, ...]],
    comparisons: tuple[Comparison, ...],
    tables: tuple[Path, ...],
    figures: tuple[Path, ...],
    warnings: tuple[str, ...],
) -> Evaluation:
    for warning in warnings:
        log.warning(warning)
    summaries = tuple(summarise(label, of_label) for label, of_label in rows.items())
    text = terminal_table(rows, summaries)
    return Evaluation(folder, rows, summaries, comparisons, tables, figures, text, warnings)


def _remove_stale(folder: Path, current: set[Path]) -> None:
    """Remove tables and figures of an earlier evaluation, such as those of a patient who is no longer the worst."""
    for path in folder.iterdir():
        if path.is_file() and _OWN_FILES.fullmatch(path.name) and path not in current:
            path.unlink()
