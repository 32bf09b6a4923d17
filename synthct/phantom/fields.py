"""Smooth scalar fields on regular grids: interpolation, random fields, lofted outlines.

Every volume here is an array (z, y, x) with x to the patient's left, y posterior, z superior (LPS), in mm.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, interpolate, ndimage, spatial
from skimage import measure

from synthct.tuples import triple_of

Volume = NDArray[np.float32]
Axes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def interpolation_matrix(source: NDArray, target: NDArray) -> NDArray[np.float32]:
    """Catmull-Rom weights (len(target), len(source)) from one regular axis to another; edges are extended."""
    position = (np.asarray(target, float) - source[0]) / (source[1] - source[0])
    cell = np.floor(position).astype(int)
    t = position - cell
    weights = (
        0.5 * (-t + 2 * t**2 - t**3),
        0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3),
        0.5 * (-(t**2) + t**3),
    )
    matrix = np.zeros((len(target), len(source)), np.float32)
    rows = np.arange(len(target))
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        np.add.at(matrix, (rows, np.clip(cell + offset, 0, len(source) - 1)), weight)
    return matrix


def resample_volume(volume: Volume, source: Axes, target: Axes) -> Volume:
    """Interpolates a volume (z, y, x) from one set of regular axes (x, y, z) to another."""
    for axis, (old, new) in enumerate(zip(source[::-1], target[::-1], strict=True)):
        matrix = interpolation_matrix(old, new)
        volume = np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(volume, np.float32)


def smooth_noise(rng: np.random.Generator, axes: Axes, scale_mm: float) -> Volume:
    """Random field of unit SD whose features are about ``scale_mm`` across, on the given axes (x, y, z).

    It is drawn on a grid tied to millimetres, so that it is the same field at every voxel size.
    """
    knots = triple_of(np.arange(a[0] - 2 * scale_mm, a[-1] + 3 * scale_mm, scale_mm, dtype=np.float32) for a in axes)
    values = rng.standard_normal([len(k) for k in knots[::-1]]).astype(np.float32)
    return 1.4 * resample_volume(values, triple_of(knots), axes)


def sheet_distance(rng: np.random.Generator, extent_mm: float, spacing_mm: float, wavelength_mm: float) -> Volume:
    """Signed distance (mm) to a labyrinth of random sheets about half a wavelength apart: the stuff of sulci.

    A cube of white noise is band-passed in Fourier space; its zero set is the labyrinth and value over gradient
    length the distance to it. Side ``extent_mm``, periodic.
    """
    size = round(extent_mm / spacing_mm)
    spectrum = fft.rfftn(rng.standard_normal((size, size, size)).astype(np.float32))
    full, half = fft.fftfreq(size, spacing_mm), fft.rfftfreq(size, spacing_mm)
    frequency = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2)
    ring = np.exp(-0.5 * ((frequency * wavelength_mm - 1.0) / 0.22) ** 2)
    noise = fft.irfftn(spectrum * ring.astype(np.float32), s=(size, size, size)).astype(np.float32)
    noise /= noise.std()
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(noise, spacing_mm)))
    return (noise / np.sqrt(slope**2 + (0.5 * slope.mean()) ** 2)).astype(np.float32)


def outline_distance(points: NDArray, y: NDArray, z: NDArray) -> Volume:
    """Signed distance (z, y), negative inside, to the smooth closed curve through ``points`` (n, 2) = (y, z) in mm."""
    closed = np.vstack([points, points[:1]])
    spline, _ = interpolate.splprep(closed.T, per=True, s=0)
    curve = np.stack(interpolate.splev(np.linspace(0, 1, 400), spline), axis=1)
    grid = np.stack(np.meshgrid(y, z), axis=-1).reshape(-1, 2)
    distance, _ = spatial.cKDTree(curve).query(grid)
    inside = measure.points_in_poly(grid, curve)
    return np.where(inside, -distance, distance).reshape(len(z), len(y)).astype(np.float32)


def loft(outlines: Mapping[float, ArrayLike], half_width_mm: float, axes: Axes) -> Volume:
    """Signed distance of a left-right symmetric body drawn as sagittal outlines at several \\|x\\| (mm).

    Between the outlines the distances are interpolated in sqrt(1 - (x / half width)^2), in which an ellipsoid is
    exact, so that the flanks are round.
    """
    x, y, z = axes

    def station(position: NDArray) -> NDArray:
        u = np.abs(position) / half_width_mm
        return np.where(u < 1, -np.sqrt(np.clip(1 - u**2, 0, None)), 2.0 * (u - 1))

    at = station(np.array(list(outlines)))
    distances = np.stack([outline_distance(np.asarray(p, float), y, z) for p in outlines.values()])
    # At its half width the body has shrunk to a point: the last outline's distance raised until nothing is inside.
    at = np.append(at, [0.0, 0.4])
    closing = distances[-1] - distances[-1].min()
    distances = np.concatenate([distances, closing[None], closing[None] + 0.2 * half_width_mm])
    order = np.argsort(at)
    spline = interpolate.PchipInterpolator(at[order], distances[order], axis=0)
    field = spline(np.clip(station(x), at.min(), at.max())).astype(np.float32)
    field = ndimage.gaussian_filter(np.ascontiguousarray(np.moveaxis(field, 0, -1)), 0.7)
    return signed_distance(field, float(y[1] - y[0]))


def signed_distance(field: Volume, spacing_mm: float) -> Volume:
    """Signed distance (mm) to the zero set of an implicit function, placed within the voxel.

    Each voxel beside the surface gives a surface point (one Newton step along the gradient); every other voxel's
    distance is that to the point of its nearest such voxel.
    """
    gradient = np.array(np.gradient(field, spacing_mm))
    step = field / np.clip(np.square(gradient).sum(axis=0), 1e-2, None)
    beside = np.abs(step) * np.linalg.norm(gradient, axis=0) < spacing_mm
    nearest = ndimage.distance_transform_edt(~beside, return_distances=False, return_indices=True)
    squared = np.zeros(field.shape, np.float32)
    for axis, index in enumerate(nearest):
        here = np.arange(field.shape[axis], dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        surface_offset = (step * gradient[axis])[tuple(nearest)]
        squared += np.square((here - index) * spacing_mm + surface_offset)
    return ndimage.gaussian_filter(np.copysign(np.sqrt(squared), field), 0.8)


def smooth_minimum(a: NDArray, b: NDArray, radius_mm: float) -> NDArray:
    """Union of two bodies given by signed distances, its crease filleted over ``radius_mm``."""
    h = np.clip(radius_mm - np.abs(a - b), 0, None) / radius_mm
    return np.minimum(a, b) - h * h * radius_mm * 0.25


def smooth_step(value: NDArray, low: float, high: float | NDArray) -> NDArray:
    """0 below ``low``, 1 above ``high``, smooth between; ``low`` > ``high`` falls instead of rising."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
