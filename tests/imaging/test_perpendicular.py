"""Axes that are slightly skewed: read as the nearest perpendicular ones, and written as they were."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from synthct.errors import ImageError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import FILE_ENDINGS, read_image, write_image
from synthct.imaging.perpendicular import LARGEST_ERROR_MM, skew_of, with_perpendicular_axes

SIZE, SPACING_MM = (60, 72, 46), (3.48, 3.48, 4.0)
NIFTI = (".nii", ".nii.gz")


def skewed(skew: float, tilt_deg=(0.0, 0.0, 0.0), orientation="LPS", size=SIZE) -> sitk.Image:
    """The second axis leans towards the first by ``skew``."""
    grid = make_grid(size, SPACING_MM, orientation, tilt_deg)
    axes = grid.axes.copy()
    axes[:, 1] += skew * axes[:, 0]
    axes[:, 1] /= np.linalg.norm(axes[:, 1])
    image = grid.place(np.zeros(grid.array_shape, np.int16))
    image.SetDirection(axes.ravel().tolist())
    return image


def corners(image: sitk.Image) -> np.ndarray:
    grid = Grid.of(image)
    return np.array([grid.point(np.multiply(np.subtract(grid.size_xyz, 1), pick)) for pick in np.ndindex(2, 2, 2)])


def write_as(image: sitk.Image, path, codes=(0, 1)) -> None:
    """With the skewed sform alone, where it is a NIfTI file."""
    sitk.WriteImage(image, str(path))
    if path.name.endswith(NIFTI):
        content = bytearray((gzip.open if path.suffix == ".gz" else open)(path, "rb").read())
        grid = Grid.of(image)
        lps = np.column_stack([grid.axes * grid.spacing_mm_xyz, grid.origin_mm])
        struct.pack_into("<2h", content, 252, *codes)
        struct.pack_into("<12f", content, 280, *(lps * [[-1], [-1], [1]]).ravel())
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else bytes(content))


@pytest.mark.parametrize("tilt_deg", [(0.0, 0.0, 0.0), (20.0, -35.0, 12.0), (170.0, 80.0, -100.0)])
@pytest.mark.parametrize("orientation", ["LPS", "PIR", "SAR"])
@pytest.mark.parametrize("skew", [1e-4, 1e-3, 5e-3, 8e-3])
@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_a_skew_below_the_limit_is_read_with_the_nearest_axes(tmp_path, skew, tilt_deg, orientation, ending):
    image = skewed(skew, tilt_deg, orientation)
    write_as(image, tmp_path / f"P{ending}")
    read = read_image(tmp_path / f"P{ending}")
    assert skew_of(read) < 1e-6
    error_mm = np.linalg.norm(corners(read) - corners(image), axis=1).max()
    # Each of the two axes turns by half the skew; the corners lie half the extent from the middle.
    in_plane = [axis for axis in range(2)]
    expected_mm = skew / 2 * np.linalg.norm([(image.GetSize()[i] - 1) / 2 * image.GetSpacing()[i] for i in in_plane])
    assert error_mm == pytest.approx(expected_mm, rel=0.02, abs=1e-3) and error_mm < LARGEST_ERROR_MM


@pytest.mark.parametrize("ending", FILE_ENDINGS)
@pytest.mark.parametrize("skew", [0.02, 0.3])
def test_a_skew_above_the_limit_is_refused(tmp_path, ending, skew):
    write_as(skewed(skew), tmp_path / f"P{ending}")
    with pytest.raises(ImageError, match=f"P{ending} .*not perpendicular; resample it"):
        read_image(tmp_path / f"P{ending}")


def test_a_skew_that_would_move_a_corner_too_far_is_refused(tmp_path):
    write_as(skewed(9e-3, size=(120, 144, 46)), tmp_path / "P.nii")
    with pytest.raises(ImageError, match="P.nii .*shift a corner by 1.5 mm"):
        read_image(tmp_path / "P.nii")


def test_left_handed_axes_stay_left_handed_and_perpendicular_ones_as_they_are():
    image = skewed(5e-3)
    image.SetDirection((np.reshape(image.GetDirection(), (3, 3)) * (1, 1, -1)).ravel().tolist())
    squared, _ = with_perpendicular_axes(image)
    assert np.linalg.det(np.reshape(squared.GetDirection(), (3, 3))) == pytest.approx(-1)
    assert with_perpendicular_axes(squared)[0] is squared
    with pytest.raises(ValueError, match=r"0\.02"):
        with_perpendicular_axes(skewed(0.02))


@pytest.mark.parametrize("codes", [(0, 1), (0, 2), (1, 0), (4, 4)])
@pytest.mark.parametrize("ending", NIFTI)
@pytest.mark.parametrize("source_ending", NIFTI)
def test_a_nifti_written_like_another_has_its_codes_and_matrices(tmp_path, codes, ending, source_ending):
    source, written = tmp_path / f"MR{source_ending}", tmp_path / f"sCT{ending}"
    write_as(skewed(3e-3 if codes[0] == 0 else 0.0, (10.0, 5.0, 0.0)), source, codes)
    mr = read_image(source)
    sct = Grid.of(mr).place(np.full(Grid.of(mr).array_shape, 40, np.int16))
    write_image(sct, written, like=source)
    before, after = ((gzip.open if p.suffix == ".gz" else open)(p, "rb").read() for p in (source, written))
    assert before[80:92] == after[80:92] and before[252:328] == after[252:328]  # pixdim; codes to the rows of the sform
    read = read_image(written)
    assert Grid.of(read) == Grid.of(mr) and (sitk.GetArrayViewFromImage(read) == 40).all()
    assert sorted(tmp_path.iterdir()) == sorted([source, written])


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd"])
def test_another_format_keeps_a_skew_as_well(tmp_path, ending):
    image = skewed(5e-3, (10.0, 5.0, 0.0))
    write_as(image, tmp_path / f"MR{ending}")
    mr = read_image(tmp_path / f"MR{ending}")
    write_image(mr + 40, tmp_path / f"sCT{ending}", like=tmp_path / f"MR{ending}")
    assert Grid.of(sitk.ReadImage(str(tmp_path / f"sCT{ending}"))).matches(Grid.of(image), 1e-3)
    assert Grid.of(read_image(tmp_path / f"sCT{ending}")).matches(Grid.of(mr), 1e-6)


def test_another_format_than_the_sources_lies_where_the_image_does(tmp_path):
    write_as(skewed(5e-3), tmp_path / "MR.nii.gz")
    mr = read_image(tmp_path / "MR.nii.gz")
    write_image(mr, tmp_path / "sCT.mha", like=tmp_path / "MR.nii.gz")
    assert Grid.of(read_image(tmp_path / "sCT.mha")).matches(Grid.of(mr), 1e-3)
