"""What the values of a head mask mean, and which files are refused."""

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.errors import ImageError
from synthct.imaging.io import write_image
from synthct.imaging.mask_file import head_mask_of, read_head_mask

HEAD = np.pad(np.ones((6, 6, 6), np.float32), 3)


def read(folder, array):
    path = folder / "mask.nii.gz"
    write_image(sitk.GetImageFromArray(array), path)
    mask, note = read_head_mask(path)
    return sitk.GetArrayFromImage(mask), note


@pytest.mark.parametrize("value", [1, 7, 255])
def test_one_value_is_the_head_without_a_word(tmp_path, value):
    mask, note = read(tmp_path, (HEAD * value).astype(np.uint8))
    np.testing.assert_array_equal(mask, HEAD)
    assert note is None


@pytest.mark.parametrize("overshoot", [0.0, 0.3])
def test_a_mask_that_was_interpolated_is_cut_at_one_half(tmp_path, overshoot):
    ring = np.random.default_rng(0).uniform(-overshoot, 0.3, HEAD.shape)
    mask, note = read(tmp_path, np.where(HEAD > 0, 1 - ring, ring).astype(np.float32))
    np.testing.assert_array_equal(mask, HEAD)
    assert "0.5" in note


def test_an_image_in_memory_is_read_as_its_file_is():
    image = sitk.GetImageFromArray(HEAD - np.float32(0.2))
    image.SetSpacing((1.0, 2.0, 3.0))
    mask, note = head_mask_of(image, "My mask")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), HEAD)
    assert mask.GetPixelID() == sitk.sitkUInt8 and mask.GetSpacing() == image.GetSpacing()
    assert note.startswith("My mask ")


def test_labels_are_all_the_head_and_named(tmp_path):
    labels = (HEAD * (1 + np.arange(12) % 3)[:, None, None]).astype(np.uint8)
    mask, note = read(tmp_path, labels)
    np.testing.assert_array_equal(mask, HEAD)
    assert "1, 2, 3" in note


@pytest.mark.parametrize("array", [HEAD * 1040 - 1000, HEAD * 20.5 - 7.25, np.arange(1728.0).reshape(HEAD.shape)])
def test_a_scan_or_a_distance_is_refused_by_name(tmp_path, array):
    with pytest.raises(ImageError, match=r"mask\.nii\.gz is not a mask"):
        read(tmp_path, array.astype(np.float32))
