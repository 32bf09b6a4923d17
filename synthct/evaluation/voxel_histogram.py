"""sCT against CT over all voxels of a head, in little memory: what the joint histogram and Bland-Altman figures need.

A patient's volumes stay in the process that scores the patient; only these counts travel, and they can be added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

BIN_HU = 20.0
# -1000 HU (air) and 0 HU (water) are centres of bins. Dense bone and metal beyond the last edge count in the last bin.
EDGES_HU = np.arange(-1030.0, 2030.0 + BIN_HU, BIN_HU)
DIFFERENCE_EDGES_HU = np.arange(-1010.0, 1010.0 + BIN_HU, BIN_HU)


@dataclass(frozen=True)
class VoxelHistogram:
    """Counts of the voxels inside a mask, n bins of :data:`EDGES_HU`, m of :data:`DIFFERENCE_EDGES_HU`.

    Values beyond the edges are counted in the outermost bins; the sums are of the values as they are.

    Attributes:
        joint: int64 (n, n), CT along rows, sCT along columns.
        difference: int64 (n, m), the mean of both along rows, sCT - CT along columns.
        sums: float64 (n, 2), of sCT - CT and of its square, by bin of the mean of both.
    """

    joint: np.ndarray
    difference: np.ndarray
    sums: np.ndarray

    @staticmethod
    def of(sct: np.ndarray, ct: np.ndarray, mask: np.ndarray) -> VoxelHistogram:
        """Count one patient.

        Args:
            sct: synthetic CT in HU (z, y, x).
            ct: reference CT in HU on the same grid.
            mask: bool, the voxels that count.
        """
        sct_hu, ct_hu = sct[mask].astype(np.float32), ct[mask].astype(np.float32)
        error_hu = sct_hu - ct_hu
        n, m = len(EDGES_HU) - 1, len(DIFFERENCE_EDGES_HU) - 1
        ct_bins, sct_bins = _bin(ct_hu, EDGES_HU), _bin(sct_hu, EDGES_HU)
        mean_bins, error_bins = _bin((sct_hu + ct_hu) / 2, EDGES_HU), _bin(error_hu, DIFFERENCE_EDGES_HU)
        # bincount sums in float64
        sums = [np.bincount(mean_bins, weights=weights, minlength=n) for weights in (error_hu, np.square(error_hu))]
        return VoxelHistogram(
            np.bincount(ct_bins * n + sct_bins, minlength=n * n).reshape(n, n),
            np.bincount(mean_bins * m + error_bins, minlength=n * m).reshape(n, m),
            np.stack(sums, axis=1),
        )

    @staticmethod
    def total(histograms: Iterable[VoxelHistogram]) -> VoxelHistogram:
        """All voxels of several patients together (at least one)."""
        joint, difference, sums = zip(
            *((histogram.joint, histogram.difference, histogram.sums) for histogram in histograms)
        )
        return VoxelHistogram(*(reduce(np.add, counts) for counts in (joint, difference, sums)))

    @property
    def voxels(self) -> int:
        """How many were counted."""
        return int(self.joint.sum())

    @property
    def bias_and_sd(self) -> tuple[float, float]:
        """Mean and SD of sCT - CT over all voxels, HU."""
        mean, sd = _mean_and_sd(self.voxels, *self.sums.sum(axis=0))
        return float(mean), float(sd)

    def bias_and_sd_by_mean(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Voxels, mean and SD of sCT - CT (HU) in each bin of the mean of both (n,); NaN where there is no voxel."""
        counts = self.difference.sum(axis=1)
        return counts, *_mean_and_sd(counts, self.sums[:, 0], self.sums[:, 1])


def _bin(values_hu: np.ndarray, edges_hu: np.ndarray) -> np.ndarray:
    index = np.floor((values_hu - edges_hu[0]) / BIN_HU).astype(np.int64)
    return np.clip(index, 0, len(edges_hu) - 2, out=index)


def _mean_and_sd(n: np.ndarray | int, total: np.ndarray, squared_total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.divide(total, n)
        return mean, np.sqrt(np.maximum(np.divide(squared_total, n) - mean**2, 0))
