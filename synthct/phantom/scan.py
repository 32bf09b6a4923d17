"""The two scanners: their grids, resolution, noise and MR bias field."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from synthct.phantom.canvas import Canvas
from synthct.phantom.fields import Axes, smooth_noise, smooth_step
from synthct.phantom.parameters import PatientParameters
from synthct.tuples import triple_of

CANVAS_SPACING_MM = 0.95
CANVAS_LOWER = np.array((-94.0, -128.0, -188.0))
CANVAS_UPPER = np.array((94.0, 108.0, 98.0))

# Wolterink et al. 2017: 183 sagittal slices of 1.00 mm, 288 x 288 pixels of 0.87 mm; CT 0.90 x 0.90 x 1.00 mm.
MR_SIZE, MR_SPACING = (288, 288, 183), (0.87, 0.87, 1.0)
CT_SIZE, CT_SPACING = (300, 300, 252), (0.9, 0.9, 1.0)
MR_DIRECTION = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # i posterior, j inferior, k right
MR_CENTRE, CT_CENTRE = (0.0, -8.0, -28.0), (0.0, 10.0, -30.0)

OUTSIDE_MM = 40.0
"""The skin distance is cut here; nothing outside the head looks further."""


def reference_grid(
    size: tuple[int, ...],
    spacing: tuple[float, ...],
    centre: tuple[float, ...],
    direction: tuple[float, ...],
    scale: float,
) -> sitk.Image:
    """Empty image of the same field of view at ``scale`` times the spacing."""
    new_size = [max(round(n / scale), 1) for n in size]
    image = sitk.Image(new_size, sitk.sitkUInt8)
    image.SetSpacing([s * scale for s in spacing])
    image.SetDirection(direction)
    middle = np.array([(n - 1) / 2 * s * scale for n, s in zip(new_size, spacing, strict=True)])
    image.SetOrigin((np.array(centre) - np.array(direction).reshape(3, 3) @ middle).tolist())
    return image


def mr_grid(scale: float) -> sitk.Image:
    """The MR's grid: sagittal, slices last."""
    return reference_grid(MR_SIZE, MR_SPACING, MR_CENTRE, MR_DIRECTION, scale)


def ct_grid(scale: float) -> sitk.Image:
    """The CT's grid: axial."""
    return reference_grid(CT_SIZE, CT_SPACING, CT_CENTRE, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), scale)


def grid_bounds(image: sitk.Image, margin_mm: float = 8.0) -> tuple[NDArray, NDArray]:
    """Physical corners of an image, with a margin."""
    corners = [
        image.TransformContinuousIndexToPhysicalPoint(
            [(n - 0.5) * c for n, c in zip(image.GetSize(), bits, strict=True)]
        )
        for bits in np.ndindex(2, 2, 2)
    ]
    return np.min(corners, axis=0) - margin_mm, np.max(corners, axis=0) + margin_mm


def canvas_axes(scale: float) -> Axes:
    """Axes of the painting, fine enough for both scanners."""
    step = CANVAS_SPACING_MM * scale
    return triple_of(
        np.arange(low, high + step, step, dtype=np.float32)
        for low, high in zip(CANVAS_LOWER, CANVAS_UPPER, strict=True)
    )


def sample(canvas: Canvas, volumes: list[NDArray], grid: sitk.Image, to_anatomy: sitk.Transform) -> list[NDArray]:
    """Canvas volumes, and last the skin distance, on a scanner's grid: arrays (k, j, i); 0 where nothing was painted.

    All are resampled in one pass, since finding the point is what takes the time.
    """
    within = OUTSIDE_MM - np.minimum(canvas.outside, OUTSIDE_MM)
    image = sitk.Compose([sitk.GetImageFromArray(volume) for volume in (*volumes, within)])
    image.SetSpacing([canvas.spacing_mm] * 3)
    image.SetOrigin([float(axis[0]) for axis in canvas.axes])
    resampled_image = sitk.Resample(image, grid, to_anatomy, sitk.sitkLinear, 0.0)
    resampled = sitk.GetArrayViewFromImage(resampled_image)
    *values, within = (np.ascontiguousarray(resampled[..., c]) for c in range(len(volumes) + 1))
    return [*values, OUTSIDE_MM - within]


def acquire_mr(
    signal: NDArray, spacing: tuple[float, ...], patient: PatientParameters, *, bias_strength: float, noise: float
) -> NDArray:
    """Scanner units, int16: point spread, flex-coil bias, gain, Rician noise (Gudbjartsson & Patz 1995, MRM 34:910)."""
    rng = patient.rng(20)
    signal = ndimage.gaussian_filter(signal, 0.35)
    axes = triple_of(
        np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(signal.shape[::-1], spacing, strict=True)
    )
    if bias_strength:
        bias = smooth_noise(rng, axes, 110.0)
        signal *= np.exp(bias_strength * np.clip(bias, -2, 2))
        # Coils end at the neck: the signal falls off towards the lower edge (axis j, from superior to inferior).
        fall_off = 1.0 - 2.2 * bias_strength * smooth_step(axes[1], 185.0, 255.0)
        signal *= np.maximum(fall_off, 0.05)[None, :, None]
    signal *= patient.scanner_gain
    real = signal + rng.standard_normal(signal.shape, np.float32) * np.float32(noise)
    imaginary = rng.standard_normal(signal.shape, np.float32) * np.float32(noise)
    return np.clip(np.round(np.hypot(real, imaginary)), 0, 32767).astype(np.int16)


def acquire_ct(
    hu: NDArray, texture: NDArray, spacing: tuple[float, ...], patient: PatientParameters, *, noise_hu: float
) -> NDArray:
    """HU, int16: tissue texture and noise, both smoothed by the reconstruction kernel."""
    rng = patient.rng(21)

    def grain(sigma_mm: float) -> NDArray:
        sigma = [sigma_mm / s for s in spacing[::-1]]
        values = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), sigma)
        return values / values.std()

    hu = hu + texture * grain(1.3)
    hu = ndimage.gaussian_filter(hu, 0.35)
    hu += noise_hu * grain(0.6)
    return np.clip(np.round(hu), -1024, 3071).astype(np.int16)
