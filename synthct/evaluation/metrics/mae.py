"""Mean absolute error."""

from __future__ import annotations

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair


def mae(pair: VolumePair) -> float:
    """Mean absolute error in HU, 0 for equal images (Wolterink et al. 2017, eq. 4).

    MAE = 1/N sum_i |sCT(i) - CT(i)|, where i runs over the N voxels of the mask.
    """
    return float(np.abs(pair.difference()).mean())
