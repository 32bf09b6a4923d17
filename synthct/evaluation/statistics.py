"""A model over its patients, and models against each other: paired t-test (Wolterink et al., section 4), Wilcoxon's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from scipy import stats

from synthct.evaluation.comparison import Comparison
from synthct.evaluation.comparison_words import sentence
from synthct.evaluation.intervals import bootstrap_interval, student_interval
from synthct.evaluation.metrics import Metric, metrics_in
from synthct.evaluation.score import PatientSet, Row

_EXACT_UP_TO = 13  # differences; all their 2^n signs are counted, ties or not


@dataclass(frozen=True)
class Summary:
    """A model over its patients; all but ``model``, ``n`` and ``set`` is keyed by metric column.

    A patient for whom a metric cannot be computed (NaN) is left out of that metric alone.

    Attributes:
        n: patients scored.
        mean, median: infinite where a PSNR is.
        sd: sample SD (n - 1 in the denominator), NaN of a single patient.
        counted: patients that the metric could be computed for.
        interval: 95 % interval of the mean, see :func:`bootstrap_interval`.
        set: held-out patients of a cross-validation, each counted once; the test set; or two folders.
    """

    model: str
    n: int
    mean: dict[str, float]
    sd: dict[str, float]
    median: dict[str, float] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    set: PatientSet = "cross_validation"

    def labelled(self) -> Summary:
        """The same, and its name says where it is of the test set."""
        return replace(self, model=f"{self.model}, test set") if self.set == "test" else self


def summarise(model: str, rows: Sequence[Row], patients: PatientSet = "cross_validation") -> Summary:
    """Every metric over a model's patients (at least one)."""
    columns = [metric.column for metric in metrics_in(rows[0].metrics)]
    values = {column: np.array([row.metrics[column] for row in rows], float) for column in columns}
    known = {column: column_values[~np.isnan(column_values)] for column, column_values in values.items()}
    return Summary(
        model,
        len(rows),
        mean={column: float(of.mean()) if len(of) else math.nan for column, of in known.items()},
        sd={column: _sample_sd(of) for column, of in known.items()},
        median={column: float(np.median(of)) if len(of) else math.nan for column, of in known.items()},
        counted={column: len(of) for column, of in known.items()},
        interval={column: bootstrap_interval(of) for column, of in known.items()},
        set=patients,
    )


def compare_models(
    rows: Mapping[str, Sequence[Row]], patients: PatientSet = "cross_validation"
) -> tuple[Comparison, ...]:
    """Every two models against each other, on their common patients, by every metric.

    Args:
        rows: the scored patients by model.
        patients: which they are.
    """
    comparisons: list[Comparison] = []
    columns = [row.metrics for model_rows in rows.values() for row in model_rows[:1]]
    for metric in metrics_in(columns[0]) if columns else ():
        scores = {model: {row.patient: row.metrics[metric.column] for row in rows[model]} for model in rows}
        found = []
        for model_a, model_b in combinations(rows, 2):
            common = [patient for patient in scores[model_a] if patient in scores[model_b]]
            both_scores = np.array([[scores[model][patient] for patient in common] for model in (model_a, model_b)])
            found.append(paired_tests(metric, model_a, model_b, both_scores[0], both_scores[1]))
        corrected = holm([comparison.p for comparison in found])
        n_pairs = len(found)
        for comparison, holm_p in zip(found, corrected):
            whole = replace(comparison, holm_p=holm_p, set=patients)
            comparisons.append(replace(whole, sentence=sentence(metric, whole, n_pairs)))
    return tuple(comparisons)


def paired_tests(metric: Metric, model_a: str, model_b: str, values_a: np.ndarray, values_b: np.ndarray) -> Comparison:
    """Student's t-test that the mean of the per-patient differences is zero, t = mean / (SD / sqrt(n)), n - 1 degrees;
    and Wilcoxon's signed-rank test that they lie evenly around zero.

    Args:
        values_a, values_b: a value a patient, in the same order (n,).
    """
    with np.errstate(invalid="ignore"):
        differences = values_a - values_b
    # Equal images have an infinite PSNR, which has no difference; a patient without bone has no error in bone.
    differences = differences[np.isfinite(differences)]
    n = len(differences)
    mean = float(differences.mean()) if n else math.nan
    t = p = wilcoxon_p = math.nan
    # Differences that are all the same, but for rounding, have no spread to compare their mean with.
    if n >= 2 and np.ptp(differences) > 1e-9 * max(1.0, abs(mean)):
        test = stats.ttest_1samp(differences, 0.0)  # a paired t-test is the one-sample test of the differences
        t, p = float(test.statistic), float(test.pvalue)
    if n >= 2 and np.any(differences):
        wilcoxon_p = _signed_rank_p(differences)
    interval = student_interval(differences)
    return Comparison(metric.column, model_a, model_b, n, mean, t, p, "", interval, wilcoxon_p, math.nan, metric.main)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number m (Holm 1979): the i-th smallest times m - i + 1, never falling, at most 1.

    NaN stays NaN and counts for nothing.
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def _signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p; differences of zero are left out (Wilcoxon's own rule). Exact for few, else as SciPy has it."""
    nonzero = differences[differences != 0]
    n = len(nonzero)
    if n > _EXACT_UP_TO:
        return float(stats.wilcoxon(nonzero).pvalue)
    ranks = stats.rankdata(np.abs(nonzero))  # of ties the mean rank, which SciPy's exact table does not know
    signs = (np.arange(2**n)[:, None] >> np.arange(n)) & 1  # (ways, differences)
    off_centre = np.abs(signs @ ranks - ranks.sum() / 2)
    observed = abs(ranks[nonzero > 0].sum() - ranks.sum() / 2)
    return float(np.mean(off_centre >= observed - 1e-9))


def _sample_sd(values: np.ndarray) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    return float(values.std(ddof=1))
