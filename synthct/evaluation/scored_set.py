"""The patients of one set, scored with every model: a cross-validation's held-out patients, a test set, two folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthct.dataset.raw import CaseFiles
from synthct.evaluation import baseline
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.comparison import Comparison
from synthct.evaluation.metrics import Protocol
from synthct.evaluation.score import PatientScore, PatientSet, Row, score_patient
from synthct.evaluation.statistics import Summary, compare_models, summarise
from synthct.evaluation.trained_models import TrainedModel
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.planning.plan import Plan
from synthct.preprocessing.cache import cache_folder
from synthct.preprocessing.refined_pairs import load_facts


@dataclass(frozen=True)
class ScoredSet:
    """Everything measured on one set of patients.

    Attributes:
        patients: which set.
        references: by patient.
        candidates: by patient and label.
        scores: by patient.
        rows: the scored patients by label, trained models first, then the trivial baselines.
        labels: of the trained models.
        summaries: in the order of ``rows``.
        comparisons: between every two trained models.
        registration_floor_hu: MAE of the rigidly registered CT against the refined one, of those scored patients whose
            pair was refined.
    """

    patients: PatientSet
    references: dict[str, Reference]
    candidates: dict[str, dict[str, Candidate]]
    scores: dict[str, PatientScore]
    rows: dict[str, tuple[Row, ...]]
    labels: tuple[str, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    registration_floor_hu: Mapping[str, float] = field(default_factory=dict)

    @property
    def model_rows(self) -> dict[str, tuple[Row, ...]]:
        """The rows without those of the trivial baselines."""
        return {label: self.rows[label] for label in self.labels}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know before trusting the numbers, a sentence each."""
        patient_warnings = (warning for score in self.scores.values() for warning in score.warnings)
        return (*patient_warnings, *baseline.useless_models(self.rows, self.candidates, self.labels))


def mixed_masks(sets: Sequence[ScoredSet]) -> tuple[str, ...]:
    """A sentence where some patients are scored in given masks and others in the heads that were found."""
    kinds = {row.patient: row.mask for scored_set in sets for rows in scored_set.rows.values() for row in rows}
    given = [patient for patient, kind in kinds.items() if kind == "given"]
    if len(given) in (0, len(kinds)):
        return ()
    return (
        f"{len(given)} of {len(kinds)} patients are scored in masks that were given, which may be wider or narrower "
        "than the head, and the others in the heads that were found: their numbers cannot be compared.",
    )


def score_models(
    patients: PatientSet,
    cases: Mapping[str, CaseFiles],
    models: Sequence[TrainedModel],
    protocol: Protocol,
    *,
    preprocessed: Path | None = None,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> ScoredSet | None:
    """Score every model on the patients of a set whom it did not train on, beside the trivial baselines.

    Args:
        patients: ``cross_validation`` or ``test``.
        cases: of this set, those with an MR and a CT that are aligned.
        models: those without a prediction in this set are passed over.
        preprocessed: the dataset's folder of cached slices, for the average head.
        runner: how the patients are worked through; bad are those who cannot be scored.

    Returns:
        None where no model has predicted a patient of this set.
    """
    models = [model for model in models if not cases.keys().isdisjoint(model.predictions(patients))]
    if not models:
        return None
    candidates: dict[str, dict[str, Candidate]] = {patient: {} for patient in cases}
    for model in models:
        predictions = model.predictions(patients)
        plane = Plan.load(model.files.plans).configuration(model.configuration).input.plane
        for patient in cases.keys() & predictions.keys():
            prediction = predictions[patient]
            candidates[patient][model.label] = Candidate(prediction.sct, prediction.fold, plane)
    baseline.add_baselines(candidates, models, patients, preprocessed)
    references = {
        patient: Reference(patient, case.ct, case.mr[0], case.mask, case.registration)
        for patient, case in cases.items()
        if case.ct is not None
    }
    labels = [model.label for model in models]
    floor_hu = _registration_floor(candidates, models, preprocessed) if patients == "cross_validation" else {}
    scored = score_set(patients, references, candidates, labels, protocol, baselines=baseline.BASELINES, runner=runner)
    return replace(scored, registration_floor_hu={p: hu for p, hu in floor_hu.items() if p in scored.scores})


def _registration_floor(
    patients: Iterable[str], models: Sequence[TrainedModel], preprocessed: Path | None
) -> dict[str, float]:
    """In the slices of the first model whose plan refines; empty without one."""
    for model in models:
        plan = Plan.load(model.files.plans)
        if plan.register == "refine" and preprocessed is not None:
            cache = cache_folder(preprocessed, plan.configuration(model.configuration).preprocessing)
            return {patient: facts.registration_floor_hu for patient, facts in load_facts(cache, patients).items()}
    return {}


def score_set(
    patients: PatientSet,
    references: dict[str, Reference],
    candidates: dict[str, dict[str, Candidate]],
    labels: Sequence[str],
    protocol: Protocol,
    *,
    baselines: Sequence[str] = (),
    runner: CaseRunner = IN_THIS_PROCESS,
) -> ScoredSet:
    """Score all candidates; patients without any are passed over.

    Args:
        labels: of the models, each with at least one candidate.
        baselines: further labels, which are not compared.
        runner: how the patients are worked through; bad are those who cannot be scored.
    """
    jobs = {patient: (references[patient], by_label, protocol) for patient, by_label in candidates.items() if by_label}
    describe = "Scoring the test set" if patients == "test" else "Scoring"
    scores = runner.run(score_patient, jobs, describe=describe)
    labels = [label for label in labels if any(label in score.rows for score in scores.values())]
    rows = {label: tuple(s.rows[label] for s in scores.values() if label in s.rows) for label in (*labels, *baselines)}
    rows = {label: label_rows for label, label_rows in rows.items() if label_rows}
    return ScoredSet(
        patients,
        references,
        candidates,
        scores,
        rows,
        tuple(labels),
        tuple(summarise(label, label_rows, patients) for label, label_rows in rows.items()),
        compare_models({label: rows[label] for label in labels}, patients),
    )
