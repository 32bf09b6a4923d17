"""The part of the page that shows images: controls, an index in JSON, and the volumes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from string import Template

import matplotlib
import numpy as np

from synthct.evaluation.metrics.metric import WINDOW_HU
from synthct.evaluation.report.viewer_data import SPACING_MM, STEP_HU, Volumes
from synthct.evaluation.score import Row
from synthct.html_report.page_parts import packaged_text

# Perceptually uniform; the diverging one is Moreland's.
_COLOURS = {"signed": "coolwarm", "absolute": "magma"}
# Presets in HU; the first, that of the windowed metrics, is shown on opening.
_WINDOWS = (
    ("wide", *WINDOW_HU),
    ("bone", -450, 1050),
    ("soft tissue", -160, 240),
    ("brain", 0, 80),
    ("full", -1000, 2000),
)


def viewer_section(
    rows: Mapping[str, Sequence[Row]],
    shown: Sequence[Volumes],
    reasons: Mapping[str, str],
) -> str:
    """The section with its controls, and the volumes as scripts that are not run.

    Args:
        rows: the scored patients by model.
        shown: whose volumes are in the page (at least one), the first on opening, with the sCT that is worst.
        reasons: why each was chosen, by patient.
    """
    row_of = {(label, row.patient): row for label, model_rows in rows.items() for row in model_rows}
    patients = []
    for patient in shown:
        worst = max(patient.scts, key=lambda label: row_of[label, patient.patient].metrics["mae_hu"])
        models = [{"label": label, "scores": row_of[label, patient.patient].in_words} for label in patient.scts]
        patients.append(
            {
                "patient": patient.patient,
                "why": reasons[patient.patient],
                "shape": patient.shape,
                "mr_range": patient.mr_range,
                "models": models,
                "worst": worst,
            }
        )
    index = {
        "step_hu": STEP_HU,
        "spacing_mm": SPACING_MM,
        "windows": [[f"{name} ({low:g} to {high:g})", low, high] for name, low, high in _WINDOWS],
        "colours": {name: _lookup_table(colours) for name, colours in _COLOURS.items()},
        "patients": patients,
    }
    scripts = [f'<script type="application/json" id="viewer-data">{_json(index)}</script>']
    for i, patient in enumerate(shown):
        volumes = {"mr": patient.mr, "ct": patient.ct, "labels": patient.labels}
        volumes |= {f"sct-{k}": sct for k, sct in enumerate(patient.scts.values())}
        scripts += [
            f'<script type="text/plain" id="volume-{i}-{name}">{volume}</script>'
            for name, volume in volumes.items()
            if volume is not None
        ]
    which = _which(len(shown), len({row.patient for model_rows in rows.values() for row in model_rows}))
    return Template(packaged_text(__package__, "viewer.html")).substitute(which=which, data="\n".join(scripts))


def _which(shown: int, patients: int) -> str:
    if shown == patients:
        who = "The patient" if patients == 1 else f"All {patients} patients"
    else:
        who = (
            f"{shown} of {patients} patients (by MAE the worst, median and best of each model, then the next worst, as "
            "many as the page has room for)"
        )
    return (
        f"{who}, resampled to {SPACING_MM:g} mm along the body axes and rounded to {STEP_HU} HU. The numbers in the "
        "tables are of the full images."
    )


def _lookup_table(name: str) -> str:
    """256 colours as bytes (256, 3) in base64."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")


def _json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
