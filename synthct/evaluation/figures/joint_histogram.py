"""sCT against CT, voxel by voxel: a joint histogram a model, with logarithmic counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from synthct.evaluation.figures.charts import columns_and_rows, draw_chart, short
from synthct.evaluation.voxel_histogram import BIN_HU, EDGES_HU, VoxelHistogram

NAME = "figure_joint_histogram.png"
COLOURS = "viridis_r"  # perceptually uniform; more voxels are darker, also in grey


def draw_joint_histogram(totals: Mapping[str, VoxelHistogram], patients: Mapping[str, int], folder: Path) -> Path:
    """Write ``figure_joint_histogram.png``.

    Args:
        totals: of all voxels by model, in the order of the panels; all on one scale of shares.
        patients: how many were counted by model.
    """
    columns, rows = columns_and_rows(len(totals))
    shares = {model: 100 * total.joint / total.voxels for model, total in totals.items()}
    lowest = min(share[share > 0].min() for share in shares.values())
    norm = LogNorm(max(lowest, 1e-6), max(share.max() for share in shares.values()))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in panels.flat[len(shares) :]:
            axes.set_visible(False)
        for i, (axes, (model, share)) in enumerate(zip(panels.flat, shares.items())):
            shown = axes.pcolormesh(
                EDGES_HU, EDGES_HU, np.ma.masked_equal(share, 0).T, norm=norm, cmap=COLOURS, rasterized=True
            )
            axes.plot(EDGES_HU[[0, -1]], EDGES_HU[[0, -1]], color="black", linewidth=0.7, linestyle=(0, (4, 3)))
            axes.set_aspect("equal")
            n = patients[model]
            axes.set_title(f"{short(model, 20)}\n{n} patient{'s' * (n != 1)}")
            axes.set_xticks([-1000, 0, 1000, 2000] if columns < 3 else [-1000, 0, 1000])
            axes.set_yticks([-1000, 0, 1000, 2000])
            if i % columns == 0:
                axes.set_ylabel("sCT (HU)")
            if i + columns >= len(shares):
                axes.set_xlabel("Reference CT (HU)")
                axes.tick_params(labelbottom=True)
        bar = figure.colorbar(shown, ax=panels, label="Share of the voxels (%)", fraction=0.05, pad=0.02, shrink=0.9)
        bar.outline.set_linewidth(0.5)

    height = {1: 105, 2: 88, 3: 72, 4: 64}[columns] if rows == 1 else 20 + 52 * rows
    return draw_chart(
        folder / NAME,
        height,
        draw,
        keep_aspect=True,
        title="Synthetic CT against reference CT, voxel by voxel",
        note=f"All voxels inside the head masks, in bins of {BIN_HU:.0f} HU, on a logarithmic scale; what lies beyond "
        "the axes is counted at their ends. Dashed: equal HU. Misaligned edges of bone and air lie far from the line.",
    )
