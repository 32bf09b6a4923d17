"""Grids in physical space, and resampling between them in one interpolation.

SimpleITK's conventions hold: (x, y, z) order, mm, LPS (x towards the left, y posterior, z superior); numpy arrays of an
image are (z, y, x). A *slice grid* is laid so that its array is (slices, rows, cols) in the slice plane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from synthct.imaging.planes import PLANE_ORIENTATION, Plane, body_axes
from synthct.tuples import triple_of

_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "bspline": sitk.sitkBSpline}
MIN_BSPLINE_VOXELS = 4  # along each axis; a cubic spline spans as many
CRANIUM_MM = 85.0  # from the vertex to the brow: no nose, no neck
Interpolation = Literal["linear", "nearest", "bspline"]


@dataclass(frozen=True)
class Grid:
    """The geometry of an image: SimpleITK order (x, y, z), mm, direction row-major as SimpleITK gives it."""

    size_xyz: tuple[int, int, int]
    spacing_mm_xyz: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @staticmethod
    def of(image: sitk.Image) -> Grid:
        """The grid of an image."""
        return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> Grid:
        """Inverse of ``dataclasses.asdict`` after a way through JSON."""
        return Grid(**{name: tuple(values) for name, values in plain.items()})

    @staticmethod
    def along(
        axes: np.ndarray | Sequence[float],
        size_xyz: Iterable[float],
        spacing_mm_xyz: Iterable[float],
        origin_mm: Iterable[float],
    ) -> Grid:
        """From rows of numbers of any kind; ``axes`` as of :attr:`axes`."""
        return Grid(
            triple_of(map(int, size_xyz)),
            triple_of(map(float, spacing_mm_xyz)),
            triple_of(map(float, origin_mm)),
            tuple(map(float, np.ravel(axes))),
        )

    @property
    def axes(self) -> np.ndarray:
        """Unit vectors of the axes as columns (3, 3)."""
        return np.reshape(self.direction, (3, 3))

    @property
    def array_shape(self) -> tuple[int, int, int]:
        """Shape (z, y, x) of the image's array; of a slice grid (slices, rows, cols)."""
        return self.size_xyz[2], self.size_xyz[1], self.size_xyz[0]

    def point(self, index_xyz: np.ndarray | Sequence[float]) -> np.ndarray:
        """Physical point (mm) of a continuous index."""
        return np.asarray(self.origin_mm) + self.axes @ (np.asarray(index_xyz, float) * self.spacing_mm_xyz)

    @property
    def corners(self) -> np.ndarray:
        """Physical points (mm) of the centres of the eight outermost voxels; (8, 3)."""
        last = np.subtract(self.size_xyz, 1)
        return np.array([self.point(last * pick) for pick in np.ndindex(2, 2, 2)])

    def place(self, array: np.ndarray) -> sitk.Image:
        """An image with this geometry from an array of :attr:`array_shape`."""
        if array.shape != self.array_shape:
            raise ValueError(f"array of shape {array.shape} does not fit a grid of {self.array_shape}")
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing(self.spacing_mm_xyz)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    def matches(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Whether both have the same size and all corners within ``tolerance_mm``."""
        return self.size_xyz == other.size_xyz and bool(np.abs(self.corners - other.corners).max() <= tolerance_mm)


def orientation_code(image: sitk.Image) -> str:
    """Towards which body side each axis runs, such as ``LPS``."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())


def oblique_degrees(image: sitk.Image) -> float:
    """Largest angle between an axis and the body axis that it is nearest to."""
    nearest = np.abs(np.reshape(image.GetDirection(), (3, 3))).max(axis=0)
    return float(np.degrees(np.arccos(np.clip(nearest, -1, 1))).max())


def image_like(reference: sitk.Image, array: np.ndarray) -> sitk.Image:
    """An image of an array (z, y, x) on the grid of another, whose geometry is copied to the last bit."""
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(reference)
    return image


def reorient(image: sitk.Image, orientation: str) -> sitk.Image:
    """Permute and flip the axes towards ``orientation`` (such as ``PIR``); no voxel is interpolated or moved in space.

    An oblique image stays oblique: its axes are named after the body axes that they are nearest to.
    """
    return sitk.DICOMOrient(image, orientation)


def resample(
    image: sitk.Image,
    grid: Grid,
    *,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
    transform: sitk.Transform | None = None,
    smooth: bool = True,
) -> sitk.Image:
    """Sample an image on another grid, in one interpolation, as float32 (``nearest`` keeps the pixel type).

    Where the grid is coarser than the image, the image is first smoothed with a Gaussian, so that fine detail does not
    alias into the coarse voxels.

    Args:
        outside: value of voxels outside the image's field of view.
        transform: maps points of ``grid`` to points of ``image`` (such as a registration); identity by default.
        smooth: False leaves the smoothing out, whose time goes with the size of ``image``, not with that of ``grid``.
    """
    transform = transform or sitk.Transform()
    if interpolation == "bspline" and min(image.GetSize()) < MIN_BSPLINE_VOXELS:
        interpolation = "linear"  # ITK reads beyond the coefficients of so few voxels
    if interpolation != "nearest":
        image = sitk.Cast(image, sitk.sitkFloat32)
        image = _smoothed_for(image, grid) if smooth else image
    return sitk.Resample(
        image,
        grid.size_xyz,
        transform,
        _INTERPOLATORS[interpolation],
        grid.origin_mm,
        grid.spacing_mm_xyz,
        grid.direction,
        outside,
        image.GetPixelID(),
        False,
    )


def _smoothed_for(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Smooth along the image's axes that ``grid`` samples more coarsely than 1.25 times the image's own spacing."""
    # Spacing of the grid along each axis of the image: the nearest grid axis decides.
    alignment = np.abs(np.reshape(image.GetDirection(), (3, 3)).T @ grid.axes)
    coarse = np.asarray(grid.spacing_mm_xyz)[alignment.argmax(axis=1)]
    for axis, (fine_mm, coarse_mm) in enumerate(zip(image.GetSpacing(), coarse)):
        # Gaussian whose full width at half maximum turns the fine voxel's width into the coarse one's (in quadrature).
        if coarse_mm > 1.25 * fine_mm and image.GetSize()[axis] >= 4:
            sigma_mm = float(np.sqrt(coarse_mm**2 - fine_mm**2) / 2.355)
            image = sitk.RecursiveGaussian(image, sigma_mm, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    return image


def resample_mask(mask: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> sitk.Image:
    """A mask (0 or 1) on another grid, uint8: 1 where at least half of its linear interpolation is."""
    return sitk.Cast(resample(mask, grid, outside=0, transform=transform) >= 0.5, sitk.sitkUInt8)


def known_region(image: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> sitk.Image:
    """1 where a voxel of ``grid`` lies inside the field of view of ``image``, else 0 (uint8): outside is unknown."""
    ones = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    ones.CopyInformation(image)
    return resample(ones, grid, interpolation="nearest", outside=0, transform=transform)


def block_means(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Float image over the same extent whose voxels are means of whole blocks of voxels, about ``spacing_mm`` wide."""
    factors = [max(1, round(spacing_mm / spacing)) for spacing in image.GetSpacing()]
    remainder = [-size % factor for size, factor in zip(image.GetSize(), factors)]
    # The last block is filled up with its own border, so that a neck cut by the field of view stays in.
    padded = sitk.ZeroFluxNeumannPad(image, [0] * len(remainder), remainder)
    return sitk.Cast(sitk.BinShrink(sitk.Cast(padded, sitk.sitkFloat32), factors), sitk.sitkFloat32)


def moved_rigidly(image: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """The image where ``transform`` puts it, its voxels untouched: only origin and direction change.

    Args:
        transform: a rigid one, from the image's points to the new points (mm).
    """
    origin = np.array(transform.TransformPoint(image.GetOrigin()))
    axes = np.reshape(image.GetDirection(), (3, 3)).T
    turned = [np.subtract(transform.TransformPoint(np.add(image.GetOrigin(), axis).tolist()), origin) for axis in axes]
    moved = sitk.Image(image)
    moved.SetOrigin(origin.tolist())
    moved.SetDirection(np.transpose(turned).ravel().tolist())
    return moved


def slice_grid(
    reference: sitk.Image,
    head_mask: sitk.Image,
    *,
    plane: Plane,
    spacing_mm: tuple[float, float, float],
    slice_size: tuple[int, int],
) -> Grid:
    """The grid of a case's slices, along the axes of ``reference`` and centred on the head.

    One rule for MR and CT, whatever their fields of view: front to back and left to right the middle of the cranium is
    the centre of a slice, which a nose or an ear that is cut off does not move; along the body the top of the head lies
    a twelfth of the least slice's extent below the upper border, because necks are cut at any height. Every slice that
    holds some of the head is there, and one more on either side.

    Args:
        reference: gives the axes' directions (the MR where there is one).
        head_mask: uint8, any grid along the same axes.
        plane: ``sagittal``, ``axial`` or ``coronal``.
        spacing_mm: (slices, rows, cols) of the slices.
        slice_size: smallest (rows, cols); grows by multiples of 4 pixels where the head is larger.

    Returns:
        A grid whose array is (slices, rows, cols).

    Raises:
        ValueError: the head mask is empty.
    """
    orientation = PLANE_ORIENTATION[plane]
    axes = np.reshape(reorient(reference[:2, :2, :2], orientation).GetDirection(), (3, 3))
    low_mm, high_mm = extent_along(head_mask, axes)
    spacing_xyz = np.asarray(spacing_mm)[::-1]
    min_size = np.array([slice_size[1], slice_size[0], 1])
    # Voxels around the head (axis, before and after it), so that its border is interpolated between known slices.
    margin = np.array([(4, 4), (4, 4), (1, 1)])
    along_body = body_axes(orientation).index(2)
    top = 0 if orientation[along_body] == "I" else 1
    if along_body < 2:  # from the least size, which a long neck does not change
        margin[along_body, top] = max(min_size[along_body] // 12, 4)
    centre_mm = (low_mm + high_mm) / 2
    in_slice = [axis for axis in range(2) if axis != along_body]
    centre_mm[in_slice] = _cranium_centre(head_mask, axes)[in_slice]
    half_size_mm = np.maximum(high_mm - centre_mm, centre_mm - low_mm)
    size = np.ceil(2 * half_size_mm / spacing_xyz).astype(int) + margin.sum(axis=1)
    size[:2] = np.maximum(min_size[:2], -(-size[:2] // 4) * 4)
    room_mm = (margin[along_body, top] - 0.5) * spacing_xyz[along_body]  # to the centre of the outermost voxel
    half_mm = (size[along_body] - 1) / 2 * spacing_xyz[along_body]
    if top == 0:
        centre_mm[along_body] = low_mm[along_body] - room_mm + half_mm
    else:
        centre_mm[along_body] = high_mm[along_body] + room_mm - half_mm
    origin = axes @ (centre_mm - (size - 1) / 2 * spacing_xyz)
    return Grid.along(axes, size, spacing_xyz, origin)


def bounding_box(mask: sitk.Image) -> np.ndarray:
    """First and one past the last index (x, y, z) of a mask's voxels; int (3, 2).

    Raises:
        ValueError: the mask is empty.
    """
    array = sitk.GetArrayViewFromImage(mask)
    bounds = []
    for axis in (2, 1, 0):  # of the array, for x, y, z
        occupied = np.flatnonzero(array.any(axis=tuple(other for other in range(3) if other != axis)))
        if occupied.size == 0:
            raise ValueError("the head mask is empty")
        bounds.append((occupied[0], occupied[-1] + 1))
    return np.array(bounds)


def _cranium_centre(head_mask: sitk.Image, axes: np.ndarray) -> np.ndarray:
    """Middle (mm along ``axes``) of the box around the uppermost part of a head, which holds neither nose nor ears."""
    upright = reorient(head_mask, "LPS")
    top = bounding_box(upright)[2, 1]
    cranium = upright[:, :, max(0, top - round(CRANIUM_MM / upright.GetSpacing()[2])) : int(top)]
    low_mm, high_mm = extent_along(cranium, axes)
    return (low_mm + high_mm) / 2


def mask_points(mask: sitk.Image) -> np.ndarray:
    """Physical points (mm) of a mask's voxels; (n, 3)."""
    grid = Grid.of(mask)
    index_xyz = np.argwhere(sitk.GetArrayViewFromImage(mask) > 0)[:, ::-1]
    return np.asarray(grid.origin_mm) + (index_xyz * grid.spacing_mm_xyz) @ grid.axes.T


def extent_along(mask: sitk.Image, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest coordinate (mm) of the mask's voxels, edges included, along the unit vectors in columns."""
    grid = Grid.of(mask)
    edges = bounding_box(mask) - 0.5
    corners = np.array([axes.T @ grid.point(corner) for corner in np.array(np.meshgrid(*edges)).reshape(3, -1).T])
    return corners.min(axis=0), corners.max(axis=0)
