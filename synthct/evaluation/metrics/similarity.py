"""Structural similarity in windows of 7 x 7 x 7 voxels: SSIM of SynthRAD2023 and masked MS-SSIM of SynthRAD2025."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthct.evaluation.metrics.volume_pair import VolumePair

RANGE_2023_HU, RANGE_2025_HU = (-1024.0, 3000.0), (-1024.0, 3071.0)
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
MIN_SIZE = 97  # voxels an axis, so that a window fits at the fifth scale
_WINDOW, _K1, _K2 = 7, 0.01, 0.03
_BORDER = _WINDOW // 2  # voxels at the border of the volume, whose windows reach outside


def ssim(pair: VolumePair) -> float:
    """SSIM of SynthRAD2023 (github.com/SynthRAD2023/metrics), 1 for equal images.

    Both CTs, clipped to [-1024, 3000] HU, are -1024 HU outside the mask M and are shifted by 1024. In every window

        SSIM = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2)),

    m means, s^2 sample variances, sxy sample covariance, C1 = (0.01 R)^2, C2 = (0.03 R)^2, R = 4024 (Wang et al. 2004
    as scikit-image computes it). It is averaged over M without the outer 3 voxels of the volume; NaN where M lies in
    these alone.
    """
    low_hu, high_hu = RANGE_2023_HU
    mask = pair.mask & _inner(pair.mask.shape)
    if not mask.any():
        return math.nan
    local = _Local.of(*_shifted(pair, low_hu, high_hu), mask)
    c1, c2 = _constants(high_hu - low_hu)
    return float(np.mean(local.luminance(c1) * (2 * local.sxy + c2) / (local.sxx + local.syy + c2)))


def ms_ssim(pair: VolumePair) -> float:
    """Masked MS-SSIM of SynthRAD2025, 1 for equal images.

    MS-SSIM = prod_j mean_M [ L^w_j C^w_j S^w_j ] over five scales j (Wang et al. 2003; there luminance counts at the
    coarsest scale alone, in the published code of the challenge at every one). L, C and S are luminance, contrast and
    structure in the windows of :func:`ssim`, negative ones 0, C3 = C2 / 2. CTs clipped to [-1024, 3071] HU (as
    github.com/SynthRAD2025/evaluation; github.com/SynthRAD2025/metrics clips at 3000),
    -1024 HU outside the mask M, shifted by 1024, R = 4095. Volumes of fewer than 97 voxels along an axis are padded
    with their border. To the next scale: the mean of 2 x 2 x 2 voxels (0 beyond the border), then every second voxel;
    the mask every second voxel.

    NaN where no voxel of the mask is left at a scale.
    """
    low_hu, high_hu = RANGE_2025_HU
    padding = [((missing := max(0, MIN_SIZE - size)) // 2, missing - missing // 2) for size in pair.mask.shape]
    x, y = (np.pad(image, padding, mode="edge") for image in _shifted(pair, low_hu, high_hu))
    mask = np.pad(pair.mask, padding, mode="edge")
    c1, c2 = _constants(high_hu - low_hu)
    c3 = c2 / 2
    product = 1.0
    for weight in SCALE_WEIGHTS:
        inner = mask & _inner(mask.shape)
        if not inner.any():
            return math.nan
        local = _Local.of(x, y, inner)
        sx_sy = np.sqrt(np.clip(local.sxx, 0, None)) * np.sqrt(np.clip(local.syy, 0, None))
        contrast = (2 * sx_sy + c2) / (local.sxx + local.syy + c2)
        structure = np.clip((local.sxy + c3) / (sx_sy + c3), 0, None)
        product *= min(1.0, float(np.mean((local.luminance(c1) * np.clip(contrast, 0, None) * structure) ** weight)))
        x, y, mask = _halved(x), _halved(y), mask[::2, ::2, ::2]
    return product


def _shifted(pair: VolumePair, low_hu: float, high_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """Both CTs clipped, from 0 upwards, 0 outside the mask; float32."""
    sct, ct = (
        np.where(pair.mask, np.clip(image, low_hu, high_hu) - low_hu, 0).astype(np.float32)
        for image in (pair.sct, pair.ct)
    )
    return sct, ct


def _constants(data_range: float) -> tuple[float, float]:
    return (_K1 * data_range) ** 2, (_K2 * data_range) ** 2


def _inner(shape: tuple[int, ...]) -> np.ndarray:
    inner = np.zeros(shape, bool)
    inner[(slice(_BORDER, -_BORDER),) * 3] = True
    return inner


@dataclass(frozen=True)
class _Local:
    """Means, sample variances and covariance in the window around each voxel of a mask; float64 (voxels,)."""

    mx: np.ndarray
    my: np.ndarray
    sxx: np.ndarray
    syy: np.ndarray
    sxy: np.ndarray

    @staticmethod
    def of(x: np.ndarray, y: np.ndarray, mask: np.ndarray) -> _Local:
        """``mask`` is bool, at least a voxel, none of them within 3 voxels of the volume's border."""
        (box,) = ndimage.find_objects(mask.astype(np.uint8))
        inside = mask[box]
        around = tuple(slice(part.start - _BORDER, part.stop + _BORDER) for part in box)
        x, y = x[around], y[around]
        unbiased = _WINDOW**3 / (_WINDOW**3 - 1)

        def mean(image: np.ndarray) -> np.ndarray:
            filtered = ndimage.uniform_filter(image, _WINDOW)
            return filtered[(slice(_BORDER, -_BORDER),) * 3][inside].astype(np.float64)

        mx, my = mean(x), mean(y)
        return _Local(
            mx,
            my,
            unbiased * (mean(x * x) - mx * mx),
            unbiased * (mean(y * y) - my * my),
            unbiased * (mean(x * y) - mx * my),
        )

    def luminance(self, c1: float) -> np.ndarray:
        return (2 * self.mx * self.my + c1) / (self.mx**2 + self.my**2 + c1)


def _halved(image: np.ndarray) -> np.ndarray:
    """The mean of a voxel and the one before it along each axis (0 before the first), of every second voxel."""
    for axis in range(3):
        image = np.moveaxis(image, axis, 0)
        half = image[::2] / 2
        half[1:] += image[1:-1:2] / 2
        image = np.moveaxis(half, 0, axis)
    return np.ascontiguousarray(image)
