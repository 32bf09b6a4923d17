"""Gather what the page shows beyond the tables and figures: volumes of some patients, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from synthct.evaluation.models import TrainedModel
from synthct.evaluation.report.build import ReportContent, write_report
from synthct.evaluation.report.qa import read_verdicts
from synthct.evaluation.report.viewer_data import choose_patients, read_volumes
from synthct.evaluation.score import Candidate, Reference, Row
from synthct.evaluation.statistics import Comparison, Summary
from synthct.parallel import Progress, quiet, run_cases

MOST_VIEWED = 8  # patients; about as many as fit, and each is read again


def report_evaluation(
    folder: Path,
    title: str,
    rows: Mapping[str, Sequence[Row]],
    references: Mapping[str, Reference],
    candidates: Mapping[str, Mapping[str, Candidate]],
    *,
    summaries: Sequence[Summary],
    comparisons: Sequence[Comparison],
    warnings: Sequence[str],
    figures: Sequence[Path],
    window_hu: tuple[float, float],
    commands: Sequence[str],
    models: Sequence[TrainedModel] = (),
    workers: int = 1,
    progress: Progress = quiet,
) -> Path:
    """Write ``report.html`` of an evaluation to ``folder``.

    Args:
        rows: of the models, without the trivial baselines.
        references: by patient.
        candidates: by patient and label.
        commands: that make the page again, a line each.

    See :class:`ReportContent` for the others.
    """
    reasons = choose_patients(rows, MOST_VIEWED)
    jobs = {
        patient: (
            references[patient],
            {label: candidates[patient][label] for label in rows if label in candidates[patient]},
        )
        for patient in reasons
    }
    volumes = run_cases(read_volumes, jobs, workers=workers, progress=progress, describe="Viewer")
    content = ReportContent(
        title=title,
        rows=rows,
        summaries=summaries,
        comparisons=comparisons,
        warnings=warnings,
        figures=figures,
        window_hu=window_hu,
        volumes=list(volumes.values()),
        reasons=reasons,
        models=models,
        commands=commands,
        verdicts=read_verdicts(candidates, list(rows)),
    )
    return write_report(folder, content)
