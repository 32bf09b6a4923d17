"""What is found when two models are compared on the same patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

from synthct.evaluation.score import PatientSet


@dataclass(frozen=True)
class Comparison:
    """Paired tests of one metric between two models, on the ``n`` patients that both were scored on.

    ``mean_difference`` is model_a - model_b in the metric's unit, ``interval`` its 95 % interval (Student's). ``t`` and
    ``p`` (two-sided) are of the paired t-test, ``wilcoxon_p`` of Wilcoxon's signed-rank test, ``holm_p`` is ``p``
    corrected for all pairs of models compared by this metric; NaN where they cannot be computed. ``sentence`` says all
    of it in plain words. ``main``: one of the paper's two metrics, which the terminal shows; others are exploratory.
    """

    metric: str
    model_a: str
    model_b: str
    n: int
    mean_difference: float
    t: float
    p: float
    sentence: str
    interval: tuple[float, float] = (math.nan, math.nan)
    wilcoxon_p: float = math.nan
    holm_p: float = math.nan
    main: bool = True
    set: PatientSet = "cross_validation"
