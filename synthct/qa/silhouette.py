"""The head's silhouette from the side, and whether it lies as its file says: front to back, head to foot.

Left and right are not distinguished: heads are symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, signal

CELL_MM = 10.0
# How a silhouette (SI, AP) that lies wrongly would have to be turned to be seen aright.
TURNS = {
    "flipped front to back": lambda side: side[:, ::-1],
    "flipped head to foot": lambda side: side[::-1],
    "turned by 180 degrees": lambda side: side[::-1, ::-1],
    "turned by 90 degrees, front and foot exchanged": lambda side: side.T,
    "turned by 90 degrees backwards": lambda side: side.T[::-1],
    "turned by 90 degrees forwards": lambda side: side.T[:, ::-1],
    "turned by 90 degrees, back and foot exchanged": lambda side: side.T[::-1, ::-1],
}

Silhouette = Sequence[Sequence[int]] | np.ndarray


def silhouette_of(mask: sitk.Image) -> tuple[tuple[int, ...], ...]:
    """Thickness of the head along left-right, mm, in cells of ``CELL_MM``.

    Args:
        mask: 0 or 1, its axes along left, back and head (LPS).

    Returns:
        Rows from foot to head, columns from front to back; just around the head.
    """
    inside = sitk.GetArrayViewFromImage(mask)
    x_mm, y_mm, z_mm = mask.GetSpacing()
    thickness = inside.sum(axis=2).astype(np.float64) * x_mm
    step = np.array([CELL_MM / z_mm, CELL_MM / y_mm])
    smooth = ndimage.gaussian_filter(np.pad(thickness, [(2 * int(s) + 1,) * 2 for s in step]), step / 2.355)
    cells = ndimage.zoom(smooth, 1 / step, order=1)
    rows, cols = (np.flatnonzero(cells.max(axis=axis) >= 1) for axis in (1, 0))
    if rows.size == 0:
        return ((0,),)
    cut = cells[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return tuple(tuple(int(round(value)) for value in row) for row in cut)


def likeness(first: Silhouette, second: Silhouette) -> float:
    """How alike two silhouettes are, 0..1, where they lie on each other best: the greatest normalised product."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(signal.correlate(a, b, method="fft").max()) / size if size else 0.0


def orientation_of(side: Silhouette, references: Sequence[Silhouette]) -> tuple[float, float, str]:
    """How well a silhouette fits those of other patients as it lies, and turned.

    Returns:
        Median likeness as it lies; the best median of the turns; and how the head seems to lie where a turn fits best.
    """
    side = np.asarray(side, float)
    as_it_lies = float(np.median([likeness(side, other) for other in references]))
    turned = {
        name: float(np.median([likeness(turn(side), other) for other in references])) for name, turn in TURNS.items()
    }
    best = max(turned, key=lambda how: turned[how])
    return as_it_lies, turned[best], best
