"""An evaluation of spheres, as the report takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from made_up import distance, head_ct, head_mr, image

from synthct.evaluation.compared import Compared
from synthct.evaluation.metrics import METRICS
from synthct.evaluation.report import ReportContent
from synthct.evaluation.report.viewer_data import Volumes, choose_patients, embed
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import summarise

MODELS = ("cyclegan", "pix2pix")


def compared(errors_hu: dict[str, float], *, with_mr: bool = True, unknown_slices: int = 0) -> Compared:
    """A sphere of 40 HU with bone off its centre, sCTs that are off by ``errors_hu``, CT unknown at the feet."""
    ct = head_ct().astype(np.float32)
    ct[24:28, 10:14, 30:34] = 900  # towards head, front and left
    known = np.ones(ct.shape, np.uint8)
    known[:unknown_slices] = 0
    mask = ((distance() <= 14) & (known > 0)).astype(np.uint8)
    scts = {label: image(np.where(ct > -500, ct + error, ct).astype(np.float32)) for label, error in errors_hu.items()}
    mr = image(head_mr().astype(np.float32)) if with_mr else None
    return Compared(image(ct), image(known), image(mask), scts, mr, "ct_and_mr", (), {}, None, None, 100.0)


def turned(case: Compared, orientation: str) -> Compared:
    """The same with the axes of all images permuted and flipped."""

    def turn(of: sitk.Image) -> sitk.Image:
        return sitk.DICOMOrient(of, orientation)

    scts = {label: turn(sct) for label, sct in case.scts.items()}
    return Compared(
        turn(case.ct),
        turn(case.ct_known),
        turn(case.mask),
        scts,
        turn(case.mr),
        case.kind,
        (),
        {},
        None,
        None,
        100.0,
    )


def row(patient: str, mae: float, fold: int | None = 0, **metrics: float) -> Row:
    """All metrics of one patient, NaN where nothing is given."""
    values = {metric.column: float("nan") for metric in METRICS} | {"mae_hu": mae, "psnr_db": 30.0} | metrics
    return Row(patient, fold, values, 1000, "ct_and_mr")


def content(
    maes: dict[str, dict[str, float]] | None = None, *, volumes: list[Volumes] | None = None, **others: object
) -> ReportContent:
    """A report's content: MAE by model and patient, a small volume each."""
    maes = maes or {"cyclegan": {"P1": 20.0, "P2": 80.0, "P3": 60.0}, "pix2pix": {"P1": 30.0, "P2": 100.0, "P3": 40.0}}
    rows = {label: [row(patient, mae) for patient, mae in of.items()] for label, of in maes.items()}
    reasons = choose_patients(rows, 8)
    if volumes is None:
        errors = {patient: {label: of[patient] for label, of in maes.items() if patient in of} for patient in reasons}
        volumes = [embed(patient, compared(errors[patient], unknown_slices=8)) for patient in reasons]
    summaries = [summarise(label, label_rows) for label, label_rows in rows.items()]
    values = {
        "title": "Dataset001_Spheres",
        "rows": rows,
        "summaries": summaries,
        "comparisons": [],
        "warnings": [],
        "figures": [],
        "volumes": volumes,
        "reasons": reasons,
        "models": [],
        "commands": ["synthct_evaluate -d 1"],
    }
    return ReportContent(**(values | others))


def figure_files(folder: Path, names: list[str]) -> list[Path]:
    """Small PNG files."""
    for name in names:
        sitk.WriteImage(sitk.GetImageFromArray(np.full((20, 1600), 128, np.uint8)), str(folder / name))
    return [folder / name for name in names]
