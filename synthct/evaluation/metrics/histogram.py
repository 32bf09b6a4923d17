"""How far the distribution of HU is from the reference's, wherever the voxels lie."""

from __future__ import annotations

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair


def histogram_distance(pair: VolumePair) -> float:
    """1-Wasserstein (earth mover's) distance in HU between the HU of sCT and CT inside the mask; 0 for equal images.

    W = integral |F_sCT(h) - F_CT(h)| dh of the two cumulative distributions; as both have one number of voxels N it is
    1/N sum_i |sCT_(i) - CT_(i)| of the values in rising order.

    It is in HU and needs no bins, and a distribution shifted by 10 HU is 10 HU away, which a difference of histograms
    bin by bin cannot distinguish from one shifted by 1000 HU. It never exceeds the MAE; the rest is misplacement.
    """
    sct, ct = np.sort(pair.sct[pair.mask]), np.sort(pair.reference())
    return float(np.abs(sct.astype(np.float64) - ct).mean())
