"""Evaluate the trained models of a dataset on their held-out patients, or any two folders of CTs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthct.counted import first_of
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.errors import DatasetError, ModelError
from synthct.evaluation import baseline
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.comparison import Comparison
from synthct.evaluation.csv_tables import terminal_table, write_tables
from synthct.evaluation.figures import draw
from synthct.evaluation.images_by_patient import images_by_patient, mrs_of
from synthct.evaluation.input_checks import one_file_twice
from synthct.evaluation.metrics import Protocol, unusable_metrics
from synthct.evaluation.metrics.metric import WINDOW_HU
from synthct.evaluation.registered_pairs import as_registered
from synthct.evaluation.report.collect import report_evaluation
from synthct.evaluation.report.provenance import commands_of_models
from synthct.evaluation.score import PatientSet, Row
from synthct.evaluation.scored_set import ScoredSet, mixed_masks, score_models, score_set
from synthct.evaluation.statistics import Summary
from synthct.evaluation.trained_models import find_models
from synthct.parallel import IN_THIS_PROCESS, CaseRunner, left_out_sentences

log = logging.getLogger("synthct")

_OWN_FILES = re.compile(
    r"(metrics_.+|summary|comparison|columns)\.(csv|json)|figure([456]|_training)_.+\.png|figure_(patients|tissues|joint_histogram|bland_altman)\.png"
)


@dataclass(frozen=True)
class Evaluation:
    """What was measured and where it was written.

    Attributes:
        folder: holds all files.
        rows: the scored patients by model label, trained models first, then the trivial baselines
            ``mean_ct``, ``median_ct`` and ``average_head``.
        summaries: each model over its patients, in the same order.
        comparisons: paired tests between every two trained models by every metric.
        tables: CSV files and their JSON twins.
        figures: PNG files.
        report: the page that shows all of it.
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
    report: Path
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
    protocol: Protocol = "all",
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Evaluation:
    """Score every trained model of a dataset on the patients that its folds held out, and on a predicted test set.

    Writes ``metrics_<label>``, ``metrics_<label>_test``, ``summary``, ``comparison`` and ``columns`` (CSV and JSON),
    the figures and ``report.html`` to ``results_folder/evaluation``; files of an earlier evaluation there that no
    longer hold are removed. Figures and report show the held-out patients, or the test set where no patient was held
    out.

    Args:
        results_folder: ``synthct_results/<Dataset>``.
        preprocessed_folder: ``synthct_preprocessed/<Dataset>``, where the registrations are, which models that were
            trained on registered pairs need, and the slices, without which there is no average head.
        protocol: which metrics; the paper's are always among them.
        runner: how the patients are worked through; bad are those who cannot be scored.

    Raises:
        DatasetError: no patient has both an MR and a CT, or an sCT and its reference cannot be compared.
        ModelError: no model has predictions of held-out or test patients with a reference CT.
        ImageError: an image cannot be read.
    """
    models = find_models(results_folder)
    raw, warnings = as_registered(raw, models, preprocessed_folder)
    cases: dict[PatientSet, Mapping[str, CaseFiles]] = {"cross_validation": raw.training, "test": raw.test}
    paired = {kind: {p: case for p, case in set_cases.items() if case.paired} for kind, set_cases in cases.items()}
    if not any(paired.values()):
        failed = len(raw.failed_registrations)
        remedy = (
            f"the registration of CT to MR failed in all {failed} patients who have both; the preprocessing report "
            "shows them and what to do"
            if failed
            else "add the CT of some MR patients to targetsTr"
        )
        raise DatasetError(
            f"{raw.folder}: no patient has both an MR and a CT that are aligned, so there is nothing to compare an sCT "
            f"with; {remedy}."
        )
    models = tuple(
        model for model in models if any(paired[kind].keys() & model.predictions(kind).keys() for kind in paired)
    )
    if not models:
        number = str(int(match[1])) if (match := re.match(r"Dataset(\d{3})_", raw.name)) else raw.name
        raise ModelError(
            f"{results_folder} holds no sCT of a held-out patient with a reference CT; train a model with "
            f"'synthct_train {number} cyclegan', or let a trained one predict with "
            f"'synthct_train {number} cyclegan --val'."
        )
    scored = [
        score_models(kind, paired[kind], models, protocol, preprocessed=preprocessed_folder, runner=runner)
        for kind in paired
    ]
    sets = [scored_set for scored_set in scored if scored_set is not None and scored_set.scores]
    runner.check_any_left(sets)
    shown = sets[0]
    models = tuple(model for model in models if model.label in shown.labels)
    slices = {patient: score.slice for patient, score in shown.scores.items()}
    folder = Path(results_folder) / "evaluation"
    tables = write_tables(sets, folder)
    baselines = {label: shown.rows[label] for label in baseline.BASELINES if label in shown.rows}
    figures = (
        *draw.draw_charts(shown.model_rows, shown.scores, folder, models=models, baselines=baselines),
        *draw.draw_scores(shown.model_rows, slices, WINDOW_HU, folder, runner=runner),
        *draw.draw_models_beside_each_other(models, shown.model_rows, slices, WINDOW_HU, folder),
    )
    if shown.patients == "cross_validation":  # the cycle is that of the fold that held the patient out
        cycles = draw.draw_cycles(
            models, shown.model_rows, paired["cross_validation"], WINDOW_HU, folder, progress=runner.progress
        )
        figures = (*figures, *cycles)
    _remove_stale(folder, {*tables, *figures})
    set_warnings = (warning for scored_set in sets for warning in scored_set.warnings)
    warnings = (*unusable_metrics(), *warnings, *mixed_masks(sets), *set_warnings)
    report = report_evaluation(
        folder,
        f"{raw.name}: synthetic CTs of {'held-out' if shown.patients == 'cross_validation' else 'test'} patients",
        sets,
        warnings=(*left_out_sentences(runner.left_out), *warnings),  # the command prints the former at its end
        figures=figures,
        commands=commands_of_models(raw.name, models),
        models=models,
        runner=runner,
    )
    return _summed_up(folder, sets, tables, figures, report, warnings)


