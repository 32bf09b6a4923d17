"""From where every slice truly lies to a regular orthogonal grid: missing slices, uneven gaps, a tilted gantry.

Geometry comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone (DICOM PS3.3 C.7.6.2).
SliceThickness is not the distance of slices, and only says whether there is tissue that no slice shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthct.errors import ImageError
from synthct.imaging.dicom.series import DicomSeries
from synthct.imaging.dicom.volumes import SAME_POSITION_MM
from synthct.imaging.geometry import Grid
from synthct.imaging.image_header import MAX_VOXELS, PLAUSIBLE_SPACING_MM
from synthct.tuples import triple_of

TOLERANCE_MM = 0.05  # slices this near to a regular, straight grid are taken to lie on it: headers are rounded
EVEN = 1.1  # gaps up to this times the median are even
WIDEST_TIMES = 2.1  # a gap up to this times the median (one slice missing) is interpolated over ...
WIDEST_MM = 4.0  # ... where it is no wider than this; a wider one hides anatomy
CONTIGUOUS = 1.1  # a gap up to this times the mean thickness of its two slices hides nothing, however wide
LARGEST_TILT_DEG = 40.0  # gantries tilt up to 30 degrees; slices that lie further apart sideways are not a stack


@dataclass(frozen=True)
class Stacking:
    """Where the slices of a series lie against its regular grid.

    Output slice ``j`` is ``(1 - weight[j]) * slice[below[j]] + weight[j] * slice[below[j] + 1]``, each slice sampled in
    its plane at (row, column) + ``shift_px[slice]``.
    """

    grid: Grid
    below: np.ndarray  # (output slices,) int
    weight: np.ndarray  # (output slices,) in [0, 1)
    shift_px: np.ndarray  # (slices, 2) rows, columns

    @property
    def straight(self) -> bool:
        """Whether every slice is taken as it is."""
        return not self.weight.any() and not self.shift_px.any()


def stack_slices(series: DicomSeries) -> Stacking:
    """The regular orthogonal grid of a series and where its slices lie in it.

    The grid has the slices' own plane and pixels; its third axis is their normal. Slices that a tilted gantry (or a
    jump of the table) displaced sideways are shifted within their planes to their true places, and the grid grows to
    hold all of them. Where gaps are uneven the grid has about the median gap, from the first slice to the last, and
    lies on the slices again where merely some are missing.

    Raises:
        ImageError: gaps too wide to interpolate over, or slices that do not form a stack; it names the series.
    """
    axes, spacing_rows_cols = series.axes, np.asarray(series.pixel_spacing_mm)
    offsets = (series.positions_mm - series.positions_mm[0]) @ axes  # (slices, 3): columns, rows, depth; mm
    depth = offsets[:, 2]
    gaps = np.diff(depth)
    _check_gaps(series, gaps)
    _check_sideways(series, offsets)
    step, below, weight = _regular_depths(depth)
    sideways = offsets[:, 1::-1]  # rows, columns
    if np.abs(sideways).max() <= TOLERANCE_MM:
        sideways = np.zeros_like(sideways)
    low = sideways.min(axis=0)
    grow = np.ceil((sideways.max(axis=0) - low) / spacing_rows_cols - 1e-6).astype(int)
    rows, columns = np.array([series.rows, series.columns]) + grow
    if not step <= PLAUSIBLE_SPACING_MM[1] or int(rows) * int(columns) * len(below) > MAX_VOXELS:
        raise ImageError(
            f"{series.name} would be {columns} x {rows} x {len(below)} voxels with {step:.3g} mm between slices, which "
            "is not a scan of a head; export the series again."
        )
    origin = series.positions_mm[0] + axes @ (low[1], low[0], 0.0)
    grid = Grid(
        (int(columns), int(rows), len(below)),
        (float(spacing_rows_cols[1]), float(spacing_rows_cols[0]), float(step)),
        triple_of(map(float, origin)),
        tuple(map(float, axes.ravel())),
    )
    return Stacking(grid, below, weight, (low - sideways) / spacing_rows_cols)


def _regular_depths(depth: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Distance of the output's slices; for each the input slice below it, and the weight of the one above that."""
    n = len(depth)
    mean_gap = depth[-1] / (n - 1)
    if np.abs(depth - mean_gap * np.arange(n)).max() <= TOLERANCE_MM:
        return mean_gap, np.arange(n), np.zeros(n)
    n_out = max(round(depth[-1] / float(np.median(np.diff(depth)))), 1) + 1
    wanted = np.linspace(0.0, depth[-1], n_out)
    nearest = np.abs(wanted[:, None] - depth).argmin(axis=1)
    wanted = np.where(np.abs(wanted - depth[nearest]) <= TOLERANCE_MM, depth[nearest], wanted)  # slices as they are
    below = np.clip(np.searchsorted(depth, wanted, side="right") - 1, 0, n - 1)
    above = np.minimum(below + 1, n - 1)
    width = np.where(above > below, depth[above] - depth[below], 1.0)
    return depth[-1] / (n_out - 1), below, (wanted - depth[below]) / width


def _check_gaps(series: DicomSeries, gaps: np.ndarray) -> None:
    if len(gaps) == 0:
        raise ImageError(f"{series.name} has one slice only; a 3-D volume is needed.")
    if gaps.min() <= SAME_POSITION_MM:
        place = int(gaps.argmin())
        raise ImageError(
            f"{series.name} has several images at one position (images {series.slices[place].instance} and "
            f"{series.slices[place + 1].instance}) that their headers do not tell apart; export one volume a series."
        )
    median = float(np.median(gaps))
    thickness = np.array([image.thickness_mm for image in series.slices])
    hides_nothing = gaps <= CONTIGUOUS * (thickness[:-1] + thickness[1:]) / 2
    narrow = (gaps <= WIDEST_TIMES * median) & (gaps <= WIDEST_MM)
    wide = ~((gaps <= EVEN * median) | hides_nothing | narrow)
    if wide.any():
        place = int(np.where(wide, gaps, 0).argmax())
        raise ImageError(
            f"{series.name}: slices are missing, there are {gaps[place]:.2f} mm between images "
            f"{series.slices[place].instance} and {series.slices[place + 1].instance} where {median:.2f} mm are usual; "
            "export the whole series again."
        )


def _check_sideways(series: DicomSeries, offsets: np.ndarray) -> None:
    moved = np.linalg.norm(np.diff(offsets[:, :2], axis=0), axis=1)
    allowed = np.tan(np.radians(LARGEST_TILT_DEG)) * np.diff(offsets[:, 2]) + TOLERANCE_MM
    if (moved > allowed).any():
        place = int((moved - allowed).argmax())
        raise ImageError(
            f"{series.name}: image {series.slices[place + 1].instance} lies {moved[place]:.1f} mm beside image "
            f"{series.slices[place].instance}, which no tilt of a gantry explains; export one stack a series."
        )
