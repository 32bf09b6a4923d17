"""Figure 6: MR, sCT, the MR reconstructed from the sCT, and the relative error of that cycle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthct.evaluation.figures.panels import Panel, Scale, ct_scale, draw_panels
from synthct.evaluation.sagittal import SLICE_POSITION, box_around
from synthct.evaluation.trained_models import TrainedModel
from synthct.imaging.geometry import PLANE_ORIENTATION
from synthct.imaging.io import read_image

_OPPOSITE = {"P": "A", "A": "P", "L": "R", "R": "L"}
_GREY = Scale(0, 255, "MR (grey levels)")
_RELATIVE_ERROR = Scale(
    0, 50, "|reconstructed - MR| / MR (%)", colours="magma_r", more_above=True, unknown_colour="white"
)


def relative_error_percent(mr: np.ndarray, reconstructed_mr: np.ndarray, head: np.ndarray) -> np.ndarray:
    """|reconstructed - MR| / MR in percent; NaN outside the head, where the network sees no MR.

    Args:
        mr: grey levels 0..255 (rows, cols).
        reconstructed_mr: likewise.
        head: bool, same shape.
    """
    # Below one grey level is not a measurement: there the error is relative to one level.
    return np.where(head, 100 * np.abs(reconstructed_mr - mr) / np.maximum(mr, 1), np.nan)


def draw_figure6(
    model: TrainedModel, patient: str, mr: Sequence[Path], window_hu: tuple[float, float], folder: Path
) -> Path:
    """Send a slice through the cycle of the fold that held the patient out; write ``figure6_<label>_<patient>.png``.

    Args:
        mr: the MR's files, a channel each.

    Raises:
        ModelError: the model has no network from CT back to MR, or cannot be loaded.
    """
    from synthct.inference.predictor import Predictor  # torch is needed here alone

    fold = model.held_out[patient].fold
    assert fold is not None  # None is a patient of the test set, whom no one has held out alone
    predictor = Predictor.from_model_folder(model.folder, folds=[fold])
    cycle = predictor.cycle([read_image(path) for path in mr], position=SLICE_POSITION)
    plane = predictor.input.plan.plane
    box = box_around(cycle.head, cycle.pixel_mm)
    shown_mr, sct_hu, back = cycle.mr[box], cycle.sct_hu[box], cycle.reconstructed_mr[box]
    head = cycle.head[box]
    error = relative_error_percent(shown_mr, back, head)
    panels = [
        Panel("MR", shown_mr, _GREY),
        Panel("Synthetic CT", sct_hu, ct_scale(window_hu)),
        Panel("Reconstructed MR", back, _GREY),
        Panel("Relative error", error, _RELATIVE_ERROR, outline=head),
    ]
    right_side = PLANE_ORIENTATION[plane][0]
    return draw_panels(
        panels,
        folder / f"figure6_{model.label}_{patient}.png",
        title=f"{patient}, {model.label} (fold {fold}): median relative error {np.nanmedian(error):.1f} %",
        spacing_mm=cycle.pixel_mm,
        sides=(_OPPOSITE[right_side], right_side),
        note=f"{plane.capitalize()} slice as the network sees it, to synthetic CT and back; median over this slice.",
    )
