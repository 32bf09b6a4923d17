"""Axes of an image that are perpendicular but for a small skew, made perpendicular.

Files whose directions were rounded, or that an affine registration has touched, have axes up to some thousandths off
the perpendicular. All computations here need perpendicular ones.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.image_header import SKEW

LARGEST_ERROR_MM = 1.0  # at a corner, as qform and sform of a NIfTI file may differ
_ROUNDING = 1e-6  # of directions as text or 32-bit numbers; such axes stay as they are


def skew_of(image: sitk.Image) -> float:
    """The largest cosine between two axes of a 3-D image; 0 where all are perpendicular."""
    axes = np.reshape(image.GetDirection(), (3, 3))
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def with_perpendicular_axes(image: sitk.Image) -> tuple[sitk.Image, float]:
    """A 3-D image whose axes are turned to the nearest perpendicular ones around its middle; voxels and spacing stay.

    The nearest orthogonal matrix in the Frobenius norm is the orthogonal factor of the polar decomposition (Higham
    1986, SIAM J Sci Stat Comput 7:1160). Left-handed axes stay left-handed.

    Args:
        image: one whose :func:`skew_of` is at most ``SKEW``.

    Returns:
        The image, the same one where nothing is to be done, and how far a corner of it has moved (mm).

    Raises:
        ValueError: the axes are further from perpendicular.
    """
    skew = skew_of(image)
    if not skew <= SKEW:
        raise ValueError(f"axes skewed by {skew:.3g}")
    if skew <= _ROUNDING:
        return image, 0.0
    axes = np.reshape(image.GetDirection(), (3, 3))
    left, _, right = np.linalg.svd(axes)
    moved = axes - left @ right
    half_mm = (np.array(image.GetSize()) - 1) / 2 * image.GetSpacing()
    corners_mm = [np.linalg.norm(moved @ (half_mm * signs)) for signs in np.array(list(np.ndindex(2, 2, 2))) * 2 - 1]
    squared = sitk.Image(image)
    squared.SetDirection((left @ right).ravel().tolist())
    squared.SetOrigin((np.array(image.GetOrigin()) + moved @ half_mm).tolist())
    return squared, float(max(corners_mm))
