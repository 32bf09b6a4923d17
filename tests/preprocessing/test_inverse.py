"""MR grid -> slices -> MR grid: the same HU, in the same place, with the MR's geometry to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from synthetic_datasets import small_configuration
from synthetic_heads import head_mr, head_truth, make_grid, points_mm, same_geometry, smooth_hu

from synthct.dataset.images import CaseImages
from synthct.imaging.coding import AIR_HU, GreyLevels
from synthct.imaging.geometry import Grid, resample
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.inverse import volume_from_slices
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

FAR = (812.3, -1200.7, 433.1)  # mm
GRIDS = {
    "plain": ((62, 80, 78), (3.0, 3.0, 3.0), "LPS", (0, 0, 0)),
    "oblique about x": ((62, 80, 78), (3.0, 3.0, 3.0), "LPS", (25, 0, 0)),
    "oblique about all": ((62, 80, 78), (3.0, 3.0, 3.0), "LPS", (10, -30, 20)),
    "flipped": ((62, 80, 78), (3.0, 3.0, 3.0), "RAI", (0, 0, 0)),
    "permuted and oblique": ((62, 80, 78), (3.0, 2.8, 3.2), "SLP", (0, 15, -10)),
    "sagittal as stored": ((61, 81, 77), (3.0, 3.0, 3.0), "PIR", (0, 0, 10)),
    "4 mm axial slices": ((77, 101, 59), (2.5, 2.4, 4.0), "LPS", (12, 0, 0)),
    "odd sizes, field of view cut through the neck and the nose": ((71, 63, 53), (2.7, 3.1, 3.3), "ASR", (0, 0, 5)),
}
PLANES = {"sagittal": (3.0, 2.0, 2.0), "axial": (4.0, 2.0, 2.0), "coronal": (3.0, 2.5, 2.5)}


def plan_for(plane: str = "sagittal") -> PreprocessingPlan:
    return small_configuration(
        slice_plane=plane, spacing_mm=PLANES[plane], slice_scale=1.0, slice_size=(128, 128)
    ).preprocessing


def images_of(grid: Grid, hu: np.ndarray) -> CaseImages:
    """A head on ``grid`` whose CT, on the same grid, holds ``hu`` everywhere."""
    ct = grid.place(hu.astype(np.float32))
    return CaseImages("P", (head_mr(grid, centre_mm=FAR),), ct, head_truth(grid, centre_mm=FAR))


def there_and_back(images: CaseImages, plan: PreprocessingPlan) -> tuple[SliceStack, sitk.Image]:
    """Through the cached slices, 256 grey levels (black outside the head) and what a perfect network would give."""
    stack = slices_of_case(images, plan)
    grid = Grid.from_plain(json.loads(json.dumps(stack.info["grid"])))
    mask = sitk.Cast(images.given_mask, sitk.sitkUInt8)
    coding = GreyLevels()
    network = coding.ct_to_network(stack.ct.astype(np.float32), stack.ct != OUTSIDE)
    return stack, volume_from_slices(coding.network_to_hu(network), grid, mask)


def deep(mask: sitk.Image, depth_mm: float = 8.0) -> np.ndarray:
    """Voxels of a mask that far from its border and from the image's."""
    inside = np.pad(sitk.GetArrayFromImage(mask) > 0, 1)
    return ndimage.distance_transform_edt(inside, sampling=mask.GetSpacing()[::-1])[1:-1, 1:-1, 1:-1] > depth_mm


@pytest.mark.parametrize("name", list(GRIDS))
def test_hu_come_back_on_the_original_grid(name):
    grid = make_grid(*GRIDS[name], centre_mm=FAR)
    hu = smooth_hu(points_mm(grid) - np.reshape(FAR, (3, 1, 1, 1)))
    images = images_of(grid, hu)
    _, volume = there_and_back(images, plan_for())
    assert same_geometry(volume, images.mr[0])
    assert volume.GetPixelID() == sitk.sitkInt16
    # A grey level is 7.8 HU, so that rounding alone errs by 2 HU in the mean.
    error = (sitk.GetArrayFromImage(volume) - hu)[deep(images.given_mask)]
    assert error.size > 5000
    assert np.abs(error).mean() < 5 and np.percentile(np.abs(error), 99) < 15
    assert abs(error.mean()) < 1


@pytest.mark.parametrize("plane", list(PLANES))
def test_hu_come_back_from_every_slice_plane(plane):
    grid = make_grid(*GRIDS["permuted and oblique"], centre_mm=FAR)
    hu = smooth_hu(points_mm(grid) - np.reshape(FAR, (3, 1, 1, 1)))
    images = images_of(grid, hu)
    stack, volume = there_and_back(images, plan_for(plane))
    assert stack.ct.shape[0] < stack.ct.shape[1]
    assert np.abs(sitk.GetArrayFromImage(volume) - hu)[deep(images.given_mask)].mean() < 5


@pytest.mark.parametrize("name", list(GRIDS))
@pytest.mark.parametrize("axis", range(3))
def test_nothing_is_shifted(name, axis):
    """A ramp of 4 HU a mm, not rounded to grey levels, shows a shift of a tenth of a voxel."""
    grid = make_grid(*GRIDS[name], centre_mm=FAR)
    ramp = 4.0 * (points_mm(grid)[axis] - FAR[axis]) + 400
    images = images_of(grid, ramp)
    slice_grid = Grid.from_plain(slices_of_case(images, plan_for()).info["grid"])
    slices = sitk.GetArrayFromImage(resample(images.ct, slice_grid))
    volume = volume_from_slices(slices, slice_grid, images.given_mask)
    shift_mm = (sitk.GetArrayFromImage(volume) - ramp)[deep(images.given_mask, 12)] / 4
    assert np.abs(shift_mm).max() < 0.3
    assert abs(shift_mm.mean()) < 0.02


@pytest.mark.parametrize("name", list(GRIDS))
def test_every_voxel_of_the_head_gets_hu_and_none_outside(name):
    grid = make_grid(*GRIDS[name], centre_mm=FAR)
    images = images_of(grid, np.full(grid.array_shape, 300.0))
    stack, _ = there_and_back(images, plan_for())
    slice_grid = Grid.from_plain(stack.info["grid"])
    volume = volume_from_slices(np.full(slice_grid.array_shape, 300.0), slice_grid, images.given_mask)
    values, head = sitk.GetArrayFromImage(volume), sitk.GetArrayFromImage(images.given_mask) > 0
    assert (values[head] == 300).all()
    assert (values[~head] == AIR_HU).all()


def test_minus_one_to_one_is_the_ct_window_and_is_not_rounded():
    hu = GreyLevels().network_to_hu(np.float32([-1, 0, 1, 0.0005]))
    assert hu.dtype == np.float32
    assert hu == pytest.approx([-600, 400, 1400, 400.5], abs=0.01)


def test_hu_are_rounded_to_the_nearest_whole():
    grid = make_grid((8, 8, 8))
    mask = grid.place(np.ones(grid.array_shape, np.uint8))
    volume = volume_from_slices(np.full(grid.array_shape, -599.6), grid, mask)
    assert set(np.unique(sitk.GetArrayFromImage(volume))) == {-600}
