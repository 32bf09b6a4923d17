"""Every patient's MAE and PSNR by model: a box a model, a point a patient, a line from model to model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthct.evaluation.figures.charts import Mark, draw_chart, marks, model_axis
from synthct.evaluation.metrics import METRICS, Metric
from synthct.evaluation.score import Row

NAME = "figure_patients.png"
_SHOWN = ("mae_hu", "psnr_db")
_MIN_FOR_A_BOX = 5  # quartiles of fewer say nothing that the points do not


def draw_by_patient(
    rows: Mapping[str, Sequence[Row]], folder: Path, *, baselines: Mapping[str, Sequence[Row]] | None = None
) -> Path:
    """Write ``figure_patients.png``.

    Args:
        rows: of the models, in their order.
        baselines: of the trivial sCTs; the mean of each is a dashed line.
    """
    shown = [metric for metric in METRICS if metric.column in _SHOWN]
    mark_of = marks(list(rows))
    n = len({row.patient for model_rows in rows.values() for row in model_rows})

    def draw(figure: Figure) -> None:
        for axes, metric in zip(figure.subplots(1, len(shown)), shown):
            _draw_metric(axes, metric, rows, baselines or {}, mark_of)

    several = "; a thin line joins a patient's points" if len(rows) > 1 else ""
    boxes = "Boxes: quartiles and median; whiskers: all patients. " if n >= _MIN_FOR_A_BOX else ""
    constants = " Dashed: the best trivial CT, mean over the patients." if baselines else ""
    return draw_chart(
        folder / NAME,
        75,
        draw,
        title=f"Held-out patients by model ({n} patient{'s' * (n != 1)})",
        note=f"{boxes}A point a patient{several}.{constants}",
    )


def _draw_metric(
    axes: Axes,
    metric: Metric,
    rows: Mapping[str, Sequence[Row]],
    baselines: Mapping[str, Sequence[Row]],
    mark_of: Mapping[str, Mark],
) -> None:
    values = {
        model: {
            row.patient: row.metrics[metric.column] for row in model_rows if math.isfinite(row.metrics[metric.column])
        }
        for model, model_rows in rows.items()
    }
    offset = _offsets({patient for model_rows in values.values() for patient in model_rows})
    for patient, shift in offset.items():
        at = [(i + shift, model_rows[patient]) for i, model_rows in enumerate(values.values()) if patient in model_rows]
        axes.plot(*zip(*at), color="0.8", linewidth=0.6, zorder=1)
    for i, (model, model_rows) in enumerate(values.items()):
        mark = mark_of[model]
        if len(model_rows) >= _MIN_FOR_A_BOX:
            axes.boxplot(
                [list(model_rows.values())],
                positions=[i],
                widths=0.5,
                whis=(0, 100),
                showfliers=False,
                boxprops={"color": mark.colour},
                whiskerprops={"color": mark.colour},
                capprops={"color": mark.colour},
                medianprops={"color": "black"},
                zorder=2,
            )
        x = [i + offset[patient] for patient in model_rows]
        size = 18 if len(model_rows) <= 30 else 7
        axes.scatter(
            x,
            list(model_rows.values()),
            size,
            mark.colour,
            marker=mark.marker,
            edgecolors="white",
            linewidths=0.4,
            zorder=3,
        )
    _draw_baselines(axes, metric, baselines)
    model_axis(axes, list(values))
    axes.set_title(f"{metric.title} ({'lower' if metric.lower_is_better else 'higher'} is better)")
    axes.set_ylabel(f"{metric.title} ({metric.unit})")
    axes.margins(y=0.12)
    axes.grid(axis="y", color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)


def _draw_baselines(axes: Axes, metric: Metric, baselines: Mapping[str, Sequence[Row]]) -> None:
    """The baseline that is best by this metric: the one that a model has to beat."""
    means = {label: float(np.mean([row.metrics[metric.column] for row in of])) for label, of in baselines.items() if of}
    if not means:
        return
    label = min(means, key=lambda baseline: means[baseline] * (1 if metric.lower_is_better else -1))
    axes.axhline(means[label], color="0.35", linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    above = metric.lower_is_better
    axes.annotate(
        label,
        (1, means[label]),
        (-2, 2 if above else -2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        fontsize=6.5,
        color="0.35",
    )


def _offsets(patients: set[str]) -> dict[str, float]:
    """Points of different patients side by side; the same patient at the same place of every model."""
    ordered = sorted(patients)
    width = 0.0 if len(ordered) < 2 else 0.36
    return dict(zip(ordered, np.linspace(-width / 2, width / 2, len(ordered))))
