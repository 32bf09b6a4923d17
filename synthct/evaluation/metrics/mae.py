"""Mean absolute error."""

from __future__ import annotations

import numpy as np

from synthct.evaluation.metrics.masked import masked_difference


def mae(sct: np.ndarray, ct: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute error in HU, 0 for equal images (Wolterink et al. 2017, eq. 4).

    MAE = 1/N sum_i |CT(i) - sCT(i)|, where i runs over the N voxels of the mask.

    Args:
        sct: synthetic CT in HU, any shape.
        ct: reference CT in HU, same shape.
        mask: bool, same shape.

    Raises:
        ValueError: the shapes differ or the mask is empty.
    """
    return float(np.abs(masked_difference(sct, ct, mask)).mean())
