"""What a prediction gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from synthct.qa.qa_report import QaReport


@dataclass(frozen=True)
class CycleSlice:
    """One slice through both networks (the paper's figure 6); float32 (rows, cols), MR in grey levels 0..255
    over the network's range."""

    mr: np.ndarray
    sct_hu: np.ndarray
    reconstructed_mr: np.ndarray
    head: np.ndarray  # bool
    pixel_mm: tuple[float, float]


@dataclass(frozen=True)
class Prediction:
    """An sCT and what is known of its worth; all images lie on the sCT's grid.

    Attributes:
        sct: int16 HU, -1000 outside the head.
        uncertainty: float32, SD over the folds in HU, 0 outside the head; None of one fold.
        cycle_error: float32, |reconstructed MR - MR| in percent of the MR window, mean over channels; None where not
            every slice went back to MR.
        qa: the measurements and the status; None where they were not asked for.
        head: uint8, 1 inside the head mask, outside which the sCT is -1000 HU.
    """

    sct: sitk.Image
    uncertainty: sitk.Image | None
    cycle_error: sitk.Image | None
    qa: QaReport | None
    head: sitk.Image | None = None
