"""Score one patient: the sCTs against the reference CT, inside the head, where the CT is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from synthct.evaluation.average_head import AverageHead
from synthct.evaluation.compared import Candidate, MaskKind, Reference, as_bool, read_compared
from synthct.evaluation.metrics import Protocol, VolumePair, measure, metrics_of
from synthct.evaluation.sagittal import SagittalSlice, cut_sagittal
from synthct.evaluation.voxel_histogram import VoxelHistogram
from synthct.imaging.coding import AIR_HU
from synthct.imaging.geometry import Grid, orientation_code
from synthct.imaging.planes import PLANE_AXES, Plane, body_axes

PatientSet = Literal["cross_validation", "test", "folders"]


@dataclass(frozen=True)
class Row:
    """A patient scored with one model; ``metrics`` is keyed by column and ordered as ``metrics.all_metrics()``.

    ``voxels`` is the number that was compared, ``mask`` how they were chosen: the head determined in both CT and MR, in
    the CT alone, or given by the user. ``grid`` describes that of the sCT, on which all was compared.
    ``scored_head_percent`` is the share of the head in the reference CT that was compared, 0..100;
    ``notes`` are the patient's warnings.
    """

    patient: str
    fold: int | None
    metrics: dict[str, float]
    voxels: int
    mask: MaskKind
    grid: str = ""
    scored_head_percent: float = math.nan
    notes: str = ""

    @property
    def in_words(self) -> str:
        """The patient's numbers, such as ``MAE 73.7 HU, PSNR 32.3 dB``."""
        return f"MAE {self.metrics['mae_hu']:.1f} HU, PSNR {self.metrics['psnr_db']:.1f} dB"


def mae_by_patient(rows: Iterable[Row]) -> dict[str, float]:
    """MAE, HU, of each patient."""
    return {row.patient: row.metrics["mae_hu"] for row in rows}


@dataclass(frozen=True)
class PatientScore:
    """All models' rows of one patient, the slice that the figures show, and what the user should know.

    ``histograms`` are of the models' sCTs, not of the constant ones.
    """

    rows: dict[str, Row]
    slice: SagittalSlice
    warnings: tuple[str, ...]
    histograms: dict[str, VoxelHistogram]


def score_patient(
    reference: Reference,
    candidates: Mapping[str, Candidate],
    protocol: Protocol = "all",
) -> PatientScore:
    """Score every model's sCT of one patient.

    The reference CT is resampled (linearly) to the grid of the sCTs, which is the MR's, unless it lies on that grid
    already. What lies outside the CT's field of view is unknown and never counted, whatever the mask.

    Args:
        candidates: by model label; at least one is a file. All files lie on one grid, which a constant sCT takes.
        protocol: which metrics.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: there is no voxel to compare, or the sCTs are on different grids; naming the files.
    """
    metrics = metrics_of(protocol)
    compared = read_compared(reference, candidates, with_heads=any(metric.needs_heads for metric in metrics))
    inside, ct_hu = as_bool(compared.mask), sitk.GetArrayFromImage(compared.ct)
    ct_head = None if compared.ct_head is None else as_bool(compared.ct_head)
    grid = Grid.of(compared.ct)

    rows, histograms = {}, {}
    for label, candidate in candidates.items():
        if isinstance(candidate.sct, Path):
            sct_hu = sitk.GetArrayViewFromImage(compared.scts[label])
            histograms[label] = VoxelHistogram.of(sct_hu, ct_hu, inside)
        elif isinstance(candidate.sct, AverageHead):
            sct_hu = candidate.sct.on(grid, compared.head)
        else:
            sct_hu = np.broadcast_to(np.float32(candidate.sct), ct_hu.shape)
            if compared.kind == "given":  # any sCT has the air of wide masks right
                sct_hu = np.where(as_bool(compared.head), sct_hu, np.float32(AIR_HU))
        sct_head = as_bool(compared.sct_heads[label]) if label in compared.sct_heads else None
        slice_axis = _slice_axis(compared.mask, candidate.slice_plane)
        pair = VolumePair(sct_hu, ct_hu, inside, grid, slice_axis, sct_head, ct_head)
        measured = measure(pair, metrics)
        rows[label] = Row(
            reference.patient,
            candidate.fold,
            measured,
            int(inside.sum()),
            compared.kind,
            _in_words(grid),
            compared.scored_head_percent,
            " ".join(compared.warnings),
        )
    shown = cut_sagittal(
        reference.patient,
        mask=compared.mask,
        ct_hu=compared.ct,
        ct_known=compared.ct_known,
        sct_hu=compared.scts,
        mr=compared.mr,
    )
    return PatientScore(rows, shown, compared.warnings, histograms)


def _slice_axis(image: sitk.Image, plane: Plane) -> int:
    """The axis of the image's array along which slices in this plane follow each other."""
    return 2 - body_axes(orientation_code(image)).index(PLANE_AXES[plane][0])


def _in_words(grid: Grid) -> str:
    size, spacing = (" x ".join(f"{value:.4g}" for value in of) for of in (grid.size_xyz, grid.spacing_mm_xyz))
    return f"sCT, {size} voxels of {spacing} mm"
