"""Mean and SD of a model, and the paired t-test between models (seed, Table 1 and section 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from synthct.evaluation.metrics import METRICS, Metric
from synthct.evaluation.score import Row

SIGNIFICANCE = 0.05  # the seed's
FEW_PATIENTS = 6  # the seed's number; below it a t-test says little


@dataclass(frozen=True)
class Summary:
    """A model over its patients. ``mean`` and ``sd`` are keyed by metric column.

    ``sd`` is the sample SD (n - 1 in the denominator), NaN of a single patient.
    """

    model: str
    n: int
    mean: dict[str, float]
    sd: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """A paired t-test of one metric between two models, on the ``n`` patients that both were scored on.

    ``mean_difference`` is model_a - model_b in the metric's unit. ``t`` and ``p`` (two-sided) are NaN where they cannot
    be computed; ``sentence`` says all of it in plain words.
    """

    metric: str
    model_a: str
    model_b: str
    n: int
    mean_difference: float
    t: float
    p: float
    sentence: str


def summarise(model: str, rows: Sequence[Row]) -> Summary:
    """Mean and SD of every metric over a model's patients (at least one)."""
    values = {metric.column: np.array([row.metrics[metric.column] for row in rows]) for metric in METRICS}
    return Summary(
        model,
        len(rows),
        mean={column: float(column_values.mean()) for column, column_values in values.items()},
        sd={column: _sample_sd(column_values) for column, column_values in values.items()},
    )


def compare_models(rows: Mapping[str, Sequence[Row]]) -> tuple[Comparison, ...]:
    """Every two models against each other, on their common patients, by every compared metric.

    Args:
        rows: the scored patients by model.
    """
    comparisons = []
    for metric in METRICS:
        if not metric.compared:
            continue
        for model_a, model_b in combinations(rows, 2):
            of_a = {row.patient: row.metrics[metric.column] for row in rows[model_a]}
            of_b = {row.patient: row.metrics[metric.column] for row in rows[model_b]}
            common = [patient for patient in of_a if patient in of_b]
            differences = np.array([of_a[patient] - of_b[patient] for patient in common])
            comparisons.append(paired_t_test(metric, model_a, model_b, differences))
    return tuple(comparisons)


def paired_t_test(metric: Metric, model_a: str, model_b: str, differences: np.ndarray) -> Comparison:
    """Student's t-test that the mean of the per-patient differences is zero: t = mean / (SD / sqrt(n)), n - 1 degrees.

    Args:
        differences: model_a - model_b, a value a patient (n,).
    """
    differences = differences[np.isfinite(differences)]  # equal images have an infinite PSNR, which has no difference
    n = len(differences)
    mean = float(differences.mean()) if n else math.nan
    t = p = math.nan
    # Differences that are all the same, but for rounding, have no spread to compare their mean with.
    if n >= 2 and np.ptp(differences) > 1e-9 * max(1.0, abs(mean)):
        test = stats.ttest_1samp(differences, 0.0)  # a paired t-test is the one-sample test of the differences
        t, p = float(test.statistic), float(test.pvalue)
    sentence = _in_words(metric, model_a, model_b, n, mean, p)
    return Comparison(metric.column, model_a, model_b, n, mean, t, p, sentence)


def _sample_sd(values: np.ndarray) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    return float(values.std(ddof=1))


def _in_words(metric: Metric, model_a: str, model_b: str, n: int, mean: float, p: float) -> str:
    if n == 0:
        return f"No patient was scored with both {model_a} and {model_b}; they cannot be compared by {metric.title}."
    subject = f"{metric.title} with {model_a} is"
    if mean:
        more_or_less = "higher" if mean > 0 else "lower"
        good_or_bad = "better" if (mean < 0) == metric.lower_is_better else "worse"
        finding = f"{subject} {abs(mean):.1f} {metric.unit} {more_or_less} ({good_or_bad}) than with {model_b}"
    else:
        finding = f"{subject} the same as with {model_b}"
    if n == 1:
        return f"{finding} in the only patient that both were scored on; a paired t-test needs at least 2 patients."
    finding += f" on average over {n} patients"
    if math.isnan(p):
        return f"{finding}, by the same amount in every patient; a paired t-test cannot be computed."
    size = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    verdict = "significant" if p < SIGNIFICANCE else "not significant"
    sentence = f"{finding}; {verdict} at the {SIGNIFICANCE:.0%} level (paired t-test, {size})."
    if n < FEW_PATIENTS:
        sentence += f" With only {n} patients little can be concluded."
    return sentence
