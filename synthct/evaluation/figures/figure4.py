"""Figure 4: MR, sCT, reference CT and absolute error of one patient and model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthct.evaluation.figures.panels import Panel, Scale, ct_scale, draw_panels
from synthct.evaluation.sagittal import SagittalSlice
from synthct.evaluation.score import Row

# One scale for all patients and models, so that figures can be laid side by side.
ERROR_SCALE = Scale(0, 500, "HU, inside the head mask", colours="magma_r", more_above=True, unknown_colour="white")


def mr_panels(shown: SagittalSlice) -> list[Panel]:
    """The MR in its scanner's units; none without an MR."""
    if shown.mr is None:
        return []
    low, high = shown.mr_range
    return [Panel("MR", shown.mr, Scale(low, high, "MR intensity (scanner units)"))]


def draw_figure4(shown: SagittalSlice, label: str, row: Row, window_hu: tuple[float, float], folder: Path) -> Path:
    """Write ``figure4_<label>_<patient>.png``; without an MR its panel is left out.

    The error is shown where it was counted.
    """
    sct = shown.sct_hu[label]
    error = np.where(shown.mask, np.abs(sct - shown.ct_hu), np.nan)
    panels = [
        *mr_panels(shown),
        Panel("Synthetic CT", sct, ct_scale(window_hu)),
        Panel("Reference CT", shown.ct_hu, ct_scale(window_hu)),
        Panel("Absolute error", error, ERROR_SCALE, outline=shown.mask),
    ]
    held_out = "" if row.fold is None else f" (fold {row.fold})"
    return draw_panels(
        panels,
        folder / f"figure4_{label}_{shown.patient}.png",
        title=f"{shown.patient}, {label}{held_out}: {row.in_words}",
        spacing_mm=shown.spacing_mm,
        note=note_of(shown),
    )


def note_of(shown: SagittalSlice) -> str:
    """What the reader must know to read the panels."""
    note = "Sagittal slice. The numbers are of the whole volume inside the head mask"
    if np.isnan(shown.ct_hu).any():
        return f"{note}. Light grey: outside the CT's field of view, not counted."
    return f"{note}."
