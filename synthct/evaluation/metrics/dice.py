"""Dice: how well two regions of sCT and reference CT overlap, bone and the whole head."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from synthct.evaluation.metrics.volume_pair import VolumePair


def bone_dice(threshold_hu: float) -> Callable[[VolumePair], float]:
    """The metric Dice = 2 |A and B| / (|A| + |B|), A and B the voxels of the mask above ``threshold_hu`` in sCT and CT.

    1 for equal images, 0 where the bone of one lies nowhere in the other, NaN where neither holds any.
    """

    def dice_of_bone(pair: VolumePair) -> float:
        return _dice(pair.sct[pair.mask] > threshold_hu, pair.reference() > threshold_hu)

    return dice_of_bone


def head_dice(pair: VolumePair) -> float:
    """Dice of the head found in the sCT and the head found in the reference CT, by the same rule (the body contour).

    Not of the mask, but of all voxels that are known in both images. 1 for equal images. NaN where no head was looked
    for in the sCT, as in a CT that is the same everywhere. Voxels of one grid are of one size, whatever their shape, so
    Dice of voxels is Dice of volumes.
    """
    if pair.sct_head is None or pair.ct_head is None:
        return math.nan
    return _dice(pair.sct_head, pair.ct_head)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else math.nan
