"""Tables, tests and curves of the study of misalignment, and where paired and unpaired training cross."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.misaligned_phantoms import ALIGNED, Level
from synthct.evaluation.comparison import Comparison
from synthct.evaluation.figures.charts import draw_chart, marks
from synthct.evaluation.metrics import metrics_in
from synthct.evaluation.statistics import holm, paired_tests

FLOOR = "misaligned CT"  # the method's name of its rows
SHIFT = ("shift_slices_mm", "shift_rows_mm", "shift_cols_mm")
TRUTH, MEASURED = "mae_windowed_hu", "measured_mae_windowed_hu"
ASSUMED_HU = (70, 80, 90, 100, 120)  # of an unpaired method, for the table of break-even
REGISTERED = Level("registered")


def by_patient(results: pd.DataFrame, method: str, column: str) -> pd.DataFrame:
    """A row a patient, a column a level's name: means over the seeds."""
    rows = results[results.method == method]
    return rows.pivot_table(index="patient", columns="level", values=column, aggfunc="mean")


def curves_of(levels: Sequence[Level]) -> dict[str, list[Level]]:
    """The levels of each curve by mm, the aligned one first."""
    names = dict.fromkeys(level.curve for level in levels if level.curve)
    return {name: [ALIGNED, *sorted(level for level in levels if level.curve == name)] for name in names}


def along(values: pd.DataFrame, curve: Sequence[Level]) -> pd.DataFrame:
    """A row a patient, a column each level of the curve; linear between measured levels, constant beyond them."""
    known = [level for level in curve if level.name in values]
    filled = [
        np.interp([level.mm for level in curve], [level.mm for level in known], row)
        for row in values[[level.name for level in known]].to_numpy()
    ]
    return pd.DataFrame(filled, values.index, [level.name for level in curve])


def crossing_mm(mm: Sequence[float], paired: Sequence[float], unpaired: Sequence[float]) -> float:
    """The least misalignment at which paired training is no better, by linear interpolation; NaN where it always is.

    Args:
        mm: rising.
        paired, unpaired: mean errors, one a level.
    """
    behind = np.subtract(np.asarray(paired), np.asarray(unpaired))
    if behind[0] >= 0:
        return float(mm[0])
    for i in range(1, len(mm)):
        if behind[i] >= 0:
            return float(mm[i - 1] + (mm[i] - mm[i - 1]) * -behind[i - 1] / (behind[i] - behind[i - 1]))
    return math.nan


@dataclass(frozen=True)
class Crossing:
    """Where two methods' curves cross; NaN where they do not."""

    curve: str
    paired: str
    unpaired: str
    column: str
    mm: float
    worst_mm: float

    def __str__(self) -> str:
        """In words."""
        return f"not up to {self.worst_mm:g} mm" if math.isnan(self.mm) else f"{self.mm:.1f} mm"


def crossings(
    results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool], column: str = TRUTH
) -> list[Crossing]:
    """Of every paired with every unpaired method, on every curve."""
    found = []
    for curve, points in curves_of(levels).items():
        mm = [level.mm for level in points]
        for paired_name, unpaired_name in _pairs(results, paired):
            means = [along(by_patient(results, name, column), points).mean() for name in (paired_name, unpaired_name)]
            found.append(Crossing(curve, paired_name, unpaired_name, column, crossing_mm(mm, *means), mm[-1]))
    return found


def comparisons(
    results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool], column: str = TRUTH
) -> list[tuple[Level, Comparison]]:
    """Unpaired minus paired at every level, patients as units; Holm's correction over the levels of two methods.

    At levels where an unpaired method was not trained its patients' values are those of :func:`along`.
    """
    (metric,) = metrics_in(["mae_hu_windowed"])
    curves = curves_of(levels)
    found = []
    for paired_name, unpaired_name in _pairs(results, paired):
        tests = []
        paired_scores, unpaired_scores = (by_patient(results, name, column) for name in (paired_name, unpaired_name))
        for level in levels:
            if level.name not in paired_scores:
                continue
            both = (
                pd.concat([_at(unpaired_scores, level, curves), paired_scores[level.name]], axis=1).dropna().to_numpy()
            )
            tests.append((level, paired_tests(metric, unpaired_name, paired_name, both[:, 0], both[:, 1])))
        corrected = holm([test.p for _, test in tests])
        found += [(level, replace(test, holm_p=p)) for (level, test), p in zip(tests, corrected)]
    return found


