"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from synthct.evaluation.metrics.masked import masked_difference

PEAK_HU = 4095.0  # the range of a 12-bit CT, whatever the image's own maximum


def psnr(sct: np.ndarray, ct: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal images (Wolterink et al. 2017, eq. 5).

    PSNR = 20 log10(4095 / RMSE), RMSE = sqrt(1/N sum_i (CT(i) - sCT(i))^2), i over the N voxels of the mask.

    Eq. 5 is printed with MSE where RMSE stands here. With MSE the paper's own table is impossible: 32.3 dB would
    be an MSE of 99 HU^2, so an RMSE of 10 HU, below the MAE of 73.7 HU, which no set of numbers can have. With RMSE
    it is 99 HU, which fits.

    Args:
        sct: synthetic CT in HU, any shape.
        ct: reference CT in HU, same shape.
        mask: bool, same shape.

    Raises:
        ValueError: the shapes differ or the mask is empty.
    """
    rmse = math.sqrt(np.square(masked_difference(sct, ct, mask)).mean())
    return 20 * math.log10(PEAK_HU / rmse) if rmse > 0 else math.inf
