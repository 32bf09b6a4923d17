"""The metrics of two arrays of HU, without files and without a dataset."""

from __future__ import annotations

import numpy as np

from synthct.evaluation.metrics import Protocol, measure, metrics_of
from synthct.evaluation.metrics.volume_pair import VolumePair
from synthct.imaging.geometry import Grid
from synthct.tuples import triple_of


def measure_arrays(
    sct_hu: np.ndarray,
    ct_hu: np.ndarray,
    mask: np.ndarray,
    spacing_mm: tuple[float, float, float],
    *,
    protocol: Protocol = "all",
    sct_head: np.ndarray | None = None,
    ct_head: np.ndarray | None = None,
) -> dict[str, float]:
    """The metrics of a synthetic CT, as columns of ``synthct_evaluate``.

    Args:
        sct_hu: synthetic CT in HU (z, y, x): z from the feet to the head; y and x along the two other axes of the body.
        ct_hu: the patient's CT in HU on the same grid.
        mask: the voxels that are compared, where both scans are known; bool, or integers 0 and 1.
        spacing_mm: of the voxels, in the order of the arrays' axes (z, y, x).
        protocol: ``all``, or those of ``seed``, ``synthrad2023`` or ``synthrad2025``.
        sct_head, ct_head: the heads found in both, masks likewise. Without them ``dice_head`` is NaN, and path lengths
            run through the mask alone.

    Returns:
        Values by column; MAE in HU, PSNR in dB, path lengths in mm.

    Raises:
        ValueError: shapes differ, or the mask is empty or holds other values than 0 and 1.
        DatasetError: there is no such protocol.
    """
    z, y, x = np.shape(ct_hu)
    grid = Grid((x, y, z), triple_of(map(float, reversed(spacing_mm))), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    pair = VolumePair(np.asarray(sct_hu), np.asarray(ct_hu), mask, grid, 2, sct_head, ct_head)
    return measure(pair, metrics_of(protocol))
