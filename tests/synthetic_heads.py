"""Analytic heads for tests: skull, brain, airway, sinus, nose, ears and neck, sampled as MR and CT on any grid.

Body coordinates are LPS in mm around the middle of the head: x towards the left, y towards the back, z upwards.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid

SKIN_MM = np.array([76.0, 96.0, 100.0])  # semi-axes
TOP_MM = SKIN_MM[2]  # of the head, above its middle
AIR_HU, SOFT_HU, BRAIN_HU, BONE_HU = -1000.0, 40.0, 30.0, 900.0


def make_grid(
    size_xyz: tuple[int, int, int] = (50, 62, 62),
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    orientation: str = "LPS",
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid around ``centre_mm`` whose axes run as ``orientation`` says, then tilted about x, y and z.

    Size and spacing are those of the LR, AP and SI axes, wherever the orientation puts them.
    """
    axes = np.reshape(sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(orientation), (3, 3))
    body_axis = [int(np.abs(column).argmax()) for column in axes.T]
    size = tuple(size_xyz[axis] for axis in body_axis)
    spacing = tuple(spacing_mm[axis] for axis in body_axis)
    rotation = sitk.Euler3DTransform((0, 0, 0), *np.radians(tilt_deg))
    axes = np.reshape(rotation.GetMatrix(), (3, 3)) @ axes
    origin = np.asarray(centre_mm) - axes @ ((np.array(size) - 1) / 2 * spacing)
    return Grid(size, spacing, tuple(map(float, origin)), tuple(map(float, axes.ravel())))


def points_mm(grid: Grid) -> np.ndarray:
    """Physical points of all voxels (3, z, y, x)."""
    z, y, x = np.indices(grid.array_shape)
    index = np.stack([x, y, z]).reshape(3, -1) * np.reshape(grid.spacing_mm_xyz, (3, 1))
    return (np.reshape(grid.origin_mm, (3, 1)) + grid.axes @ index).reshape(3, *grid.array_shape)


class Head:
    """The tissues of a head in the voxels of a grid, as bool arrays (z, y, x)."""

    def __init__(self, grid: Grid, centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0), size: float = 1.0) -> None:
        x, y, z = (points_mm(grid) - np.reshape(centre_mm, (3, 1, 1, 1))) / size

        def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float] | np.ndarray) -> np.ndarray:
            return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii)) < 1

        neck = (np.hypot(x / 58, (y - 12) / 62) < 1) & (z < -40)
        nose = ellipsoid((0, -98, -25), (14, 18, 20))
        ears = ellipsoid((78, 10, -15), (12, 10, 28)) | ellipsoid((-78, 10, -15), (12, 10, 28))
        self.inside = ellipsoid((0, 0, 0), SKIN_MM) | neck | nose | ears
        self.brain = ellipsoid((0, 0, 15), SKIN_MM - (16, 16, 25))
        self.bone = ellipsoid((0, 0, 10), SKIN_MM - (8, 8, 16)) & ~self.brain & (z > -60)
        self.bone |= (np.hypot(x, y - 30) < 15) & (z < -55)  # vertebrae
        sinus = ellipsoid((0, -70, -25), (20, 15, 15))
        self.air = sinus | ((np.hypot(x, y + 15) < 9) & (z < -40))  # the airway runs out through the neck's cut
        self.near_skin = ellipsoid((0, 0, 0), SKIN_MM + 5) & ~ellipsoid((0, 0, 0), SKIN_MM + 3)
        self.couch = (y > 102) & (y < 112) & (np.abs(x) < 250)


def head_ct(grid: Grid, *, couch: bool = False, shell: bool = False, **head) -> sitk.Image:
    """CT in HU, int16; with a couch plate under the head and a thermoplastic shell 3 to 5 mm off the face."""
    tissues = Head(grid, **head)
    values = np.full(grid.array_shape, AIR_HU)
    if couch:
        values[tissues.couch] = 100
    if shell:
        values[tissues.near_skin] = 0
    values[tissues.inside] = SOFT_HU
    values[tissues.bone] = BONE_HU
    values[tissues.brain] = BRAIN_HU
    values[tissues.air] = AIR_HU
    return grid.place(values.astype(np.int16))


def head_mr(
    grid: Grid, *, scale: float = 1.0, offset: float = 0.0, bias: float = 0.0, seed: int = 0, **head
) -> sitk.Image:
    """T1-like MR, float32, with noise; ``bias``: relative gain from the middle of the head to 100 mm above it."""
    tissues = Head(grid, **head)
    values = np.zeros(grid.array_shape)
    values[tissues.inside] = 900
    values[tissues.bone] = 80
    values[tissues.brain] = 600
    values[tissues.air] = 0
    values *= np.exp(bias * points_mm(grid)[2] / 100)
    noise = np.random.default_rng(seed).normal(0, 12, (2, *grid.array_shape))
    values = np.hypot(values + noise[0], noise[1])
    return grid.place((values * scale + offset).astype(np.float32))


def head_truth(grid: Grid, **head) -> sitk.Image:
    """All inside the skin, uint8."""
    return grid.place(Head(grid, **head).inside.astype(np.uint8))


def smooth_hu(points: np.ndarray) -> np.ndarray:
    """A field of HU inside the CT window that bends over 15 cm, so that interpolation errs little. ``points`` in mm."""
    x, y, z = points
    return 400 + 300 * np.sin(2 * np.pi * x / 150) + 250 * np.cos(2 * np.pi * y / 170) + 200 * np.sin(z / 25)


def dice(first: sitk.Image, second: sitk.Image) -> float:
    """Overlap of two masks on one grid, 0..1."""
    a, b = (sitk.GetArrayFromImage(mask) > 0 for mask in (first, second))
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def same_geometry(first: sitk.Image, second: sitk.Image) -> bool:
    """Whether size, spacing, origin and direction are equal to the last bit."""
    return Grid.of(first) == Grid.of(second)
