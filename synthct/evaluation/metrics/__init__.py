"""The metrics that a patient is scored by, in the order of the tables' columns.

A further protocol (such as a challenge's) is a file with its formula and a line in :data:`METRICS`: tables, summary and
statistics follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthct.evaluation.metrics.mae import mae
from synthct.evaluation.metrics.psnr import psnr

__all__ = ["METRICS", "Metric", "mae", "measure", "psnr"]


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        column: its name in the CSV files, ending in the unit or in the protocol.
        title: its name in sentences.
        unit: HU or dB.
        lower_is_better: or higher.
        compute: (sct, ct, mask) -> float; volumes in HU (z, y, x), mask bool.
        clip_hu: both CTs are clipped to this range first; ``plan``: to the CT window of the plan.
        compared: whether models are compared by it (paired t-test).
    """

    column: str
    title: str
    unit: str
    lower_is_better: bool
    compute: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    clip_hu: tuple[float, float] | Literal["plan"] | None = None
    compared: bool = False


# Unclipped is the main figure. The windowed one is beside it because the seed's RMSE / MAE of about 1.35 suggests that
# its reference CTs were clipped to the window that its network sees.
METRICS = (
    Metric("mae_hu", "MAE", "HU", True, mae, compared=True),
    Metric("psnr_db", "PSNR", "dB", False, psnr, compared=True),
    Metric("mae_hu_windowed", "windowed MAE", "HU", True, mae, clip_hu="plan"),
    Metric("psnr_db_windowed", "windowed PSNR", "dB", False, psnr, clip_hu="plan"),
)


def measure(sct: np.ndarray, ct: np.ndarray, mask: np.ndarray, window_hu: tuple[float, float]) -> dict[str, float]:
    """All metrics of one sCT, keyed by column in the order of :data:`METRICS`.

    Args:
        sct: synthetic CT in HU (z, y, x).
        ct: reference CT in HU on the same grid.
        mask: bool, the voxels that count.
        window_hu: the plan's CT window.

    Raises:
        ValueError: the shapes differ or the mask is empty.
    """
    values = {}
    for metric in METRICS:
        clip_hu = window_hu if metric.clip_hu == "plan" else metric.clip_hu
        pair = (sct, ct) if clip_hu is None else (np.clip(sct, *clip_hu), np.clip(ct, *clip_hu))
        values[metric.column] = metric.compute(*pair, mask)
    return values