def evaluate_folders(
    predictions: Path,
    references: Path,
    output: Path,
    *,
    mrs: Path | None = None,
    masks: Path | None = None,
    protocol: Protocol = "all",
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Evaluation:
    """Score the sCTs of one folder against the reference CTs of another, matched by patient name.

    File endings may differ. The head is determined in both CT and MR, as in :func:`evaluate_dataset`, or in the
    reference CT alone where no MRs are given; given masks replace both. The model's label is the name of the folder
    ``predictions``.

    Args:
        output: folder for the tables, the figures and ``report.html``.
        mrs: a folder of the MRs that the sCTs were made from, ``PATIENT`` or ``PATIENT_0000`` (the first channel);
            every scored patient needs one.
        masks: a folder of head masks; every scored patient needs one.
        protocol: which metrics; the paper's are always among them.
        runner: how the patients are worked through; bad are those who cannot be scored.

    Raises:
        DatasetError: a folder is missing, no names match, or two images cannot be compared.
        ImageError: an image cannot be read.
    """
    predictions, references = Path(predictions), Path(references)
    scts, cts = images_by_patient(predictions), images_by_patient(references)
    given = images_by_patient(Path(masks)) if masks is not None else None
    matched = sorted(scts.keys() & cts.keys())
    if not matched:
        own, wanted = (first_of(images, 3) or "no images" for images in (scts, cts))
        raise DatasetError(
            f"No image in {predictions} ({own}) has the name of one in {references} ({wanted}); "
            f"an sCT and its reference need one name, such as PATIENT.nii.gz; endings may differ."
        )
    if given is not None and (without := [patient for patient in matched if patient not in given]):
        raise DatasetError(f"{masks} holds no mask of {first_of(without, 3)}; add it, or evaluate without given masks.")
    mr_of = mrs_of(matched, Path(mrs)) if mrs is not None else {}
    unmatched = [
        f"{path} is left out: {other} holds no image of that name."
        for images, other, others in ((scts, references, cts), (cts, predictions, scts))
        for patient, path in images.items()
        if patient not in others
    ]
    label = predictions.resolve().name
    references_of = {
        p: Reference(p, cts[p], mr_of.get(p), given[p] if given is not None else None, from_user=True) for p in matched
    }
    candidates = {patient: {label: Candidate(scts[patient])} for patient in matched}
    scored = score_set("folders", references_of, candidates, [label], protocol, runner=runner)
    runner.check_any_left(scored.scores)
    slices = {patient: score.slice for patient, score in scored.scores.items()}
    output = Path(output)
    tables = write_tables([scored], output)
    figures = (
        *draw.draw_charts(scored.rows, scored.scores, output),
        *draw.draw_scores(scored.rows, slices, WINDOW_HU, output, runner=runner),
    )
    warnings = (
        *unusable_metrics(),
        *unmatched,
        *one_file_twice([scts[patient] for patient in matched]),
        *scored.warnings,
    )
    # Names alone: where the folders lie may say more than a report that is passed on should.
    options = {"-p": predictions, "-r": references, "-i": mrs, "-m": masks}
    given_options = " ".join(
        f"{flag} {Path(path).resolve().name}" for flag, path in options.items() if path is not None
    )
    report = report_evaluation(
        output,
        f"{label}: synthetic CTs against reference CTs",
        [scored],
        warnings=(*left_out_sentences(runner.left_out), *warnings),  # the command prints the former at its end
        figures=figures,
        commands=[f"synthct_evaluate {given_options}"],
        runner=runner,
    )
    return _summed_up(output, [scored], tables, figures, report, warnings)


def _summed_up(
    folder: Path,
    sets: Sequence[ScoredSet],
    tables: tuple[Path, ...],
    figures: tuple[Path, ...],
    report: Path,
    warnings: tuple[str, ...],
) -> Evaluation:
    for warning in warnings:
        log.warning(warning)
    shown = sets[0]
    text = "\n\n".join(terminal_table(scored_set) for scored_set in sets)
    evaluation = Evaluation(
        folder, shown.rows, shown.summaries, shown.comparisons, tables, figures, report, text, warnings
    )
    test = next((scored_set for scored_set in sets if scored_set.patients == "test"), None)
    if test is None:
        return evaluation
    return replace(evaluation, test_rows=test.rows, test_summaries=test.summaries, test_comparisons=test.comparisons)


def _remove_stale(folder: Path, current: set[Path]) -> None:
    """Remove tables and figures of an earlier evaluation, such as those of a patient who is no longer the worst."""
    for path in folder.iterdir():
        if path.is_file() and _OWN_FILES.fullmatch(path.name) and path not in current:
            path.unlink()
