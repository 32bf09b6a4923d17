"""Fillings in the teeth and the streaks that they draw through the CT."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from skimage.transform import iradon, radon

from synthct.phantom.parameters import PatientParameters

# Crowns of molars and premolars in the upper jaw, which stays with the skull: (x, y, z) in the anatomy's frame, mm.
CROWNS = [
    (side * x, y, -90.0) for x, y in ((28.5, -44.0), (26.5, -54.0), (24.0, -63.0), (21.5, -70.0)) for side in (1, -1)
]
FILLING_RADIUS_MM = 3.2
FILLING_HU = 12000.0  # amalgam; scanners cut it at 3071
ANGLES = 180  # views over half a turn, enough for streaks as sharp as a voxel


def add_fillings(hu: NDArray, grid: sitk.Image, crowns_mm: NDArray, patient: PatientParameters) -> None:
    """Fills teeth with amalgam at physical points (n, 3), in place; ``hu`` is (z, y, x) on an axial grid.

    The rays through metal are measured too low (beam hardening) and with few photons (noise); both errors are put
    through filtered back projection, as a scanner does: De Man et al. 1999, IEEE Trans Nucl Sci 46:691.
    """
    rng = patient.rng(25)
    axes = [np.arange(n) * s + o for n, s, o in zip(grid.GetSize(), grid.GetSpacing(), grid.GetOrigin(), strict=True)]
    x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
    voxel_mm = grid.GetSpacing()[0]
    share = np.zeros(hu.shape, np.float32)
    for cx, cy, cz in crowns_mm:
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - FILLING_RADIUS_MM
        np.maximum(share, np.clip(0.5 - distance / voxel_mm, 0, 1), out=share)
    angles = np.linspace(0.0, 180.0, ANGLES, endpoint=False)
    for level in np.flatnonzero(share.any(axis=(1, 2))):
        through_mm = radon(share[level], angles, circle=False) * voxel_mm  # metal on each ray
        hardened = -0.016 * through_mm**2
        starved = rng.standard_normal(through_mm.shape) * 0.1 * through_mm
        error = iradon(hardened + starved, angles, output_size=max(hu.shape[1:]), filter_name="hann", circle=False)
        # From an attenuation a pixel to HU: water has 0.02 a mm.
        hu[level] += (error[: hu.shape[1], : hu.shape[2]] / (0.02 * voxel_mm) * 1000.0).astype(np.float32)
        hu[level] += share[level] * np.float32(FILLING_HU)
