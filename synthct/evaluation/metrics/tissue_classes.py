"""Errors by tissue: air, soft tissue and bone as the reference CT has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair

Tissue = Literal["air", "soft", "bone"]
AIR_BELOW_HU, BONE_ABOVE_HU = -200.0, 250.0  # the limits themselves are soft tissue


def tissue_mae(tissue: Tissue) -> Callable[[VolumePair], float]:
    """The metric MAE_t in HU: the mean of |sCT(i) - CT(i)| over the voxels i of the mask whose tissue is t.

    Air is CT < -200 HU, soft tissue -200 to 250 HU, bone CT > 250 HU, of the reference. 0 for equal images, NaN where
    the mask holds none of it.
    """

    def mae_of_tissue(pair: VolumePair) -> float:
        return _mean(np.abs(_errors(pair, tissue)))

    return mae_of_tissue


def tissue_mean_error(tissue: Tissue) -> Callable[[VolumePair], float]:
    """The metric ME_t in HU: the mean of sCT(i) - CT(i) over the same voxels as :func:`tissue_mae`."""

    def mean_error_of_tissue(pair: VolumePair) -> float:
        return _mean(_errors(pair, tissue))

    return mean_error_of_tissue


def _errors(pair: VolumePair, tissue: Tissue) -> np.ndarray:
    ct = pair.reference()
    in_tissue = {
        "air": lambda: ct < AIR_BELOW_HU,
        "soft": lambda: (ct >= AIR_BELOW_HU) & (ct <= BONE_ABOVE_HU),
        "bone": lambda: ct > BONE_ABOVE_HU,
    }[tissue]()
    return pair.difference()[in_tissue]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
