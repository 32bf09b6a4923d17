"""Bland-Altman plot of HU: the difference of sCT and CT over their mean, as a density, with bias and limits by HU.

Source: Bland and Altman, Lancet 327 (1986) 307-310: mean difference and limits of agreement, mean +- 1.96 SD.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from synthct.evaluation.figures.charts import columns_and_rows, draw_chart, short
from synthct.evaluation.figures.joint_histogram import COLOURS
from synthct.evaluation.voxel_histogram import DIFFERENCE_EDGES_HU, EDGES_HU, VoxelHistogram

NAME = "figure_bland_altman.png"
_MIN_VOXELS = 50  # in a bin, for its bias and limits to be drawn


def draw_bland_altman(totals: Mapping[str, VoxelHistogram], folder: Path) -> Path:
    """Write ``figure_bland_altman.png``.

    Args:
        totals: of all voxels by model, in the order of the panels; all on one scale of shares.
    """
    columns, rows = columns_and_rows(len(totals), max_columns=2)
    shares = {model: 100 * total.difference / total.voxels for model, total in totals.items()}
    norm = LogNorm(
        max(min(share[share > 0].min() for share in shares.values()), 1e-6), max(s.max() for s in shares.values())
    )

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in panels.flat[len(shares) :]:
            axes.set_visible(False)
        for i, (axes, (model, share)) in enumerate(zip(panels.flat, shares.items())):
            shown = axes.pcolormesh(
                EDGES_HU, DIFFERENCE_EDGES_HU, np.ma.masked_equal(share, 0).T, norm=norm, cmap=COLOURS, rasterized=True
            )
            _draw_limits(axes, totals[model])
            mean, sd = totals[model].bias_and_sd
            low, middle, high = (f"{round(value):+d}" for value in (mean - 1.96 * sd, mean, mean + 1.96 * sd))
            axes.set_title(f"{short(model, 40)}\nmean {middle} HU, limits {low} and {high} HU")
            axes.set_xlim(EDGES_HU[0], EDGES_HU[-1])
            axes.set_ylim(DIFFERENCE_EDGES_HU[0], DIFFERENCE_EDGES_HU[-1])
            if i % columns == 0:
                axes.set_ylabel("sCT - CT (HU)")
            if i + columns >= len(shares):
                axes.set_xlabel("Mean of sCT and CT (HU)")
                axes.tick_params(labelbottom=True)
        bar = figure.colorbar(shown, ax=panels, label="Share of the voxels (%)", fraction=0.05, pad=0.02, shrink=0.9)
        bar.outline.set_linewidth(0.5)

    return draw_chart(
        folder / NAME,
        32 + 58 * rows,
        draw,
        title="Bland-Altman: agreement of synthetic and reference CT by HU",
        note="All voxels inside the head masks. Black: mean difference; dashed: limits, mean ± 1.96 SD; in each bin of "
        f"20 HU with at least {_MIN_VOXELS} voxels; in the titles, over all voxels. The limits are of voxels, not of "
        "patients, and the differences are not normally distributed.",
    )


def _draw_limits(axes: Axes, total: VoxelHistogram) -> None:
    counts, mean, sd = total.bias_and_sd_by_mean()
    enough = counts >= _MIN_VOXELS
    centres = (EDGES_HU[:-1] + EDGES_HU[1:]) / 2
    mean, sd = np.where(enough, mean, np.nan), np.where(enough, sd, np.nan)
    axes.plot(centres, mean, color="white", linewidth=2.4)
    axes.plot(centres, mean, color="black", linewidth=1.2)
    for side in (-1.96, 1.96):
        axes.plot(centres, mean + side * sd, color="white", linewidth=2.2)
        axes.plot(centres, mean + side * sd, color="#B2182B", linewidth=1.0, linestyle=(0, (3, 1.5)))
    axes.axhline(0, color="0.3", linewidth=0.5)
