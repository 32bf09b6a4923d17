"""Text that fits its place in a figure: wrapped and set smaller, and shortened only where nothing else helps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 300
MM = 1 / 25.4  # inches
POINT_MM = 25.4 / 72
LINE_SPACING = 1.2
_SMALLEST, _SMALLEST_IN_FEWER_LINES = 5.0, 6.5  # points: rather another line than type below the second
_PARTS = re.compile(r"[^\s_/.-]*[\s_/.-]*")  # words of names, too: my_long_trainer


@dataclass(frozen=True)
class FittedText:
    """Lines, their type size in points, and the height in mm that they take."""

    text: str
    size: float

    @property
    def height_mm(self) -> float:
        return (self.text.count("\n") + 1) * self.size * LINE_SPACING * POINT_MM


def fitted(text: str, room_mm: float, size: float, *, weight: str = "normal", max_lines: int = 1) -> FittedText:
    """A text in as few lines as possible, of type as large as possible.

    Args:
        text: one line; it is broken after spaces and the signs that names are made of, and elsewhere at need.
        room_mm: width of a line.
        size: of the type in points, where there is room.
        weight: of the type.
        max_lines: that it may take.
    """
    ruler, parts = _Ruler(weight), _PARTS.findall(text)
    for n_lines in range(1, max_lines + 1):
        smallest = _SMALLEST if n_lines == max_lines else _SMALLEST_IN_FEWER_LINES
        for step in range(int(2 * (size - smallest)) + 1):
            lines = _broken(parts, room_mm, size - step / 2, ruler)
            if len(lines) <= n_lines and all(ruler.width_mm(line, size - step / 2) <= room_mm for line in lines):
                return FittedText("\n".join(lines), size - step / 2)
    smallest = min(size, _SMALLEST)
    lines = _broken(list(text), room_mm, smallest, ruler)  # in the middle of words
    if len(lines) > max_lines:
        lines[max_lines - 1 :] = [_shortened("".join(lines[max_lines - 1 :]), room_mm, smallest, ruler)]
    return FittedText("\n".join(lines), smallest)


class _Ruler:
    """Measures lines of one weight."""

    def __init__(self, weight: str) -> None:
        figure = Figure(figsize=(1, 1), dpi=DPI)
        self._renderer = FigureCanvasAgg(figure).get_renderer()
        self._text = figure.text(0, 0, "", weight=weight)

    def width_mm(self, line: str, size: float) -> float:
        self._text.set(text=line.rstrip(), fontsize=size)
        return self._text.get_window_extent(self._renderer).width / DPI / MM


def _broken(parts: Sequence[str], room_mm: float, size: float, ruler: _Ruler) -> list[str]:
    """Lines that are as full as they can be; a single part may be wider than the room."""
    lines = [""]
    for part in parts:
        if lines[-1] and ruler.width_mm(lines[-1] + part, size) > room_mm:
            lines.append("")
        lines[-1] += part
    return lines


def _shortened(line: str, room_mm: float, size: float, ruler: _Ruler) -> str:
    width, kept = ruler.width_mm(line, size), line
    while width > room_mm and len(kept) > 2:
        kept = kept[: max(1, min(len(kept) - 2, int(len(kept) * room_mm / width)))] + "…"
        width = ruler.width_mm(kept, size)
    return kept
