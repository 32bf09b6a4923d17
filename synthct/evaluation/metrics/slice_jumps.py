"""Discontinuity from slice to slice: what a network that sees one slice at a time leaves behind."""

from __future__ import annotations

import math

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair


def slice_discontinuity(pair: VolumePair) -> float:
    """How much more an sCT jumps from slice to slice than its reference CT, in percent; 0 for equal images.

    J_a(V) is the mean of |V(i + e_a) - V(i)| over all neighbours along array axis a that are both inside the mask.
    Along the axis s on which the network's slices follow each other, and along the two others p and q:

        100 % x [ J_s(sCT) / J_s(CT) ] / [ (J_p(sCT) + J_q(sCT)) / (J_p(CT) + J_q(CT)) ] - 100 %

    The denominator is the sCT's sharpness within slices. An sCT that is blurred alike in all directions has 0 and
    not a negative number, one whose slices flicker more than 0, one that is smeared across slices less than 0. Voxels
    are those of the sCT (the MR's), which need not be as thick as the network's slices: compare models of one plan.

    NaN where the mask has no neighbours along an axis, or one of the images is flat along one.

    Our own definition; no published one is known to us.
    """
    jumps = [(_mean_jump(pair.sct, pair.mask, axis), _mean_jump(pair.ct, pair.mask, axis)) for axis in range(3)]
    across = jumps.pop(pair.slice_axis)
    (sct_p, ct_p), (sct_q, ct_q) = jumps
    if not (across[1] > 0 and ct_p + ct_q > 0 and sct_p + sct_q > 0):  # NaN is not either
        return math.nan
    return 100 * (across[0] / across[1] / ((sct_p + sct_q) / (ct_p + ct_q)) - 1)


def _mean_jump(image: np.ndarray, mask: np.ndarray, axis: int) -> float:
    volume, inside = np.moveaxis(image, axis, 0), np.moveaxis(mask, axis, 0)
    total, count = 0.0, 0
    for i in range(len(volume) - 1):  # slice by slice, so that no further volume is held
        both = inside[i] & inside[i + 1]
        total += float(np.abs(volume[i + 1][both].astype(np.float64) - volume[i][both]).sum())
        count += int(both.sum())
    return total / count if count else math.nan
