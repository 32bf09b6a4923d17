"""What all charts share: size, type, and colours by model. Image panels are in :mod:`panels`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from synthct.evaluation.figures.fitted_text import DPI, MM
from synthct.evaluation.figures.panels import WIDTH_MM
from synthct.files import bytes_written_whole

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe and Ito's colours, which colour-blind people tell apart; the order is from dark to light, and every model has a
# marker and a line of its own besides, so that a grey print can be read.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "figure.titleweight": "bold",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
}


@dataclass(frozen=True)
class Mark:
    """How a model is drawn in every chart."""

    colour: str
    marker: str
    line: str | tuple


def marks(models: Sequence[str]) -> dict[str, Mark]:
    """A mark a model, by its place in the order; after six models they begin again."""
    return {
        model: Mark(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)])
        for i, model in enumerate(models)
    }


def draw_chart(
    path: Path,
    height_mm: float,
    draw: Callable[[Figure], None],
    *,
    title: str,
    note: str = "",
    keep_aspect: bool = False,
) -> Path:
    """Lay a figure of 180 mm width out, let ``draw`` fill it, and write it as PNG at 300 dpi.

    Args:
        title: one line above all, wrapped where it is longer.
        note: what the reader must know, in small type below.
        keep_aspect: the panels have a fixed aspect, and are moved together.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_MM * MM, height_mm * MM), dpi=DPI, facecolor="white")
        layout: Literal["compressed", "constrained"] = "compressed" if keep_aspect else "constrained"
        figure.set_layout_engine(layout, w_pad=2 * MM, h_pad=2 * MM, wspace=0.03, hspace=0.04)
        FigureCanvasAgg(figure)
        draw(figure)
        figure.suptitle(_wrapped(title, 105), x=2 / WIDTH_MM, ha="left")
        if note:
            figure.supxlabel(_wrapped(note, 150), x=2 / WIDTH_MM, ha="left", fontsize=6.5, color="0.25")
        with bytes_written_whole(path) as file:
            figure.savefig(file, dpi=DPI, format="png")
    return path


def short(label: str, room: int = 22) -> str:
    """A label broken into two lines at its configuration, and cut in the middle where it still does not fit."""
    lines = [line if len(line) <= room else f"{line[: room // 2 - 1]}…{line[-room // 2 :]}" for line in _halves(label)]
    return "\n".join(lines)


def _halves(label: str) -> list[str]:
    trainer, separator, configuration = label.partition("__")
    return [trainer, configuration] if separator else [label]


def model_axis(axes: Axes, models: Sequence[str]) -> None:
    """One place a model along x; names slant where many do not fit side by side."""
    crowded = len(models) > 4
    labels = [model if crowded and len(model) <= 28 else short(model, 14) for model in models]
    axes.set_xticks(range(len(models)), labels, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlim(-0.6, len(models) - 0.4)


def columns_and_rows(n: int, max_columns: int = 4) -> tuple[int, int]:
    """A grid of panels for ``n``, in as few rows as possible and as even as possible."""
    rows = math.ceil(n / max_columns)
    return math.ceil(n / rows), rows


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) if text else ""