def _at(values: pd.DataFrame, level: Level, curves: Mapping[str, Sequence[Level]]) -> pd.Series:
    """A value a patient: measured, on the level's curve, or, of a level that stands alone, at the aligned one."""
    if level.name in values:
        return values[level.name]
    return along(values, curves[level.curve])[level.name] if level.curve else values[ALIGNED.name]


def _pairs(results: pd.DataFrame, paired: Mapping[str, bool]) -> list[tuple[str, str]]:
    """Each paired method with each unpaired one, both with results at the aligned level."""
    there = set(results[results.level == ALIGNED.name].method)
    names = [name for name in paired if name in there]
    unpaired_names = [name for name in names if not paired[name]]
    return [(name, unpaired_name) for name in names if paired[name] for unpaired_name in unpaired_names]


def common_shift_mm(results: pd.DataFrame, method: str, level: Level) -> float:
    """Length of the mean over the patients of the shift of an sCT's anatomy against the truth."""
    rows = results[(results.method == method) & (results.level == level.name)]
    return float(np.linalg.norm(rows.groupby("patient")[list(SHIFT)].mean().mean()))


def text_of(results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool]) -> str:
    """All tables in Markdown."""
    parts = [_figures_of(results, levels, paired)]
    tests = comparisons(results, levels, paired)
    if tests:
        parts.append(_tests(tests))
    parts += [_crossings(results, levels, paired), _break_even(results, levels, paired)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures_of(results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool]) -> str:
    lines = [
        "| level | residual, mm | method | patients | seeds | steps | windowed MAE against the truth, HU | against the "
        "misaligned CT, HU | bone MAE, HU | bone Dice | common shift, mm |",
        "|---|" + "---|" * 10,
    ]
    for level in levels:
        floor = results[(results.method == FLOOR) & (results.level == level.name)]
        residual = f"{floor.residual_mm.mean():.2f}" if level.kind in ("rigid", "registered") else ""
        for method in (FLOOR, *paired):
            rows = results[(results.method == method) & (results.level == level.name)]
            if rows.empty:
                continue
            columns = [TRUTH, MEASURED, "bone_mae_hu", "bone_dice"]
            patients = rows.groupby("patient")[columns].mean()
            mean, sd = patients.mean(), patients.std(ddof=1)
            lines.append(
                f"| {level.name} | {residual} | {method} | {len(patients)} | {rows.seed.nunique()}"
                f" | {rows.steps.iloc[0]} | {mean[TRUTH]:.1f} ± {sd[TRUTH]:.1f} | {mean[MEASURED]:.1f} ± "
                f"{sd[MEASURED]:.1f} | {mean['bone_mae_hu']:.0f} | {mean['bone_dice']:.3f}"
                f" | {common_shift_mm(results, method, level):.1f} |"
            )
    return "\n".join(lines)


def _tests(tests: Sequence[tuple[Level, Comparison]]) -> str:
    lines = [
        "| level | unpaired - paired | patients | difference, HU | 95 % interval | t-test, p | Wilcoxon, p | Holm, p |",
        "|---|" + "---|" * 7,
    ]
    for level, test in tests:
        low, high = test.interval
        lines.append(
            f"| {level.name} | {test.model_a} - {test.model_b} | {test.n} | {test.mean_difference:+.1f}"
            f" | {low:+.1f} to {high:+.1f} | {test.p:.1g} | {test.wilcoxon_p:.1g} | {test.holm_p:.1g} |"
        )
    return "\n".join(lines)


def _crossings(results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool]) -> str:
    columns = {TRUTH: "the truth", MEASURED: "the misaligned CT"}
    found = [crossing for column in columns for crossing in crossings(results, levels, paired, column)]
    lines = ["| curve | paired | unpaired | scored against | unpaired is as good at |", "|---|" + "---|" * 4]
    lines += [
        f"| {crossing.curve} | {crossing.paired} | {crossing.unpaired} | {columns[crossing.column]} | {crossing} |"
        for crossing in found
    ]
    return "\n".join(lines) if found else ""


