import math

import numpy as np
import pytest
import SimpleITK as sitk
from made_up import CENTRE, RADIUS, SHAPE, SPACING_MM, distance, head_ct, head_mr, image

from synthct.errors import DatasetError
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.score import score_patient
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import write_image


@pytest.fixture
def files(tmp_path):
    def write(name, array, **geometry):
        path = tmp_path / f"{name}.nii.gz"
        write_image(image(array, **geometry), path)
        return path

    return write


def as_mask(image):
    return sitk.GetArrayFromImage(image) > 0


def test_the_mask_is_the_head_in_both_ct_and_mr(files):
    mr = np.where((distance() <= RADIUS) & (np.indices(SHAPE)[0] >= 12), 800, 5).astype(np.int16)  # lower part dark
    reference = Reference("P1", files("ct", head_ct()), files("mr", mr))
    row = score_patient(reference, {"m": Candidate(files("sct", head_ct(60)), 2)}).rows["m"]
    both = as_mask(head_mask_from_ct(image(head_ct()))) & as_mask(head_mask_from_mr(image(mr)))
    assert (row.patient, row.fold, row.mask) == ("P1", 2, "ct_and_mr")
    assert row.voxels == both.sum() < as_mask(head_mask_from_ct(image(head_ct()))).sum()


def test_an_equal_sct_has_no_error(files):
    reference = Reference("P1", files("ct", head_ct()), files("mr", head_mr()))
    metrics = score_patient(reference, {"m": Candidate(files("sct", head_ct()))}).rows["m"].metrics
    assert metrics["mae_hu"] == 0 and metrics["psnr_db"] == math.inf


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_an_equal_sct_on_an_oblique_grid_has_no_error_at_all(tmp_path, dtype):
    ct = image((head_ct() + np.random.default_rng(0).normal(0, 100, SHAPE)).astype(dtype))
    ct.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3).GetMatrix())
    ct.SetSpacing((5.1, 4.9, 4.7))
    ct.SetOrigin((-103.7, 88.1, 12.3))
    given = image((distance() <= RADIUS).astype(np.uint8))
    given.CopyInformation(ct)
    sct = sitk.Image(ct)
    sct.SetOrigin((-103.7 + 1e-4, 88.1, 12.3))  # such as a file format's rounding
    paths = {name: tmp_path / f"{name}.mha" for name in ("ct", "sct", "mask")}
    for path, made in zip(paths.values(), (ct, sct, given)):
        write_image(made, path)
    reference = Reference("P1", paths["ct"], mask=paths["mask"])
    metrics = score_patient(reference, {"m": Candidate(paths["sct"])}).rows["m"].metrics
    assert (metrics["mae_hu"], metrics["psnr_db"]) == (0, math.inf)
    assert (metrics["mae_hu_windowed"], metrics["psnr_db_windowed"]) == (0, math.inf)


def test_what_lies_outside_the_ct_is_never_counted(files):
    # The CT ends at slice 20 from below; the sCT is wrong by 20 HU above it and by 900 HU below.
    sct = head_ct(60)
    sct[:20][distance()[:20] <= RADIUS] = 940
    small_ct = files("ct", head_ct()[20:], origin_mm=(0.0, 0.0, 20 * SPACING_MM[2]))
    mask = files("mask", np.ones(SHAPE, np.uint8))
    mr, sct = files("mr", head_mr()), files("sct", sct)

    row = score_patient(Reference("P1", small_ct, mr), {"m": Candidate(sct)}).rows["m"]
    assert 0 < row.voxels <= (distance()[20:] <= RADIUS + 1).sum()
    assert row.metrics["mae_hu"] == pytest.approx(20, abs=3)  # the mask's border may hold some air, equal in both

    given = score_patient(Reference("P1", small_ct, mr, mask), {"m": Candidate(sct)})
    assert given.rows["m"].voxels == np.prod(SHAPE) // 2
    assert np.isnan(given.slice.ct_hu).any()


def test_a_given_mask_replaces_both(files):
    given = (distance() <= 5).astype(np.uint8) * 7  # any value but 0 is head
    reference = Reference("P1", files("ct", head_ct()), files("mr", head_mr()), files("mask", given))
    row = score_patient(reference, {"m": Candidate(files("sct", head_ct(55)))}).rows["m"]
    assert row.mask == "given" and row.voxels == (given > 0).sum()
    assert row.metrics["mae_hu"] == 15


def test_without_an_mr_the_ct_alone_decides(files):
    row = score_patient(Reference("P1", files("ct", head_ct())), {"m": Candidate(files("sct", head_ct()))})
    assert row.rows["m"].mask == "ct"
    assert row.slice.mr is None
    assert row.rows["m"].voxels == as_mask(head_mask_from_ct(image(head_ct()))).sum()


