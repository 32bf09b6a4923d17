"""Gather what the page shows beyond the tables and figures: volumes of some patients, and statuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.report.build import ReportContent, write_report
from synthct.evaluation.report.qa_status import read_statuses
from synthct.evaluation.report.viewer_data import choose_patients, read_volumes
from synthct.evaluation.score import Row
from synthct.evaluation.scored_set import ScoredSet
from synthct.evaluation.trained_models import TrainedModel
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.preprocessing.refined_pairs import floor_in_words

MAX_VIEWED = 8  # patients; about as many as fit, and each is read again


def report_evaluation(
    folder: Path,
    title: str,
    sets: Sequence[ScoredSet],
    *,
    warnings: Sequence[str],
    figures: Sequence[Path],
    commands: Sequence[str],
    models: Sequence[TrainedModel] = (),
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Path:
    """Write ``report.html`` of an evaluation to ``folder``.

    Args:
        sets: everything that was scored, the set that the figures show first; rows of a test set say so.
        commands: that make the page again, a line each.
        runner: how volumes are read; a fault raises, whatever it does with bad cases.

    See :class:`ReportContent` for the others.
    """
    rows: dict[str, Sequence[Row]] = {}
    references: dict[str, Reference] = {}
    candidates: dict[str, dict[str, Candidate]] = {}
    for scored_set in sets:
        names = {summary.model: summary.labelled().model for summary in scored_set.summaries}
        rows |= {names[label]: label_rows for label, label_rows in scored_set.model_rows.items()}
        for patient in scored_set.scores.keys() - references.keys():  # a name in two sets is looked at in the first
            references[patient] = scored_set.references[patient]
            candidates[patient] = {
                names[label]: candidate
                for label, candidate in scored_set.candidates[patient].items()
                if label in scored_set.labels
            }
    reasons = choose_patients(rows, MAX_VIEWED)
    jobs = {patient: (references[patient], candidates[patient]) for patient in reasons}
    volumes = runner.strict().run(read_volumes, jobs, describe="Viewer")
    content = ReportContent(
        title=title,
        rows=rows,
        summaries=[summary.labelled() for scored_set in sets for summary in scored_set.summaries],
        comparisons=[comparison for scored_set in sets for comparison in scored_set.comparisons],
        warnings=warnings,
        figures=figures,
        volumes=list(volumes.values()),
        reasons=reasons,
        models=models,
        commands=commands,
        statuses=read_statuses(candidates, list(rows)),
        notes=[floor_in_words(one.registration_floor_hu) for one in sets if one.registration_floor_hu],
    )
    return write_report(folder, content)
