"""What holds the head in the CT: couch and head rest, thermoplastic mask, and the trough of a diagnostic scanner."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from synthct.phantom.fields import Axes, resample_volume, smooth_noise
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.scan import OUTSIDE_MM
from synthct.tuples import triple_of

PLASTIC_HALF_MM = 1.2
"""Half the thickness of a stretched thermoplastic sheet."""


class HeadInAir:
    """The CT around the head, into whose air things are laid, in place; arrays (z, y, x), mm.

    ``hu`` is changed; ``outside`` is the distance to the skin, ``drape`` that to a smoothed skin, ``back`` the y of the
    head's hindmost point.
    """

    def __init__(self, hu: NDArray, outside: NDArray, grid: sitk.Image) -> None:
        spacing = grid.GetSpacing()
        self.hu, self.voxel_mm = hu, spacing[0]
        self.axes: Axes = triple_of(
            np.arange(n, dtype=np.float32) * s + o
            for n, s, o in zip(grid.GetSize(), spacing, grid.GetOrigin(), strict=True)
        )
        self.free = np.clip(0.5 + (outside - 0.6) / self.voxel_mm, 0, 1)
        # What lies on a head bridges its hollows (eyes, beside the nose), so it follows a smoothed skin.
        step = max(1, round(3.0 / spacing[2]))
        coarse = triple_of(axis[::step] for axis in self.axes)
        drape = np.clip(outside[::step, ::step, ::step], -15, OUTSIDE_MM)
        drape = ndimage.gaussian_filter(drape, [7.0 / (s * step) for s in spacing[::-1]])
        self.drape = resample_volume(drape, coarse, self.axes)
        head = np.nonzero((outside < 0).any(axis=(0, 2)))[0]
        self.back = float(self.axes[1][head[-1]])

    def coordinates(self, rows: slice) -> tuple[NDArray, NDArray, NDArray]:
        """Broadcastable x, y, z of some rows."""
        x, y, z = self.axes
        return x[None, None, :], y[None, rows, None], z[:, None, None]

    def rows_from(self, y_mm: float) -> slice:
        """The rows behind ``y_mm``."""
        return slice(int(np.searchsorted(self.axes[1], y_mm)), None)

    def lay(self, value: float | NDArray, distance: NDArray, rows: slice) -> None:
        """Lays a substance (HU) into the air of some rows where ``distance`` (mm) is negative."""
        cover = np.clip(0.5 - distance / np.float32(self.voxel_mm), 0, 1) * self.free[:, rows]
        self.hu[:, rows] += cover * (np.float32(value) - self.hu[:, rows])


def lay_couch(around: HeadInAir) -> None:
    """A couch plate of foam between two sheets, and on it the rest that cups the back of the head."""
    back = around.back
    rows = around.rows_from(back - 64.0)
    x, y, z = around.coordinates(rows)
    cup, top = around.drape[:, rows], back + 14.0
    plate = np.maximum(np.maximum(top - y, y - top - 22.0), np.abs(x) - 118.0)
    around.lay(-930.0, plate + 0.0 * z, rows)
    around.lay(-150.0, np.abs(plate) - 0.9 + 0.0 * z, rows)
    rest = np.maximum(np.maximum(np.maximum(-cup, cup - 12.0), back - 62.0 - y), np.maximum(y - top, z - 45.0))
    around.lay(-955.0, rest, rows)
    shell = np.maximum(np.abs(cup - 4.5) - 1.3, back - 58.0 - y)
    around.lay(-60.0, np.maximum(shell, np.maximum(y - top, z - 40.0)), rows)


def lay_thermoplastic_mask(around: HeadInAir, patient: PatientParameters, lift_mm: float) -> None:
    """A sheet over face and forehead down to a board; ``lift_mm`` between skin and sheet, 0 pressed on the skin."""
    rng = patient.rng(22)
    lift = PLASTIC_HALF_MM + lift_mm * (1.0 + 1.6 * np.clip(smooth_noise(rng, around.axes, 45.0), -1.2, 2.0))
    shell = np.abs(around.drape - lift) - PLASTIC_HALF_MM + 0.25 * smooth_noise(rng, around.axes, 20.0)
    edge = around.back - 55.0
    rows = slice(None, int(np.searchsorted(around.axes[1], edge + 2.0)))
    x, y, z = around.coordinates(rows)
    bottom = -132.0 - z
    around.lay(-30.0, np.maximum(np.maximum(shell[:, rows], y - edge), bottom), rows)
    board = np.maximum(np.abs(y - edge) - 1.3, np.maximum(np.abs(x) - 122.0, (lift - around.drape)[:, rows]))
    around.lay(-30.0, np.maximum(board, np.maximum(bottom, z - 60.0)), rows)


def lay_head_holder(around: HeadInAir, patient: PatientParameters) -> None:
    """The trough of a diagnostic scanner: a U of hard plastic, creased cushions on the head, a forehead strap."""
    rng = patient.rng(24)
    rows = around.rows_from(around.back - 150.0)
    x, y, z = around.coordinates(rows)
    drape = around.drape[:, rows]
    middle = around.back - 95.0
    u = np.where(y > middle, np.hypot(x / 1.08, y - middle), np.abs(x) / 1.08) - 108.0  # distance to the U, outwards
    creases = np.abs(smooth_noise(rng, (around.axes[0], around.axes[1][rows], around.axes[2]), 9.0))
    cushion = np.maximum(np.maximum(u + 3.0, -drape), around.back - 95.0 - y)
    around.lay(-960.0, cushion + 0.0 * z, rows)
    around.lay(-330.0, np.maximum(cushion, 6.0 * creases - 0.9), rows)  # the folds of their cover
    around.lay(140.0, np.maximum(np.abs(u) - 2.0, around.back - 145.0 - y) + 0.0 * z, rows)
    everywhere = slice(None)
    _, y, z = around.coordinates(everywhere)
    strap = np.maximum(np.abs(around.drape - 0.9) - 0.9, np.maximum(np.abs(z - 25.0) - 18.0, y - middle))
    around.lay(-80.0, strap, everywhere)
