"""Mean error: whether HU are too high or too low on the whole."""

from __future__ import annotations

from synthct.evaluation.metrics.volume_pair import VolumePair


def mean_error(pair: VolumePair) -> float:
    """Mean error (bias) in HU, 0 for equal images: ME = 1/N sum_i (sCT(i) - CT(i)), i over the voxels of the mask.

    Positive where the sCT is too dense. Errors of opposite sign cancel, so it is not a measure of accuracy alone.
    """
    return float(pair.difference().mean())
