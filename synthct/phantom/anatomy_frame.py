"""From a point in the scanner to a point in the anatomy's frame: pose, the patient's own shape, and what moved."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from synthct.phantom.fields import smooth_noise, smooth_step
from synthct.phantom.parameters import PatientParameters

FIELD_STEP_MM = 5.0
"""Spacing on which the smooth displacement is stored; it is interpolated linearly between."""

CONDYLE_AXIS = (-6.0, -48.0)  # (y, z) of the jaw's hinge

LANDMARKS = {
    "vertex": (0.0, 4.0, 82.0),
    "glabella": (0.0, -92.0, -6.0),
    "nasion": (0.0, -92.0, -20.0),
    "external_occipital_protuberance": (0.0, 93.0, -30.0),
    "sella": (0.0, -18.0, -27.0),
    "basion": (0.0, 2.0, -66.0),
    "left_lens": (31.5, -82.0, -27.0),
    "right_lens": (-31.5, -82.0, -27.0),
    "left_ear_canal": (60.0, 4.0, -37.0),
    "right_ear_canal": (-60.0, 4.0, -37.0),
    "menton": (0.0, -83.0, -132.0),
    "axis_body": (0.0, -11.0, -105.0),
    "fourth_vertebra": (0.0, -13.5, -142.5),
}


def misalignment(points: NDArray, patient: PatientParameters, largest_mm: float) -> NDArray:
    """Displacement (mm) at points (n, 3) of the anatomy's frame of what moves between MR and CT.

    The jaw turns about the condyles, the neck bends below the skull, tongue and pharynx shift, the nasal mucosa swells
    (figure 2 of Wolterink et al. 2017); cranium and brain stay. The largest displacement in view is ``largest_mm``.
    """
    x, y, z = points.T
    shift = np.zeros_like(points)
    if largest_mm == 0.0:
        return shift
    front = smooth_step(y, -8.0, -26.0)
    jaw = front * smooth_step(z, -88.0, -101.0)
    angle = patient.jaw_sign * largest_mm / 105.0
    shift[:, 1] += jaw * -angle * (z - CONDYLE_AXIS[1]) * 0.9
    shift[:, 2] += jaw * angle * (y - CONDYLE_AXIS[0]) * 0.9
    neck = smooth_step(z, -66.0, -175.0) * smooth_step(y, -34.0, -12.0)
    shift[:, 1] += 0.95 * patient.neck_sign * largest_mm * neck
    shift[:, 2] += 0.22 * patient.neck_sign * largest_mm * neck * np.clip((y - 5) / 40, -1, 1)
    tongue = np.exp(-(x**2) / 400 - (y + 44) ** 2 / 600 - (z + 98) ** 2 / 350)
    shift[:, 1] += 0.45 * patient.neck_sign * largest_mm * tongue
    nose = np.exp(-(x**2) / 300 - (y + 70) ** 2 / 700 - (z + 62) ** 2 / 200)
    shift[:, 0] += 0.30 * largest_mm * nose
    in_view = z > -160.0
    return shift * (largest_mm / max(np.linalg.norm(shift[in_view], axis=1).max(), 1e-6))


@dataclass(frozen=True)
class AnatomyMap:
    """Maps physical MR points (LPS, mm) to the anatomy's frame: inverse pose, scale, then the patient's warp."""

    patient: PatientParameters

    def pose(self) -> sitk.Euler3DTransform:
        """Rotation and shift from the scaled anatomy to the MR scanner."""
        return rigid_transform(self.patient.pose_mm, self.patient.pose_deg)

    def to_anatomy(self, points: NDArray) -> NDArray:
        """Physical MR points (n, 3) to anatomy points (n, 3)."""
        matrix, offset = _matrix_offset(self.pose())
        posed = (points - offset) @ matrix  # the inverse of a rotation is its transpose
        scaled = posed / np.array(self.patient.scale)
        return scaled + self._warp(scaled)

    def to_physical(self, points: NDArray) -> NDArray:
        """Anatomy points (n, 3) to physical MR points, by fixed-point iteration on the small warp."""
        scaled = points.copy()
        for _ in range(8):
            scaled = points - self._warp(scaled)
        matrix, offset = _matrix_offset(self.pose())
        return (scaled * np.array(self.patient.scale)) @ matrix.T + offset

    def _warp(self, points: NDArray) -> NDArray:
        knots, fields = self.warp_fields
        grid = [(p - knots[0]) / (knots[1] - knots[0]) for p in points.T]
        return np.stack(
            [ndimage.map_coordinates(f, grid[::-1], order=3, mode="nearest", prefilter=True) for f in fields], axis=1
        )

    @cached_property
    def warp_fields(self) -> tuple[NDArray, list[NDArray]]:
        """Knots (the same along x, y and z) and the displacement along x, y, z (mm) on them."""
        knots = np.arange(-260.0, 261.0, 13.0, dtype=np.float32)
        rng = self.patient.rng(8)
        return knots, [self.patient.warp_mm * smooth_noise(rng, (knots, knots, knots), 52.0) for _ in range(3)]


def rigid_transform(shift_mm: tuple[float, ...], angles_deg: tuple[float, ...]) -> sitk.Euler3DTransform:
    """Rotation about the middle of the head (the origin), then a shift; LPS, mm."""
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*(float(np.deg2rad(a)) for a in angles_deg))
    transform.SetTranslation(tuple(float(v) for v in shift_mm))
    return transform


def _matrix_offset(transform: sitk.Euler3DTransform) -> tuple[NDArray, NDArray]:
    return np.array(transform.GetMatrix()).reshape(3, 3), np.array(transform.GetTranslation())


def scanner_to_anatomy(
    anatomy: AnatomyMap,
    lower: NDArray,
    upper: NDArray,
    *,
    rigid: sitk.Euler3DTransform | None = None,
    misalignment_mm: float = 0.0,
) -> sitk.DisplacementFieldTransform:
    """Transform from a scanner's physical points within a box (mm) to anatomy points, ready for resampling.

    With ``rigid`` (MR to CT) and ``misalignment_mm`` it is the CT's.
    """
    size = np.ceil((upper - lower) / FIELD_STEP_MM).astype(int) + 1
    axes = [low + FIELD_STEP_MM * np.arange(n) for low, n in zip(lower, size, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    source = points
    if rigid is not None:
        matrix, offset = _matrix_offset(rigid)
        source = (points - offset) @ matrix
    target = anatomy.to_anatomy(source)
    target = target + misalignment(target, anatomy.patient, misalignment_mm)
    displacement = sitk.GetImageFromArray((target - points).reshape(*size[::-1], 3), isVector=True)
    displacement.SetOrigin([float(v) for v in lower])
    displacement.SetSpacing([FIELD_STEP_MM] * 3)
    return sitk.DisplacementFieldTransform(sitk.Cast(displacement, sitk.sitkVectorFloat64))