def _break_even(results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool]) -> str:
    """Where an unpaired method of a given error, which no misalignment changes, would be as good."""
    heading = " | ".join(f"{hu} HU" for hu in ASSUMED_HU)
    lines = [f"| curve | paired | {heading} |", "|---|" + "---|" * (len(ASSUMED_HU) + 1)]
    for curve, points in curves_of(levels).items():
        mm = [level.mm for level in points]
        for method in (name for name in paired if paired[name] and (results.method == name).any()):
            means = along(by_patient(results, method, TRUTH), points).mean()
            cells = [
                str(Crossing(curve, method, "", TRUTH, crossing_mm(mm, means, [hu] * len(mm)), mm[-1]))
                for hu in ASSUMED_HU
            ]
            lines.append(f"| {curve} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def draw(results: pd.DataFrame, levels: Sequence[Level], paired: Mapping[str, bool], path: Path) -> None:
    """A column of panels a curve: above scored against the truth, below against the misaligned CT."""
    curves = curves_of(levels)
    methods = [name for name in paired if (results.method == name).any()]
    looks = marks(methods)

    def fill(figure: Figure) -> None:
        panels = figure.subplots(2, len(curves), sharey=True, squeeze=False)
        for row, column in zip(panels, (TRUTH, MEASURED), strict=True):
            for axes, (curve, points) in zip(row, curves.items(), strict=True):
                for method in methods:
                    _curve(axes, results, method, points, column, looks[method], is_paired=paired[method])
                if column == TRUTH:
                    floor = along(by_patient(results, FLOOR, column), points).mean()
                    axes.plot([point.mm for point in points], floor, color="0.5", linestyle=":", label=FLOOR)
                    axes.set_title(curve)
                else:
                    axes.set_xlabel("largest shift, mm" if points[-1].kind == "local" else "shift, mm")
                if points[-1].curve == "rigid random" and column == TRUTH:
                    _registered(axes, results, methods, looks, paired)
                _crossing_lines(axes, results, levels, paired, column, curve)
                axes.grid(axis="y", color="0.9", linewidth=0.5)
        panels[0, 0].set_ylabel("MAE against the true CT, HU")
        panels[1, 0].set_ylabel("MAE against the misaligned CT, HU")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)

    draw_chart(
        path,
        130,
        fill,
        title="Error of the sCT by the misalignment of the training CTs",
        note="MAE in the head, HU in [-600, 1400]; mean and SD over the held-out phantoms. Unpaired methods: lines "
        "between the levels at which they were trained, constant beyond. Hollow: pairs that were scanned 10 mm and 5 "
        "degrees apart and registered rigidly, at their mean residual. Vertical: where unpaired training is as good.",
    )


def _curve(axes: Axes, results: pd.DataFrame, method: str, points: Sequence[Level], column: str, look, *, is_paired):
    values = by_patient(results, method, column)
    line = along(values, points)
    axes.plot([point.mm for point in points], line.mean(), color=look.colour, linestyle=look.line, label=method)
    known = [point for point in points if point.name in values]
    measured = values[[level.name for level in known]]
    axes.errorbar(
        [level.mm for level in known],
        measured.mean(),
        measured.std(ddof=1),
        color=look.colour,
        marker=look.marker,
        markersize=4,
        linestyle="none",
        elinewidth=0.8,
        capsize=2,
    )


def _registered(axes: Axes, results: pd.DataFrame, methods: Sequence[str], looks, paired: Mapping[str, bool]) -> None:
    rows = results[results.level == REGISTERED.name]
    residual_mm = rows[rows.method == FLOOR].residual_mm.mean()
    for method in methods:
        errors = rows[rows.method == method][TRUTH]
        if len(errors):
            look = looks[method]
            axes.plot(residual_mm, errors.mean(), look.marker, color=look.colour, fillstyle="none", markersize=7)


def _crossing_lines(axes: Axes, results, levels, paired, column: str, curve: str) -> None:
    for crossing in crossings(results, levels, paired, column):
        if crossing.curve == curve and not math.isnan(crossing.mm):
            axes.axvline(crossing.mm, color="0.4", linewidth=0.7)
            text = f" {crossing.paired} = {crossing.unpaired}: {crossing.mm:.1f} mm"
            axes.annotate(text, (crossing.mm, 0.02), xycoords=("data", "axes fraction"), rotation=90, fontsize=6)
