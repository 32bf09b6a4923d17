"""The average head: a median in the frame of the head, laid on a patient wherever that head lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.evaluation.average_head import MAX_PATIENTS, average_head
from synthct.imaging.coding import AIR_HU
from synthct.imaging.geometry import Grid
from synthct.imaging.planes import PLANE_AXES
from synthct.planning.configurations import reference_configuration
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.case import slices_of_case

LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((40, 48, 44), (4.0, 4.0, 4.0), (-80.0, -90.0, -70.0), LPS)


def plan(plane: str = "sagittal", mm: float = 4.0) -> PreprocessingPlan:
    reference = reference_configuration(1).preprocessing
    return replace(reference, slice_plane=plane, spacing_mm=(mm,) * 3, slice_scale=1.0, slice_size=(60, 60))


def head_at(shift_mm: tuple[float, float, float] = (0, 0, 0)) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A ball of 60 mm, and a dense front half of it; the grid is moved with it."""
    grid = replace(GRID, origin_mm=tuple(np.add(GRID.origin_mm, shift_mm)))
    z, y, x = (np.arange(n) - (n - 1) / 2 for n in grid.array_shape)
    inside = 4 * np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) < 60
    return grid, inside, np.where(inside & (y < 0)[:, None], 800.0, 40.0)


def cached(folder: Path, patient: str, preprocessing: PreprocessingPlan, more_hu: float = 0.0, **shift) -> None:
    grid, inside, hu = head_at(**shift)
    ct = grid.place(np.where(inside, hu + more_hu, AIR_HU).astype(np.float32))
    mr = grid.place(np.where(inside, 100.0, 0.0).astype(np.float32))
    mask = grid.place(inside.astype(np.uint8))
    images = CaseImages(patient, (mr,), ct)
    slices_of_case(images, preprocessing, HeadMasks(mask, mask)).save(cached_path(folder, patient))


@pytest.mark.parametrize("plane", list(PLANE_AXES))
@pytest.mark.parametrize("mm", [4.0, 1.0])
def test_it_is_the_median_of_the_heads_laid_where_the_patients_head_lies(tmp_path, plane, mm):
    preprocessing = plan(plane, mm)
    for number, more_hu in enumerate((-30.0, 10.0, 500.0)):
        shift = {"shift_mm": (40.0 * number, -25.0, 10.0)}
        cached(tmp_path, f"P{number}", preprocessing, more_hu, **shift)
    average = average_head(tmp_path, ["P0", "P1", "P2"], preprocessing)
    grid, inside, hu = head_at(shift_mm=(300.0, 0.0, 0.0))
    laid = average.on(grid, grid.place(inside.astype(np.uint8)))
    assert laid.shape == grid.array_shape and laid.dtype == np.float32
    deep = sitk.GetArrayFromImage(sitk.BinaryErode(grid.place(inside.astype(np.uint8)), [2, 2, 2])) > 0
    flat = np.abs(np.arange(grid.array_shape[1]) - 23.5)[:, None] > 2  # not where front and back meet
    assert np.median(np.abs(laid - hu - 10)[deep & flat]) <= 1
    assert (np.abs(laid - hu - 10)[deep & flat] <= 5).mean() > 0.99


def test_patients_without_a_ct_are_passed_over_and_without_any_there_is_none(tmp_path):
    preprocessing = plan()
    grid, inside, _ = head_at()
    mask = grid.place(inside.astype(np.uint8))
    mr = CaseImages("MR", (grid.place(inside.astype(np.float32)),))
    slices_of_case(mr, preprocessing, HeadMasks(mask, None)).save(cached_path(tmp_path, "MR"))
    cached(tmp_path, "P", preprocessing)
    assert average_head(tmp_path, ["MR"], preprocessing) is None
    both, alone = (average_head(tmp_path, patients, preprocessing) for patients in (["MR", "P"], ["P"]))
    assert np.array_equal(both.hu, alone.hu)


def test_a_ct_that_is_not_aligned_to_its_mr_counts_where_its_own_head_lies(tmp_path):
    preprocessing = plan()
    cached(tmp_path, "P", preprocessing)
    grid, inside, hu = head_at(shift_mm=(90.0, 0.0, 0.0))
    mr_grid, in_mr, _ = head_at()
    images = CaseImages(
        "Q",
        (mr_grid.place(in_mr.astype(np.float32)),),
        grid.place(np.where(inside, hu, AIR_HU).astype(np.float32)),
        aligned=False,
    )
    masks = HeadMasks(mr_grid.place(in_mr.astype(np.uint8)), grid.place(inside.astype(np.uint8)))
    slices_of_case(images, preprocessing, masks).save(cached_path(tmp_path, "Q"))
    apart, aligned = (average_head(tmp_path, [patient], preprocessing).hu for patient in ("Q", "P"))
    assert np.array_equal(apart, aligned)


def test_a_large_dataset_gives_evenly_spread_patients(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "synthct.evaluation.average_head._coarse_ct",
        lambda path, step: read.append(path.stem) or np.zeros((2, 2, 2), np.int16),
    )
    average_head(tmp_path, [f"{i:03}" for i in range(100)], plan())
    assert len(read) == len(set(read)) == MAX_PATIENTS and (read[0], read[-1]) == ("000", "099")


def test_without_a_head_there_is_air(tmp_path):
    preprocessing = plan()
    cached(tmp_path, "P", preprocessing)
    nothing = GRID.place(np.zeros(GRID.array_shape, np.uint8))
    assert (average_head(tmp_path, ["P"], preprocessing).on(GRID, nothing) == AIR_HU).all()
