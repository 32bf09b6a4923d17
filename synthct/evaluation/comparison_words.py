"""A comparison of two models as a sentence in plain words."""

from __future__ import annotations

import math

from synthct.evaluation.comparison import Comparison
from synthct.evaluation.metrics import Metric

SIGNIFICANCE = 0.05  # the paper's
FEW_PATIENTS = 6  # the paper's number; with fewer, Wilcoxon's p cannot fall below SIGNIFICANCE


def sentence(metric: Metric, comparison: Comparison, n_pairs: int = 1) -> str:
    """What was found and whether it is significant, with a warning where the patients are too few to say.

    Args:
        metric: by which the models were compared.
        comparison: all of it but the sentence.
        n_pairs: pairs of models that were compared by this metric; of several, the corrected p decides.
    """
    model_a, model_b, n, mean = comparison.model_a, comparison.model_b, comparison.n, comparison.mean_difference
    if n == 0:
        return f"No patient was scored with both {model_a} and {model_b}; they cannot be compared by {metric.title}."
    title = metric.title[0].upper() + metric.title[1:]
    where = " in the test set" if comparison.set == "test" else ""
    if mean:
        size = f"{_number(abs(mean), metric)} {'higher' if mean > 0 else 'lower'}"
        finding = f"{title} with {model_a} is {size}{_judged(metric, mean)} than with {model_b}"
    else:
        finding = f"{title} with {model_a} is the same as with {model_b}"
    if n == 1:
        return (
            f"{finding} in the only patient{where} that both were scored on; a paired t-test needs at least 2 patients."
        )
    finding += f" on average over {n} patients{where}"
    if math.isnan(comparison.p):
        return f"{finding}, by the same amount in every patient; a paired t-test cannot be computed."
    low, high = comparison.interval
    interval = f"95% interval {_number(low, metric, unit=False)} to {_number(high, metric)}"
    decisive = comparison.holm_p if n_pairs > 1 else comparison.p
    status = "significant" if decisive < SIGNIFICANCE else "not significant"
    tests = f"paired t-test, {_p(comparison.p)}"
    if n_pairs > 1:
        tests += f", {_p(comparison.holm_p)} after Holm's correction for {n_pairs} pairs of models"
    if not math.isnan(comparison.wilcoxon_p):
        tests += f"; Wilcoxon, {_p(comparison.wilcoxon_p)}"
    text = f"{finding} ({interval}); {status} at the {SIGNIFICANCE:.0%} level ({tests})."
    if n < FEW_PATIENTS:
        text += f" With only {n} patients little can be concluded: Wilcoxon's p cannot fall below {_smallest_p(n)}."
    return text


def _smallest_p(n: int) -> str:
    """The smallest two-sided p of Wilcoxon's test: all differences of one sign, 2 of 2^n ways."""
    return f"{2 / 2**n:.3g}"


def _judged(metric: Metric, mean: float) -> str:
    if metric.lower_is_better is None:  # a bias may be too high or too low
        return ""
    return " (better)" if (mean < 0) == metric.lower_is_better else " (worse)"


def _number(value: float, metric: Metric, *, unit: bool = True) -> str:
    decimals = {"mm": 2, "": 3}.get(metric.unit, 1)
    number = f"{value:.{decimals}f}"
    return f"{number} {metric.unit}" if unit and metric.unit else number


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
