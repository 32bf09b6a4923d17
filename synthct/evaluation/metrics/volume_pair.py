"""What every metric is computed from: an sCT beside its reference CT, on one grid, and where they are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from synthct.imaging.geometry import Grid

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class VolumePair:
    """A synthetic and a reference CT of one patient. All arrays are (z, y, x) on ``grid``.

    Attributes:
        sct: synthetic CT in HU, any real type.
        ct: reference CT in HU.
        mask: the voxels that are compared; bool, or integers 0 and 1, which become bool.
        grid: spacing and direction of the voxels, which need be neither cubes nor along the body's axes.
        slice_axis: array axis that the network's slices follow each other along.
        sct_head: the head found in the sCT, where both images are known; None where it was not looked for.
        ct_head: the head found in the reference CT, likewise.

    Raises:
        ValueError: the shapes differ, or a mask holds other values than 0 and 1, or the first one no voxel.
    """

    sct: np.ndarray
    ct: np.ndarray
    mask: np.ndarray
    grid: Grid
    slice_axis: int = 2
    sct_head: np.ndarray | None = None
    ct_head: np.ndarray | None = None
    _shared: dict[Callable[..., Any], Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        given = {"sCT": self.sct, "CT": self.ct, "mask": self.mask, "sCT's head": self.sct_head, "head": self.ct_head}
        for name, array in given.items():
            if array is not None and array.shape != self.grid.array_shape:
                raise ValueError(f"the {name} has the shape {array.shape}, and its grid {self.grid.array_shape}")
        for name in ("mask", "sct_head", "ct_head"):
            object.__setattr__(self, name, _as_bool(name, getattr(self, name)))
        if not self.mask.any():
            raise ValueError("the mask is empty: there is no voxel to compare")

    def difference(self) -> np.ndarray:
        """D = sCT - CT in HU of the voxels inside the mask; float64 (voxels,)."""
        return self.shared(_difference)

    def reference(self) -> np.ndarray:
        """CT in HU of the voxels inside the mask, in the order of :meth:`difference`; (voxels,)."""
        return self.shared(_reference)

    def clipped(self, low_hu: float, high_hu: float) -> VolumePair:
        """The same with both CTs clipped to a range of HU."""
        clipped = (np.clip(image, low_hu, high_hu) for image in (self.sct, self.ct))
        return replace(self, sct=next(clipped), ct=next(clipped), _shared={})

    def shared(self, compute: Callable[[VolumePair], Result]) -> Result:
        """``compute(self)``, computed once for all metrics that need it."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        return self._shared[compute]


def _as_bool(name: str, mask: np.ndarray | None) -> np.ndarray | None:
    if mask is None or mask.dtype == bool:
        return mask
    values = np.unique(mask)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"{name} must hold 0 and 1, not {', '.join(f'{value:g}' for value in values[:5])}")
    return mask.astype(bool)


def _difference(pair: VolumePair) -> np.ndarray:
    return pair.sct[pair.mask].astype(np.float64) - pair.ct[pair.mask]


def _reference(pair: VolumePair) -> np.ndarray:
    return pair.ct[pair.mask]
