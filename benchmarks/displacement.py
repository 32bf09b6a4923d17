"""By how much the anatomy in an sCT is shifted against the true CT."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from benchmarks.equal_time import WINDOW_HU
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

MARGIN_MM = 6.0  # below the skin: the outline of the MR's head, which no method moves, would hold the sCT in place
SHARE, SEED = 0.2, 1  # of the voxels that are compared


def shift_mm(sct_hu: np.ndarray, truth: SliceStack) -> np.ndarray:
    """The translation from the true CT to the sCT, mm, along slices, rows and columns (3,); mean squares inside.

    Args:
        sct_hu: (slices, rows, cols).
        truth: a stack of the same grid, with the true CT.
    """
    spacing = truth.info["grid"]["spacing_mm_xyz"]
    inside = ndimage.distance_transform_edt(truth.ct != OUTSIDE, spacing[::-1]) > MARGIN_MM

    def image(hu: np.ndarray) -> sitk.Image:
        made = sitk.GetImageFromArray(np.clip(hu, *WINDOW_HU).astype(np.float32))
        made.SetSpacing(spacing)
        return made

    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.SetSpacing(spacing)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SHARE, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 0.01, 60, gradientMagnitudeTolerance=1e-6)
    method.SetInitialTransform(sitk.TranslationTransform(3))
    found = method.Execute(image(truth.ct), image(sct_hu))
    return np.array(found.GetParameters()[::-1])