def test_the_reference_is_resampled_to_the_grid_of_the_sct(files, tmp_path):
    ramp = np.broadcast_to(np.arange(SHAPE[2]) * 10.0, SHAPE).astype(np.float32)  # rises by 10 HU a voxel along x
    shifted = files("sct", ramp[:, :, 1:] - 5, origin_mm=(0.5 * SPACING_MM[0], 0, 0))  # half a voxel aside
    mask = files("mask", (distance() <= 8).astype(np.uint8))
    row = score_patient(Reference("P1", files("ct", ramp), mask=mask), {"m": Candidate(shifted)}).rows["m"]
    assert row.metrics["mae_hu"] == pytest.approx(0, abs=1e-3)


def test_a_constant_sct_is_scored_in_the_same_mask(files):
    reference = Reference("P1", files("ct", head_ct()), mask=files("mask", (distance() <= 5).astype(np.uint8)))
    candidates = {"mean": Candidate(100.0, 0), "m": Candidate(files("sct", head_ct(50)), 0)}
    rows = score_patient(reference, candidates).rows
    assert list(rows) == ["mean", "m"]
    assert rows["mean"].metrics["mae_hu"] == 60 and rows["m"].metrics["mae_hu"] == 10
    assert rows["mean"].voxels == rows["m"].voxels


def test_an_sct_apart_from_its_reference_is_an_error_that_names_the_files(files):
    apart = files("sct", head_ct(), origin_mm=(5000.0, 0.0, 0.0))
    with pytest.raises(DatasetError, match=r"ct\.nii\.gz .*sct\.nii\.gz"):
        score_patient(Reference("P1", files("ct", head_ct())), {"m": Candidate(apart)})


def test_an_empty_mask_is_an_error_that_names_the_file(files):
    reference = Reference("P1", files("ct", head_ct()), mask=files("mask", np.zeros(SHAPE, np.uint8)))
    with pytest.raises(DatasetError, match=r"mask\.nii\.gz"):
        score_patient(reference, {"m": Candidate(files("sct", head_ct()))})


def test_scts_on_different_grids_are_an_error(files):
    candidates = {"a": Candidate(files("a", head_ct())), "b": Candidate(files("b", head_ct()[1:]))}
    with pytest.raises(DatasetError, match=r"b\.nii\.gz"):
        score_patient(Reference("P1", files("ct", head_ct())), candidates)


def test_heads_that_hardly_overlap_are_reported(files):
    shifted = files("mr", head_mr(), origin_mm=(60.0, 0.0, 0.0))
    sct = files("sct", head_ct(), origin_mm=(60.0, 0.0, 0.0))
    score = score_patient(Reference("P1", files("ct", head_ct()), shifted), {"m": Candidate(sct)})
    assert "not registered" in score.warnings[0]


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PIR", "ASL"])
def test_the_slice_shows_the_face_to_the_left_whatever_the_orientation(tmp_path, orientation):
    ct = head_ct()
    z, y, x = (round(middle) for middle in CENTRE)
    ct[z + 5, y - 8, :] = 1000  # bone above the centre and in front of it
    paths = {}
    for name, array in {"ct": ct, "sct": ct}.items():
        paths[name] = tmp_path / f"{name}.nii.gz"
        write_image(sitk.DICOMOrient(image(array), orientation), paths[name])
    mask = tmp_path / "mask.nii.gz"
    write_image(image((distance() <= RADIUS).astype(np.uint8)), mask)
    shown = score_patient(Reference("P1", paths["ct"], mask=mask), {"m": Candidate(paths["sct"])}).slice
    row, col = np.argwhere(shown.sct_hu["m"] == 1000)[0]
    rows, cols = np.nonzero(shown.mask)
    assert row == pytest.approx(rows.mean() - 5, abs=1) and col == pytest.approx(cols.mean() - 8, abs=1)
    assert shown.spacing_mm == (5, 5)
    np.testing.assert_allclose(shown.sct_hu["m"], shown.ct_hu, atol=0.1)


def test_a_constant_ct_is_no_worse_in_a_mask_wider_than_the_head(files):
    """Any sCT has the air of such a mask right: a model must not look better than a constant CT by that alone."""
    ct, mr = files("ct", head_ct(60)), files("mr", head_mr())
    wide = files("mask", (distance() <= RADIUS + 15).astype(np.uint8))
    candidates = {"m": Candidate(files("sct", head_ct(60))), "constant": Candidate(40.0)}
    found, given = (score_patient(Reference("P1", ct, mr, mask), candidates) for mask in (None, wide))
    assert given.rows["constant"].voxels > 1.2 * found.rows["constant"].voxels
    assert found.rows["constant"].metrics["mae_hu"] == pytest.approx(20, abs=1)
    assert given.rows["constant"].metrics["mae_hu"] <= 60  # in all of the mask it would be above 200


def test_found_heads_that_lie_apart_are_warned_of_in_a_given_mask_too(files):
    ct, mr = files("ct", head_ct()), files("mr", head_mr(), origin_mm=(40.0, 0.0, 0.0))
    given = files("mask", (distance() <= RADIUS).astype(np.uint8))
    (warning,) = score_patient(Reference("P1", ct, mr, given), {"m": Candidate(files("sct", head_ct()))}).warnings
    assert warning.startswith("P1: the heads in CT and MR share only")
