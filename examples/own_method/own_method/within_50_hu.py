"""A metric of your own: the share of the head in which an sCT is right to 50 HU."""

import numpy as np

from synthct.evaluation.metrics import Metric, VolumePair


def within_50_hu(pair: VolumePair) -> float:
    """Percent of the voxels of the mask with |sCT - CT| <= 50 HU; 100 for equal images."""
    return float(100 * (np.abs(pair.difference()) <= 50).mean())


WITHIN_50_HU = Metric(
    column="within_50_hu_percent",
    title="share within 50 HU",
    unit="%",
    lower_is_better=False,
    compute=within_50_hu,
    formula="100 mean(|sCT - CT| <= 50 HU)",
    source="own-method",
)
