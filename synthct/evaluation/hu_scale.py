"""The scale of an sCT, measured against its reference: the line by which HU have become its values.

The line goes through two medians, of the reference's air and of its soft tissue, which are right in poor sCTs too. The
line alone does not show a wrong scale: padding, and values cut off at the end of a window, move the air alone. A scale
changes the contrast of tissue and bone as well, so both are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AIR_BELOW_HU = -900.0  # of the reference, below it is air
SOFT_TISSUE_HU = (0.0, 80.0)
TISSUE_HU = (-200.0, 1500.0)  # fat to bone, without metal
MIN_VOXELS = 30
MIN_WRONG_FACTOR = 1.25  # a slope further from 1 than this, up or down
MAX_CUT_SLOPE = 0.9  # from air that was cut off at a window's end, or scaled, to soft tissue; of a mere shift it is 1
MAX_SPREAD = 1.2  # of tissue, relative to the reference's; poor sCTs have less than it
MIN_SPREAD_TO_LIKENESS = 0.7  # where the squared error is least, the spread equals the correlation; seldom is it less
MAX_AIR_NOISE_SHARE = 0.5  # of the air at its median: padding and ends of windows are one value


@dataclass(frozen=True)
class HuScale:
    """Values = ``slope`` x HU + ``offset``, and what distinguishes a wrong scale from a poor sCT.

    Attributes:
        spread: SD of the sCT's values in the reference's tissue and bone, relative to the SD of the reference.
        likeness: Pearson's correlation there.
        is_air_noisy: the values in the reference's air are not one value, as padding is.
    """

    slope: float
    offset: float
    spread: float
    likeness: float
    is_air_noisy: bool

    @property
    def is_wrong(self) -> bool:
        """Whether the values have certainly been scaled: air, tissue and bone say so alike."""
        if self.slope >= MIN_WRONG_FACTOR:
            return self.is_air_noisy or self.spread > MAX_SPREAD
        return self.slope <= 1 / MIN_WRONG_FACTOR and self.spread < MIN_SPREAD_TO_LIKENESS * self.likeness

    @property
    def explanation(self) -> str | None:
        """What moves the air alone, as a clause; None of HU, or of values that are merely shifted."""
        if self.slope <= MAX_CUT_SLOPE:
            return "its values had been cut off there"
        return "it had been padded with this value" if self.slope >= MIN_WRONG_FACTOR else None


def measure_scale(values: np.ndarray, reference_hu: np.ndarray) -> HuScale | None:
    """Measure an sCT's scale against its reference; None where that shows too little air, soft tissue or contrast.

    Args:
        values: of the sCT, 1-D.
        reference_hu: of the same voxels.
    """
    is_air = reference_hu < AIR_BELOW_HU
    is_soft = (reference_hu >= SOFT_TISSUE_HU[0]) & (reference_hu <= SOFT_TISSUE_HU[1])
    if min(is_air.sum(), is_soft.sum()) < MIN_VOXELS:
        return None
    air, soft = (float(np.median(values[where])) for where in (is_air, is_soft))
    air_hu, soft_hu = (float(np.median(reference_hu[where])) for where in (is_air, is_soft))
    slope = (soft - air) / (soft_hu - air_hu)

    in_tissue = (reference_hu > TISSUE_HU[0]) & (reference_hu < TISSUE_HU[1])
    tissue, tissue_hu = (hu[in_tissue].astype(np.float64) for hu in (values, reference_hu))
    if np.ptp(tissue) == 0 or np.ptp(tissue_hu) == 0:
        return None
    return HuScale(
        slope,
        soft - slope * soft_hu,
        float(tissue.std() / tissue_hu.std()),
        float(np.corrcoef(tissue, tissue_hu)[0, 1]),
        bool((values[is_air] == air).mean() < MAX_AIR_NOISE_SHARE),
    )
