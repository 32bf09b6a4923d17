"""What every metric starts from: the differences inside the mask."""

from __future__ import annotations

import numpy as np


def masked_difference(sct: np.ndarray, ct: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """sCT - CT in HU of the voxels inside the mask.

    Args:
        sct: synthetic CT in HU, any shape.
        ct: reference CT in HU, same shape.
        mask: bool, same shape.

    Returns:
        float64 (voxels in the mask,).

    Raises:
        ValueError: the shapes differ, the mask is not bool or holds no voxel.
    """
    if not sct.shape == ct.shape == mask.shape:
        raise ValueError(f"sCT, CT and mask must have one shape, not {sct.shape}, {ct.shape} and {mask.shape}")
    if mask.dtype != bool:
        raise ValueError(f"the mask must be of type bool, not {mask.dtype}")
    if not mask.any():
        raise ValueError("the mask is empty: there is no voxel to compare")
    return sct[mask].astype(np.float64) - ct[mask]
