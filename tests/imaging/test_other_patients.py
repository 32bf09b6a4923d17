"""Heads of different patients on each other."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from upright_heads import SPACING_MM, VALUES, scans

from synthct.imaging.other_patients import (
    Extents,
    Head,
    MedianCt,
    affine_to_ct,
    affine_to_mr,
    best_fitting,
    by_extents,
    deformed_to,
    laid,
    median_ct,
    through_median,
)

SCALES = (0.92, 1.0, 1.07)
SHIFTS = ((0.0, 0.0, 0.0), (5.0, 10.0, -10.0), (-10.0, 5.0, 5.0))


def head(modality: int = 1, scale: float = 1.0, shift_mm=(0.0, 0.0, 0.0), slices: slice = slice(None)) -> Head:
    """An MR (0) or a CT (1)."""
    images, inside = scans(scale, shift_mm)
    return Head.of(images[modality][slices], inside[slices], SPACING_MM, -1000.0 if modality else 0.0)


def error_hu(ct: Head, transform: sitk.Transform, truth: Head) -> float:
    """MAE in the head of the truth."""
    hu, _ = laid(ct, transform, truth.image)
    inside = sitk.GetArrayViewFromImage(truth.mask) > 0
    return float(np.abs(hu - sitk.GetArrayViewFromImage(truth.image))[inside].mean())


def tilted(ct: Head, degrees: float) -> Head:
    """The head nodding about its middle."""
    turn = sitk.Euler3DTransform((120.0, 115.0, 100.0), 0.0, 0.0, np.radians(degrees))
    image = sitk.Resample(ct.image, ct.image, turn, sitk.sitkLinear, -1000.0)
    return Head(image, sitk.Resample(ct.mask, ct.mask, turn, sitk.sitkNearestNeighbor, 0))


def test_extents_are_those_of_the_upper_head():
    found = Extents.of(head().mask)
    assert found.centre == pytest.approx([120, 15, 100], abs=6)  # cols, rows, slices
    assert found.size[[0, 2]] == pytest.approx([192, 152], abs=12)
    assert found.size[1] == pytest.approx(np.sqrt(found.size[0] * found.size[2]))


def test_a_neck_that_is_cut_changes_no_extents():
    whole = head()
    cut = Head(whole.image, sitk.Image(whole.mask))
    cut.mask[:, 30:, :] = 0
    assert np.array_equal(Extents.of(cut.mask).size, Extents.of(whole.mask).size)


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Extents.of(head().mask * 0)


@pytest.mark.parametrize(("scale", "shift_mm"), list(zip(SCALES, SHIFTS)))
def test_extents_lay_a_head_of_another_size_on_another_place(scale, shift_mm):
    fixed, moving = head(), head(scale=scale, shift_mm=shift_mm)
    before = error_hu(moving, sitk.AffineTransform(3), fixed)
    after = error_hu(moving, by_extents(fixed, moving), fixed)
    assert after < max(40, 0.5 * before)


def test_an_affine_registration_to_a_ct_corrects_what_extents_leave():
    """Whose vertex a slice of 5 mm may miss."""
    fixed, ct = head(scale=1.04), head()
    start = by_extents(fixed, ct)
    assert error_hu(ct, affine_to_ct(fixed, ct, start, 5.0), fixed) < 0.5 * error_hu(ct, start, fixed)


def test_an_affine_registration_to_an_mr_is_better_than_extents():
    mr, ct, truth = head(0), head(scale=1.04), head()
    assert error_hu(ct, affine_to_mr(mr, ct), truth) < 0.6 * error_hu(ct, by_extents(mr, ct), truth)


def test_where_the_optimiser_ends_worse_the_start_is_taken(monkeypatch):
    monkeypatch.setattr(sitk.ImageRegistrationMethod, "GetMetricValue", lambda self: float("inf"))
    fixed, moving = head(), tilted(head(), 8.0)
    start = by_extents(fixed, moving)
    assert affine_to_ct(fixed, moving, start, 5.0).GetParameters() == start.GetParameters()


def test_heads_that_do_not_meet_stay_where_they_are():
    fixed, moving = head(), head()
    away = sitk.AffineTransform(3)
    away.SetTranslation((1000.0, 0.0, 0.0))
    assert affine_to_ct(fixed, moving, away, 5.0).GetParameters() == away.GetParameters()


def on_grid(ct: Head, transform: sitk.Transform, grid: sitk.Image) -> Head:
    hu, inside = laid(ct, transform, grid)
    spacing = SPACING_MM if grid.GetDimension() == 3 else (SPACING_MM[0], *SPACING_MM[1:])
    return Head.of(hu.reshape(-1, *hu.shape[-2:]), inside.reshape(-1, *hu.shape[-2:]), spacing, -1000.0)


@pytest.mark.parametrize("slices", [slice(None), slice(20, 21)])
def test_a_deformation_corrects_what_an_affine_registration_leaves(slices):
    fixed, ct = head(slices=slices), head(scale=1.07, slices=slices)
    affine = by_extents(fixed, ct)
    affine.SetTranslation(np.add(affine.GetTranslation(), 4.0).tolist())
    deformation = deformed_to(fixed, on_grid(ct, affine, fixed.image))
    both = sitk.CompositeTransform([affine, deformation])
    assert error_hu(ct, both, fixed) < 0.7 * error_hu(ct, affine, fixed)


def test_a_ct_that_lies_where_it_should_is_not_deformed():
    fixed = head()
    field = sitk.GetArrayFromImage(sitk.DisplacementFieldTransform(deformed_to(fixed, fixed)).GetDisplacementField())
    assert np.abs(field).max() < 0.01  # mm


def test_no_point_is_displaced_further_than_is_allowed():
    fixed, ct = head(), head(scale=1.1)
    free, bounded = (
        sitk.GetArrayFromImage(sitk.DisplacementFieldTransform(field).GetDisplacementField())
        for field in (deformed_to(fixed, ct), deformed_to(fixed, ct, max_mm=2.0))
    )
    lengths = np.linalg.norm(free, axis=-1)
    assert lengths.max() > 2.0
    assert np.linalg.norm(bounded, axis=-1) == pytest.approx(np.minimum(lengths, 2.0))


def test_a_deformation_is_the_same_in_every_run():
    fixed, ct = head(), head(scale=1.04)
    once, again = (deformed_to(fixed, ct).TransformPoint((60.0, 60.0, 60.0)) for _ in range(2))
    assert once == again


def test_the_way_by_the_median_is_one_affine_transform():
    to_median, to_ct = sitk.AffineTransform(3), sitk.AffineTransform(3)
    to_median.SetParameters([1.1, 0.1, 0, 0, 0.9, 0.05, 0.02, 0, 1, 5, -3, 2])
    to_median.SetCenter((10.0, 20.0, 30.0))
    to_ct.SetParameters([0.9, 0, 0.1, 0.03, 1, 0, 0, 0.1, 1.2, -4, 1, 7])
    (whole,) = through_median(MedianCt(head(), (to_ct,)), to_median)
    point = (12.0, 34.0, 56.0)
    assert whole.TransformPoint(point) == pytest.approx(to_ct.TransformPoint(to_median.TransformPoint(point)))


def test_the_median_of_one_head_in_many_sizes_is_that_head():
    cts = [head(scale=scale, shift_mm=shift) for scale, shift in zip(SCALES, SHIFTS)]
    median = median_ct(cts)
    values = sitk.GetArrayFromImage(median.head.image)[sitk.GetArrayFromImage(median.head.mask) > 0]
    for name, (_, hu) in VALUES.items():
        share = np.mean(np.abs(values - hu) < 300)
        assert share > {"brain": 0.4, "bone": 0.1, "skin": 0.05, "cavity": 0.003}[name], name
    for ct, transform in zip(cts, median.transforms):
        assert error_hu(ct, transform, median.head) < 90


def test_cts_reach_an_mr_by_way_of_their_median_and_the_misplaced_is_left_out():
    mr, truth = head(0, scale=0.97, shift_mm=(0, 5, 5)), head(1, scale=0.97, shift_mm=(0, 5, 5))
    cts = [head(scale=scale, shift_mm=shift) for scale, shift in zip(SCALES, SHIFTS)]
    median = median_ct(cts)
    transforms = through_median(median, affine_to_mr(mr, median.head))
    assert max(error_hu(ct, transform, truth) for ct, transform in zip(cts, transforms)) < 200
    wrong = sitk.TranslationTransform(3, (60.0, 0.0, 0.0))
    transforms[1] = sitk.CompositeTransform([transforms[1], wrong])
    assert set(best_fitting(mr, cts, transforms, 2)) == {0, 2}


def test_single_slices_are_registered_in_their_plane():
    middle = slice(20, 21)
    mr, truth = head(0, slices=middle), head(slices=middle)
    cts = [head(scale=scale, shift_mm=(0.0, *shift[1:]), slices=middle) for scale, shift in zip(SCALES, SHIFTS)]
    median = median_ct(cts)
    assert median.head.image.GetDimension() == 2
    for ct, transform in zip(cts, through_median(median, affine_to_mr(mr, median.head))):
        assert error_hu(ct, transform, truth) < 130


def test_registrations_are_the_same_in_every_run_and_with_any_number_of_threads():
    cts = [head(scale=scale) for scale in SCALES[:2]]
    once, again = (median_ct(cts, threads=threads).transforms[1].GetParameters() for threads in (1, 2))
    assert once == again
