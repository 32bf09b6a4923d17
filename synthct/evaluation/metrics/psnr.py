"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair

PEAK_HU = 4095.0  # the range of a 12-bit CT, whatever the image's own maximum


def psnr(pair: VolumePair, peak_hu: float = PEAK_HU) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal images (Wolterink et al. 2017, eq. 5).

    PSNR = 20 log10(peak / RMSE), RMSE = sqrt(1/N sum_i (sCT(i) - CT(i))^2), i over the N voxels of the mask.

    Eq. 5 is printed with MSE where RMSE stands here. With MSE the paper's own table is impossible: 32.3 dB would
    be an MSE of 99 HU^2, so an RMSE of 10 HU, below the MAE of 73.7 HU, which no set of numbers can have. With RMSE
    it is 99 HU, which fits.
    """
    rmse = math.sqrt(np.square(pair.difference()).mean())
    return 20 * math.log10(peak_hu / rmse) if rmse > 0 else math.inf


def psnr_synthrad2023(pair: VolumePair) -> float:
    """PSNR of SynthRAD2023: of both CTs clipped to [-1024, 3000] HU, which gives the peak 4024."""
    return psnr(pair, 4024.0)
