"""The error of an sCT and of a constant CT, inside the head alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, describe, keep_registration, write_dataset, write_image
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.dataset.register_dataset import with_registrations
from synthct.inference.held_out_error import held_out_error

GRID = make_grid((50, 62, 62), (4, 4, 4))


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = tmp_path / "Dataset001_Heads"
    describe(folder)
    write_image(head_mr(GRID), folder / "imagesTr" / "P_0000.nii.gz")
    write_image(head_ct(GRID), folder / "targetsTr" / "P.nii.gz")
    return folder


def case_of(raw: Path) -> CaseFiles:
    return RawDataset.open(raw).training["P"]


def sct_of(raw: Path, added_hu: float) -> Path:
    """The CT with so many HU more inside the head, and air around it."""
    hu, head = (sitk.GetArrayFromImage(image) for image in (head_ct(GRID), head_truth(GRID)))
    sct = np.where(head > 0, hu + added_hu, -1000).astype(np.int16)
    return write_image(GRID.place(sct), raw.parent / "validation" / "P.nii.gz")


def test_the_errors_are_means_over_the_head(raw):
    error = held_out_error(case_of(raw), sct_of(raw, 50), 40.0)
    hu, head = (sitk.GetArrayFromImage(image) for image in (head_ct(GRID), head_truth(GRID)))
    assert error.mae_hu == pytest.approx(50, abs=5)
    assert error.constant_hu == 40
    assert error.constant_mae_hu == pytest.approx(np.abs(hu[head > 0] - 40).mean(), rel=0.1)


def test_air_in_a_wide_mask_is_not_counted(raw):
    without = held_out_error(case_of(raw), sct_of(raw, 50), 40.0)
    wide = sitk.BinaryDilate(head_truth(GRID), [4, 4, 4], sitk.sitkBall)
    write_image(wide, raw / "masksTr" / "P.nii.gz")
    error = held_out_error(case_of(raw), sct_of(raw, 50), 40.0)
    assert (error.mae_hu, error.constant_mae_hu) == pytest.approx((without.mae_hu, without.constant_mae_hu), rel=0.02)


def test_a_pair_whose_registration_failed_has_no_error(raw):
    folder = raw.parent / "registrations"
    keep_registration(case_of(raw), folder, status="failed", problems_found=("the heads do not overlap",))
    case = with_registrations(RawDataset.open(raw), folder, "auto").training["P"]
    assert held_out_error(case, sct_of(raw, 50), 40.0) is None


def test_an_mr_alone_has_no_error(tmp_path):
    case = write_dataset(tmp_path / "Dataset001_Heads", {"Q": PAIRED - {"ct"}}).training["Q"]
    assert held_out_error(case, tmp_path / "Q.nii.gz", 40.0) is None
