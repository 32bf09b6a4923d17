"""Whether a head mask can be a head's."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

PLAUSIBLE_VOLUME_L = (2.0, 7.5)  # an adult or child's head with some or much neck


def volume_litres(mask: sitk.Image) -> float:
    """Volume of a mask in litres."""
    voxels = int(sitk.GetArrayViewFromImage(mask).astype(bool).sum())
    return voxels * float(np.prod(mask.GetSpacing())) * 1e-6
