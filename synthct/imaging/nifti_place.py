"""Where a NIfTI volume lies: from its qform, its sform and its pixdim, where they say the same.

Programs choose one or the other of the three: nibabel and MRtrix take the sform with its lengths, ITK the sform's
directions with the lengths of pixdim, and where neither code is set each assumes an orientation of its own. So a file
is read only where the choice makes no difference that matters. Format: nifti1.h, "3D IMAGE (VOLUME) ORIENTATION".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synthct.imaging.image_header import SKEW, HeaderError, check_possible

AGREEMENT_MM = 1.0  # at any corner: rounding of both, and no shift that matters to a plan
_SAME_LENGTH = 1e-5  # relative; both are rounded to 32 bits


def nifti_place(
    qform: Sequence[float] | None,
    sform: Sequence[float] | None,
    spacing_mm: Sequence[float],
    handedness: float,
    sizes: Sequence[int],
) -> np.ndarray:
    """The matrix (3, 4) from the index (x, y, z) of a voxel to its point in mm, RAS.

    Args:
        qform: quatern_b, c, d and qoffset_x, y, z; None where qform_code is not set.
        sform: srow_x, y, z; None where sform_code is not set.
        spacing_mm: pixdim[1..3].
        handedness: pixdim[0], negative of left-handed axes (of the qform).
        sizes: voxels along x, y, z.

    Raises:
        HeaderError: nothing says where the volume lies, or two of qform, sform and pixdim differ by more than
            ``AGREEMENT_MM`` at a corner, or the numbers cannot be a place.
    """
    if qform is not None:
        check_possible(qform, "qform")
    if sform is None:
        if qform is None:
            raise HeaderError(
                "does not say how it is oriented (qform_code and sform_code are 0); convert it from DICOM anew, or, "
                "where you know that the matrix in its header is right, set the code, such as with "
                "fslorient -setsformcode 1"
            )
        return _affine_of_quaternion(qform, spacing_mm, handedness)
    check_possible(sform, "sform")
    affine = np.reshape(np.asarray(sform, float), (3, 4))
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    if not lengths.all():
        raise HeaderError("has an axis of length 0 in its sform; correct its header")
    if qform is not None:
        apart_mm = _apart_mm(_affine_of_quaternion(qform, spacing_mm, handedness) - affine, sizes)
        if not apart_mm <= AGREEMENT_MM:
            raise HeaderError(
                f"says in its qform and its sform two places that are {apart_mm:.3g} mm apart; find out which is right "
                "and copy it over the other, such as with fslorient -copyqform2sform"
            )
    directions = affine[:, :3] / lengths
    if not np.abs(directions.T @ directions - np.eye(3)).max() <= SKEW:
        raise HeaderError("has axes that are not perpendicular; resample it to a grid whose axes are")
    longer = np.column_stack([affine[:, :3] * (np.asarray(spacing_mm) / lengths - 1), np.zeros(3)])
    apart_mm = _apart_mm(longer, sizes)
    if not apart_mm <= AGREEMENT_MM:
        raise HeaderError(
            f"has voxels of {_millimetres(lengths)} in its sform but of {_millimetres(spacing_mm)} in its pixdim, "
            f"{apart_mm:.3g} mm apart at a corner; find out which is right and save it with one spacing (where the "
            "sform is right, such as with mrconvert IN.nii.gz OUT.nii.gz)"
        )
    if np.allclose(lengths, spacing_mm, rtol=_SAME_LENGTH, atol=0):  # the same, and rounded once less
        affine[:, :3] *= np.asarray(spacing_mm) / lengths
    return affine


def _affine_of_quaternion(numbers: Sequence[float], spacing_mm: Sequence[float], handedness: float) -> np.ndarray:
    """The matrix (3, 4) of a quaternion (b, c, d) and an offset; nifti1.h, method 2."""
    b, c, d, *offset = numbers
    length = math.sqrt(b * b + c * c + d * d)
    if length > 1 + 1e-3:  # programs make different rotations of it
        raise HeaderError(f"has a qform whose quaternion has the length {length:.4g}, above 1; correct its header")
    if length > 1:
        b, c, d = b / length, c / length, d / length
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    axes = rotation * spacing_mm * (1, 1, -1 if handedness < 0 else 1)
    return np.column_stack([axes, offset])


def _apart_mm(difference: np.ndarray, sizes: Sequence[int]) -> float:
    """The largest distance at a corner of the volume that a difference (3, 4) of two matrices makes."""
    corners = np.array([(*np.multiply(pick, np.subtract(sizes, 1)), 1) for pick in np.ndindex(2, 2, 2)])
    return float(np.linalg.norm(corners @ difference.T, axis=1).max())


def _millimetres(lengths: Sequence[float] | np.ndarray) -> str:
    return f"{' x '.join(f'{length:.4g}' for length in lengths)} mm"
