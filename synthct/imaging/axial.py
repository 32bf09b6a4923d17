"""The axial grid on which planning systems take a CT: axes along the body's, square pixels."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid, reorient, resample

ALONG_BODY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # x to the left, y to the back, z upwards
SAME_PLACE_MM = 1e-2  # headers are rounded; a volume whose axes stray less than this over its extent is not oblique


def axial_grid(grid: Grid) -> Grid:
    """An axial grid that covers the field of view of ``grid``.

    Axial slices with square pixels stay as they are; where the axes of ``grid`` are merely permuted or reversed, so
    are those of the result, and its voxels lie on the same places. Along x and y the finer of the two spacings holds,
    because planning systems expect square pixels. Of an oblique grid each body axis takes the spacing of the axis
    that is nearest to it, and the result covers all its voxels.

    Args:
        grid: any orthogonal grid; LPS, mm.

    Returns:
        A grid with the directions of :data:`ALONG_BODY`.
    """
    axes, spacing = grid.axes, np.asarray(grid.spacing_mm_xyz)
    wanted = spacing[np.abs(axes).argmax(axis=1)]  # along the body's x, y, z
    wanted[:2] = wanted[:2].min()
    low, high = grid.corners.min(axis=0), grid.corners.max(axis=0)
    steps = np.ceil((high - low - SAME_PLACE_MM) / wanted)
    if _is_oblique(grid):  # the same room on either side
        low = (low + high - steps * wanted) / 2
    return Grid.along(ALONG_BODY, steps + 1, wanted, low)


def on_axial_grid(image: sitk.Image, outside: float) -> sitk.Image:
    """An image on its :func:`axial_grid`; interpolated (linearly, once) only where its voxels do not lie there already.

    Args:
        image: scalar 3-D, any orthogonal grid.
        outside: value outside the image's field of view.

    Returns:
        The pixel type of ``image``; whole numbers are rounded.
    """
    grid = axial_grid(Grid.of(image))
    upright = reorient(image, "LPS")
    if not _is_oblique(Grid.of(image)) and upright.GetSize() == grid.size_xyz:
        return grid.place(sitk.GetArrayFromImage(upright))
    moved = sitk.GetArrayFromImage(resample(image, grid, outside=outside))
    kind = sitk.GetArrayViewFromImage(image).dtype
    return grid.place((np.rint(moved) if kind.kind in "iu" else moved).astype(kind))


def _is_oblique(grid: Grid) -> bool:
    stray = np.abs(grid.axes - np.rint(grid.axes)) @ np.multiply(grid.size_xyz, grid.spacing_mm_xyz)
    return bool(stray.max() > SAME_PLACE_MM)
