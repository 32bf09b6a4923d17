"""A row of image panels with grey or colour scales below them: what all figures are made of.

Everything is laid out in mm, so that type and lines have the same size in every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from synthct.evaluation.figures.fitted_text import DPI, LINE_SPACING, MM, FittedText, fitted
from synthct.files import bytes_written_whole

WIDTH_MM = 180.0  # two columns of a journal
_MARGIN_MM, _GAP_MM = 2.0, 2.0
_TITLE_MM, _PANEL_TITLE_MM = 3.2, 1.6  # room above the panels, beside the titles themselves
_MAX_TITLE_LINES, _MAX_PANEL_TITLE_LINES = 3, 4
_BAR_GAP_MM, _BAR_MM, _BAR_TEXT_MM = 2.0, 2.0, 8.5  # room below the panels
_NOTE_MM = 4.5
_UNKNOWN_COLOUR = "0.80"  # of NaN, unless the scale says otherwise
_SCALE_BAR_MM = 50.0


@dataclass(frozen=True)
class Scale:
    """How numbers become grey or colour. Neighbouring panels of one scale share its bar.

    ``label`` says quantity and unit; ``more_above`` draws the bar with a point where values exceed ``high``.
    """

    low: float
    high: float
    label: str
    colours: str = "gray"
    more_above: bool = False
    unknown_colour: str = _UNKNOWN_COLOUR  # of NaN


@dataclass(frozen=True)
class Panel:
    """One image (rows, cols), NaN where there is nothing to show, with an optional contour around ``outline``."""

    title: str
    image: np.ndarray
    scale: Scale
    outline: np.ndarray | None = None


def ct_scale(window_hu: tuple[float, float]) -> Scale:
    """Grey over the CT window."""
    return Scale(*window_hu, label=f"HU, window {window_hu[0]:.0f} to {window_hu[1]:.0f}")


def draw_panels(
    panels: Sequence[Panel],
    path: Path,
    *,
    title: str,
    spacing_mm: tuple[float, float],
    sides: tuple[str, str] = ("A", "P"),
    note: str = "",
) -> Path:
    """Draw panels side by side, in true proportion, and write them as PNG of 180 mm width at 300 dpi.

    Args:
        panels: images of one shape.
        title: above all; a long one is wrapped.
        spacing_mm: (rows, cols) of the pixels.
        sides: the body sides at the left and at the right of the images.
        note: one line below all.

    Returns:
        ``path``.
    """
    rows_mm, cols_mm = np.multiply(panels[0].image.shape, spacing_mm)
    panel_width = (WIDTH_MM - 2 * _MARGIN_MM - (len(panels) - 1) * _GAP_MM) / len(panels)
    panel_height = panel_width * rows_mm / cols_mm
    bottom = (_NOTE_MM if note else 0) + _BAR_TEXT_MM + _BAR_MM + _BAR_GAP_MM
    whole_width = WIDTH_MM - 2 * _MARGIN_MM
    heading = fitted(title, whole_width, 9, weight="bold", max_lines=_MAX_TITLE_LINES)
    titles = [fitted(panel.title, panel_width, 8, max_lines=_MAX_PANEL_TITLE_LINES) for panel in panels]
    titles_height = _PANEL_TITLE_MM + max(panel_title.height_mm for panel_title in titles)
    height = bottom + panel_height + titles_height + _TITLE_MM + heading.height_mm

    figure = Figure(figsize=(WIDTH_MM * MM, height * MM), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def axes_at(left: float, low: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH_MM, low / height, width / WIDTH_MM, tall / height))

    def write(text: FittedText, left: float, low: float, **style: Any) -> None:
        place = left / WIDTH_MM, low / height
        figure.text(*place, text.text, fontsize=text.size, va="baseline", linespacing=LINE_SPACING, **style)

    lefts = [_MARGIN_MM + i * (panel_width + _GAP_MM) for i in range(len(panels))]
    for i, (panel, left) in enumerate(zip(panels, lefts)):
        axes = axes_at(left, bottom, panel_width, panel_height)
        _draw_image(axes, panel, rows_mm, cols_mm)
        if i == 0:
            _mark_scale_and_sides(axes, rows_mm, cols_mm, sides)
        write(titles[i], left + panel_width / 2, bottom + panel_height + 2.0, ha="center")
    for first, last in _spans([panel.scale for panel in panels]):
        span = lefts[last] + panel_width - lefts[first]
        bar_width = min(0.86 * span, 60.0)
        bar_left = lefts[first] + (span - bar_width) / 2
        _draw_bar(axes_at(bar_left, bottom - _BAR_GAP_MM - _BAR_MM, bar_width, _BAR_MM), figure, panels[first].scale)
        label = fitted(panels[first].scale.label, span, 7)
        write(label, lefts[first] + span / 2, (_NOTE_MM if note else 0) + 2.1, ha="center")
    write(heading, _MARGIN_MM, bottom + panel_height + titles_height + 2.6, weight="bold", ha="left")
    if note:
        write(fitted(note, whole_width, 6.5), _MARGIN_MM, 1.8, color="0.25", ha="left")
    with bytes_written_whole(path) as file:
        figure.savefig(file, dpi=DPI, format="png")
    return path


def _draw_image(axes: Axes, panel: Panel, rows_mm: float, cols_mm: float) -> None:
    colours = colormaps[panel.scale.colours].with_extremes(bad=panel.scale.unknown_colour)
    norm = Normalize(panel.scale.low, panel.scale.high)
    extent = (0, cols_mm, rows_mm, 0)
    axes.imshow(np.ma.masked_invalid(panel.image), cmap=colours, norm=norm, extent=extent, aspect="equal")
    if panel.outline is not None and panel.outline.any() and not panel.outline.all():
        _draw_outline(axes, panel.outline, rows_mm, cols_mm)
    axes.set_xlim(0, cols_mm)
    axes.set_ylim(rows_mm, 0)
    axes.set_axis_off()


def _draw_outline(axes: Axes, outline: np.ndarray, rows_mm: float, cols_mm: float) -> None:
    rows, cols = outline.shape
    x = (np.arange(cols) + 0.5) * cols_mm / cols
    y = (np.arange(rows) + 0.5) * rows_mm / rows
    axes.contour(x, y, outline.astype(float), [0.5], colors="0.45", linewidths=0.5)


def _mark_scale_and_sides(axes: Axes, rows_mm: float, cols_mm: float, sides: tuple[str, str]) -> None:
    """A bar of 50 mm, and the body sides."""
    around = [withStroke(linewidth=1.6, foreground="black")]
    x, y = 0.05 * cols_mm, rows_mm - 0.05 * cols_mm
    axes.plot(
        [x, x + _SCALE_BAR_MM],
        [y, y],
        color="white",
        linewidth=1.6,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=2.6, foreground="black")],
    )
    label: dict[str, Any] = {"color": "white", "fontsize": 6.5, "path_effects": around}
    axes.text(x + _SCALE_BAR_MM / 2, y - 0.02 * cols_mm, f"{_SCALE_BAR_MM:.0f} mm", ha="center", va="bottom", **label)
    axes.text(0.03 * cols_mm, 0.03 * cols_mm, sides[0], ha="left", va="top", **label)
    axes.text(0.97 * cols_mm, 0.03 * cols_mm, sides[1], ha="right", va="top", **label)


def _draw_bar(axes: Axes, figure: Figure, scale: Scale) -> None:
    colours = ScalarMappable(Normalize(scale.low, scale.high), scale.colours)
    extend = "max" if scale.more_above else "neither"
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", extend=extend, extendfrac=0.04)
    bar.outline.set_linewidth(0.5)
    bar.set_ticks(_ticks(scale))
    axes.tick_params(labelsize=6.5, length=2, width=0.5, pad=1.5)


def _ticks(scale: Scale) -> list[float]:
    """Both ends and up to four round numbers between them."""
    spread = scale.high - scale.low
    power = 10 ** np.floor(np.log10(spread / 3))
    step = next(factor * power for factor in (1, 2, 5, 10) if spread / (factor * power) <= 5.01)
    inner = np.arange(np.ceil(scale.low / step), np.floor(scale.high / step) + 1) * step
    inner = [tick for tick in inner if min(tick - scale.low, scale.high - tick) > 0.12 * spread]
    return [scale.low, *inner, scale.high]


def _spans(scales: Sequence[Scale]) -> list[tuple[int, int]]:
    """First and last index of each run of equal scales."""
    spans: list[tuple[int, int]] = []
    for i, scale in enumerate(scales):
        if spans and scales[i - 1] == scale:
            spans[-1] = (spans[-1][0], i)
        else:
            spans.append((i, i))
    return spans
