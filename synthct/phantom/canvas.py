"""A head is painted, not voted: bodies are laid over each other with soft edges, so that no edge is a staircase."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthct.phantom.fields import Axes, Volume, smooth_noise
from synthct.phantom.tissue_properties import AIR, Contrast, Tissue
from synthct.tuples import triple_of

Point = tuple[float, float, float]
Corner = Sequence[float] | NDArray


@dataclass(frozen=True)
class Ellipsoid:
    """Ellipsoid with centre and semi-axes (x, y, z) in mm, pitched about the left-right axis (degrees, front up)."""

    centre: Point
    radii: Point
    pitch_deg: float = 0.0
    power: float = 2.0

    def bounds(self) -> tuple[NDArray, NDArray]:
        """Lower and upper corner (x, y, z) in mm."""
        reach = np.array(self.radii, float)
        if self.pitch_deg:
            reach[1:] = max(reach[1:])
        return np.array(self.centre) - reach, np.array(self.centre) + reach

    def distance(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray:
        """Signed distance in mm, exact to first order near the surface."""
        x, y, z = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        if self.pitch_deg:
            c, s = np.cos(np.deg2rad(self.pitch_deg)), np.sin(np.deg2rad(self.pitch_deg))
            y, z = c * y + s * z, -s * y + c * z
        rx, ry, rz = self.radii
        if self.power != 2.0:
            p = np.float32(self.power)
            u, v, w = np.abs(x / rx), np.abs(y / ry), np.abs(z / rz)
            k0 = (u**p + v**p + w**p) ** (1 / p) + 1e-6
            slope = np.sqrt((u ** (p - 1) / rx) ** 2 + (v ** (p - 1) / ry) ** 2 + (w ** (p - 1) / rz) ** 2) / k0 ** (
                p - 1
            )
            return (k0 - 1.0) / slope
        k0 = np.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
        k1 = np.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2 + (z / rz**2) ** 2)
        return k0 * (k0 - 1.0) / (k1 + 1e-6)


@dataclass(frozen=True)
class Tube:
    """Round tube along a polyline of points (x, y, z), its radius given at each point, in mm."""

    points: Sequence[Point]
    radii: Sequence[float]

    def bounds(self) -> tuple[NDArray, NDArray]:
        """Lower and upper corner (x, y, z) in mm."""
        points, radii = np.array(self.points, float), np.array(self.radii, float)[:, None]
        return (points - radii).min(axis=0), (points + radii).max(axis=0)

    def distance(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray:
        """Signed distance in mm to the nearest tapered segment."""
        best: NDArray | None = None
        for a, b, ra, rb in zip(self.points[:-1], self.points[1:], self.radii[:-1], self.radii[1:], strict=True):
            d = [float(q - p) for p, q in zip(a, b, strict=True)]
            length2 = sum(v * v for v in d) + 1e-9
            t = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1] + (z - a[2]) * d[2]) / length2, 0.0, 1.0)
            gap = (x - a[0] - t * d[0]) ** 2 + (y - a[1] - t * d[1]) ** 2 + (z - a[2] - t * d[2]) ** 2
            distance = np.sqrt(gap) - (ra + t * (rb - ra))
            best = distance if best is None else np.minimum(best, distance)
        assert best is not None  # a chain has two points at least
        return best


Shape = Ellipsoid | Tube


@dataclass
class Canvas:
    """MR signal and CT number on one grid in the anatomy's own frame; arrays (z, y, x), LPS, mm.

    ``outside`` is the signed distance to the skin (negative in the head), ``texture`` the SD of the tissue's own
    structure in HU; ``rough`` a noise of unit SD that makes edges uneven, so that nothing looks turned on a lathe.
    """

    axes: Axes
    contrast: Contrast
    rng: np.random.Generator
    signal: Volume = field(init=False)
    hu: Volume = field(init=False)
    texture: Volume = field(init=False)
    rough: Volume = field(init=False)
    outside: Volume = field(init=False)

    def __post_init__(self) -> None:
        shape = tuple(len(axis) for axis in self.axes[::-1])
        self.signal = np.zeros(shape, np.float32)
        self.hu = np.full(shape, AIR.hu, np.float32)
        self.texture = np.zeros(shape, np.float32)
        self.rough = smooth_noise(self.rng, self.axes, 7.0)
        self.outside = np.full(shape, 1e3, np.float32)

    @property
    def spacing_mm(self) -> float:
        """Edge of the cubic voxel."""
        return float(self.axes[0][1] - self.axes[0][0])

    def box(self, lower: Iterable[float], upper: Iterable[float], margin_mm: float = 0.0) -> tuple[slice, slice, slice]:
        """Slices (z, y, x) that hold the box between two corners (x, y, z)."""
        slices = []
        for axis, low, high in zip(self.axes, lower, upper, strict=True):
            start, stop = np.searchsorted(axis, (low - margin_mm, high + margin_mm))
            slices.append(slice(max(int(start) - 1, 0), min(int(stop) + 1, len(axis))))
        return triple_of(slices[::-1])

    def coordinates(self, box: tuple[slice, slice, slice]) -> tuple[NDArray, NDArray, NDArray]:
        """Broadcastable x, y, z of a box."""
        z, y, x = (axis[s] for axis, s in zip(self.axes[::-1], box, strict=True))
        return x[None, None, :], y[None, :, None], z[:, None, None]

    def fill(
        self, tissue: Tissue, distance: NDArray, box: tuple[slice, slice, slice] | None = None, opacity: float = 1.0
    ) -> None:
        """Lays a tissue over what is there, where ``distance`` (mm) is negative; the edge is a voxel wide."""
        box = box or (slice(None),) * 3
        cover = np.clip(0.5 - distance / self.spacing_mm, 0.0, 1.0)
        if opacity != 1.0:
            cover *= opacity
        for volume, value in (
            (self.signal, self.contrast.signal(tissue)),
            (self.hu, tissue.hu),
            (self.texture, tissue.hu_texture),
        ):
            part = volume[box]
            part += cover * (np.float32(value) - part)

    def paint(
        self,
        tissue: Tissue,
        shape: Shape,
        *,
        grow_mm: float = 0.0,
        mirrored: bool = False,
        rough_mm: float = 0.45,
        within: NDArray | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Fills a shape, grown by ``grow_mm`` and cut to where ``within`` (a full-size distance) is negative."""
        lower, upper = shape.bounds()
        for side in (1.0, -1.0) if mirrored else (1.0,):
            ends = np.sort(np.array([lower[0], upper[0]]) * side)
            box = self.box((ends[0], *lower[1:]), (ends[1], *upper[1:]), max(grow_mm, 0.0) + self.spacing_mm)
            if any(s.stop <= s.start for s in box):
                continue
            x, y, z = self.coordinates(box)
            distance = shape.distance(x * np.float32(side), y, z) - np.float32(grow_mm)
            if rough_mm:
                distance = distance + np.float32(rough_mm) * self.rough[box]
            if within is not None:
                distance = np.maximum(distance, within[box])
            self.fill(tissue, distance, box, opacity)

    def paint_bone(
        self, shape: Shape, cortex: Tissue, marrow: Tissue, cortex_mm: float, *, mirrored: bool = False
    ) -> None:
        """A bone: cortical shell of the given thickness around marrow."""
        self.paint(cortex, shape, mirrored=mirrored)
        # Rougher inside than outside: the cortex varies in thickness.
        self.paint(marrow, shape, grow_mm=-cortex_mm, mirrored=mirrored, rough_mm=0.75)
