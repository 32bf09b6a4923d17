"""Error by tissue and model, from the columns that name a tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from synthct.evaluation.figures.charts import draw_chart, marks
from synthct.evaluation.score import Row

NAME = "figure_tissues.png"
TISSUES = ("air", "soft", "bone")
_MEASURES = {"mae": "MAE (HU)", "me": "Mean error, sCT - CT (HU)"}


def tissue_columns(rows: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, str]]:
    """The columns by measure and tissue that the rows have, such as ``mae_bone_hu``."""
    columns = {column for model_rows in rows.values() for row in model_rows for column in row.metrics}
    found = {
        measure: {tissue: f"{measure}_{tissue}_hu" for tissue in TISSUES if f"{measure}_{tissue}_hu" in columns}
        for measure in _MEASURES
    }
    return {measure: of for measure, of in found.items() if of}


def draw_by_tissue(rows: Mapping[str, Sequence[Row]], folder: Path) -> Path | None:
    """Write ``figure_tissues.png``; None where no metric is by tissue."""
    columns = tissue_columns(rows)
    if not columns:
        return None
    mark_of = marks(list(rows))
    step = 0.8 / len(rows)

    def draw(figure: Figure) -> None:
        grid = figure.add_gridspec(2, len(columns), height_ratios=(1, 0.07 * math.ceil(len(rows) / 3)))
        for place, (measure, by_tissue) in enumerate(columns.items()):
            axes = figure.add_subplot(grid[0, place])
            for i, (model, model_rows) in enumerate(rows.items()):
                mark = mark_of[model]
                for k, column in enumerate(by_tissue.values()):
                    values = [
                        row.metrics[column] for row in model_rows if math.isfinite(row.metrics.get(column, np.nan))
                    ]
                    if not values:
                        continue
                    x = k + (i + 0.5) * step - 0.4
                    spread = np.linspace(-0.25, 0.25, len(values)) * step if len(values) > 1 else [0.0]
                    axes.scatter(
                        np.add(x, spread),
                        values,
                        9 if len(values) > 3 else 20,
                        mark.colour,
                        marker=mark.marker,
                        alpha=0.7,
                        linewidths=0,
                        zorder=2,
                    )
                    if len(values) > 1:
                        ends = [x - 0.42 * step, x + 0.42 * step]
                        axes.plot(ends, [np.mean(values)] * 2, color="black", linewidth=1.2, zorder=3)
                axes.scatter([], [], 14, mark.colour, marker=mark.marker, label=model)
            axes.set_xticks(range(len(by_tissue)), list(by_tissue))
            axes.set_xlim(-0.5, len(by_tissue) - 0.5)
            axes.set_ylabel(_MEASURES[measure])
            axes.grid(axis="y", color="0.92", linewidth=0.5)
            axes.set_axisbelow(True)
            if measure == "mae":
                axes.set_ylim(bottom=0)
            else:
                axes.axhline(0, color="0.4", linewidth=0.6, zorder=1)
        handles, labels = axes.get_legend_handles_labels()
        below = figure.add_subplot(grid[1, :])
        below.set_axis_off()
        below.legend(handles, labels, loc="center", ncols=min(len(rows), 3), frameon=False)

    return draw_chart(
        folder / NAME,
        80,
        draw,
        title="Error by tissue of the reference CT",
        note="Air below -200, soft tissue -200 to 250, bone above 250 HU of the reference CT, inside the head mask. "
        "A point a patient; line: mean of the patients.",
    )
