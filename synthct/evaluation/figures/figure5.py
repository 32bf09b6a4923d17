"""Figure 5: MR, the sCTs of all models (paired training first, as in the paper) and the reference CT of one patient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthct.evaluation.figures.figure4 import mr_panels, note_of
from synthct.evaluation.figures.panels import Panel, ct_scale, draw_panels
from synthct.evaluation.sagittal import SagittalSlice
from synthct.evaluation.score import Row

MAX_MODELS = 4  # more would be too small to see anything


def draw_figure5(
    shown: SagittalSlice,
    titles: Mapping[str, str],
    rows: Mapping[str, Row],
    window_hu: tuple[float, float],
    folder: Path,
) -> Path:
    """Write ``figure5_<patient>.png``.

    Args:
        titles: how each model's panel is titled, in order; those beyond :data:`MAX_MODELS` are left out.
        rows: the patient's scores by model.
    """
    labels = [label for label in titles if label in shown.sct_hu][:MAX_MODELS]
    panels = [
        *mr_panels(shown),
        *(Panel(titles[label], shown.sct_hu[label], ct_scale(window_hu)) for label in labels),
        Panel("Reference CT", shown.ct_hu, ct_scale(window_hu)),
    ]
    scores = ", ".join(f"{rows[label].metrics['mae_hu']:.1f} HU ({label})" for label in labels)
    return draw_panels(
        panels,
        folder / f"figure5_{shown.patient}.png",
        title=f"{shown.patient}: MAE {scores}",
        spacing_mm=shown.spacing_mm,
        note=note_of(shown),
    )
