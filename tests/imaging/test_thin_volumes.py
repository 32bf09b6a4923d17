"""Volumes of 2 to 8 voxels along an axis, from a thin slab to thick slices: whatever reads them works."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.dataset.images import CaseImages
from synthct.dataset.integrity import check_mr
from synthct.imaging.alignment import alignment_of
from synthct.imaging.axial import on_axial_grid
from synthct.imaging.ct_units import ct_unit_problems
from synthct.imaging.field_of_view import scanned_region
from synthct.imaging.geometry import Grid, reorient, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, mask_flags
from synthct.imaging.io import read_image, write_image
from synthct.imaging.morphology import smoothed
from synthct.imaging.registration import HeadPair, refine_registration
from synthct.planning.measure_dataset import measure_volume

COARSE = make_grid((20, 24, 24), (12, 12, 12))


def thin_grid(axis: int, n_voxels: int, spacing_mm: float, orientation: str = "LPS") -> Grid:
    """Through the middle of the head, few voxels along one body axis."""
    size, spacing = [34, 42, 42], [6.0, 6.0, 6.0]
    size[axis], spacing[axis] = n_voxels, spacing_mm
    return make_grid(tuple(size), tuple(spacing), orientation)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("n_voxels", range(2, 9))
@pytest.mark.parametrize(("spacing_mm", "orientation"), [(0.4, "LPS"), (2.0, "PIR"), (8.0, "LPS"), (20.0, "PIR")])
def test_a_thin_pair_is_checked_masked_measured_and_resampled(tmp_path, axis, n_voxels, spacing_mm, orientation):
    grid = thin_grid(axis, n_voxels, spacing_mm, orientation)
    mr, ct = head_mr(grid), head_ct(grid)
    write_image(mr, tmp_path / "P.nii.gz")
    check_mr([read_image(tmp_path / "P.nii.gz")], ["P"])
    assert ct_unit_problems(ct, "P") == []
    masks = head_mask_from_mr(mr), head_mask_from_ct(ct)
    for image, mask in zip((mr, ct), masks):
        assert Grid.of(mask) == grid and sitk.GetArrayViewFromImage(mask).any()
        assert isinstance(mask_flags(mask), tuple)
        assert measure_volume(image, mask, "P").head_volume_l > 0
        scanned_region(image)
        for interpolation in ("linear", "bspline", "nearest"):
            assert np.isfinite(sitk.GetArrayFromImage(resample(image, COARSE, interpolation=interpolation))).all()
        on_axial_grid(image, 0)
        reorient(image, "PIR")
    assert alignment_of(HeadPair(mr, masks[0], ct, masks[1])).overlap > 0.9


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("n_voxels", [2, 3, 5])
def test_a_thin_pair_is_registered(axis, n_voxels):
    grid = thin_grid(axis, n_voxels, 8.0)
    mr, ct = head_mr(grid), head_ct(grid)
    pair = HeadPair(mr, head_mask_from_mr(mr), ct, head_mask_from_ct(ct))
    assert np.isfinite(refine_registration(pair, sitk.Euler3DTransform()).GetParameters()).all()


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (9, 1, 5), (4, 4, 4)])
def test_smoothing_of_few_voxels_keeps_the_grid_and_a_constant(size):
    image = make_grid(size, (1.0, 2.0, 3.0)).place(np.full(size[::-1], 7.0, np.float32))
    result = smoothed(image, 5.0)
    assert Grid.of(result).matches(Grid.of(image))
    assert sitk.GetArrayFromImage(result) == pytest.approx(7.0, rel=1e-5)


def test_smoothing_of_a_larger_image_is_that_of_itk():
    image = head_mr(make_grid((20, 20, 20), (6, 6, 6)))
    expected = sitk.SmoothingRecursiveGaussian(image, 5.0)
    assert (sitk.GetArrayFromImage(smoothed(image, 5.0)) == sitk.GetArrayFromImage(expected)).all()


def test_a_thin_case_has_its_images_seen():
    mr = head_mr(thin_grid(2, 5, 4.0))
    assert sitk.GetArrayViewFromImage(CaseImages("P", (mr,)).mr_scanned).all()
