"""The three planes of slices: how their axes lie in the body, and an array of one as slices of another."""

from __future__ import annotations

from typing import Literal

import numpy as np

Plane = Literal["sagittal", "axial", "coronal"]

# Towards which body side the axes (cols, rows, slices) of a slice grid run. All three are right-handed.
PLANE_ORIENTATION: dict[Plane, str] = {"sagittal": "PIR", "axial": "LPS", "coronal": "LIP"}
BODY_AXES = ("LR", "AP", "SI")


def body_axes(orientation: str) -> tuple[int, ...]:
    """The body axes that the axes of an orientation such as ``PIR`` run along: positions in ``BODY_AXES``.

    Raises:
        ValueError: a letter is not a side of the body.
    """
    return tuple("LRAPSI".index(side) // 2 for side in orientation)


# The body axes that (slices, rows, cols) run along.
PLANE_AXES = {plane: body_axes(orientation[::-1]) for plane, orientation in PLANE_ORIENTATION.items()}


def left_right_axis(plane: Plane) -> int | None:
    """The axis of images (..., rows, cols) of a plane along which left and right lie: -2, -1, or None: across them."""
    axes = PLANE_AXES[plane]
    return None if axes[0] == 0 else axes.index(0) - 3


def turned(array: np.ndarray, plane: Plane, other: Plane) -> np.ndarray:
    """Slices (..., slices, rows, cols) of one plane as slices of another: a view, in the other plane's orientation."""
    leading = array.ndim - 3
    order = [leading + PLANE_AXES[plane].index(axis) for axis in PLANE_AXES[other]]
    reversed_axes = [
        leading + i for i, axis in enumerate(PLANE_AXES[other]) if _side(plane, axis) != _side(other, axis)
    ]
    return np.flip(np.transpose(array, (*range(leading), *order)), tuple(reversed_axes))


def _side(plane: Plane, axis: int) -> str:
    """Towards which side of a body axis the slices of a plane run."""
    return next(side for side in PLANE_ORIENTATION[plane] if side in BODY_AXES[axis])
