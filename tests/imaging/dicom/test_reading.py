"""A voxel of a DICOM series appears in the volume with its value and at its true place, or the series is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_dicom import (
    AXIAL,
    NAME,
    SAGITTAL,
    compress,
    straight_positions,
    write_multi_frame,
    write_series,
)

from synthct.errors import ImageError
from synthct.imaging.dicom import find_series, read_series

TILTED = (1.0, 0.0, 0.0, 0.0, np.cos(np.radians(18.5)), -np.sin(np.radians(18.5)))  # gantry tilt
OBLIQUE = (0.96, 0.28, 0.0, -0.28 * 0.8, 0.96 * 0.8, -0.6)


def noise(n: int = 12, rows: int = 7, columns: int = 9, dtype=np.uint16, high: int = 3000) -> np.ndarray:
    return np.random.default_rng(3).integers(0, high, (n, rows, columns)).astype(dtype)


def read(folder: Path) -> sitk.Image:
    (series,) = find_series(folder)
    return read_series(series)


def true_point(positions: np.ndarray, orientation, pixel_spacing, k: int, row: int, column: int) -> np.ndarray:
    """Equation C.7.6.2.1-1 of DICOM PS3.3: where a stored voxel lies (LPS, mm)."""
    along_row, down_column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    return positions[k] + along_row * pixel_spacing[1] * column + down_column * pixel_spacing[0] * row


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
def test_every_voxel_keeps_its_value_and_its_place(tmp_path, orientation):
    volume, spacing = noise(), (0.8, 0.5)
    positions = straight_positions(12, 1.7, orientation, (-30.0, 12.0, 5.0))
    write_series(tmp_path, volume, positions, orientation=orientation, pixel_spacing=spacing)
    image = read(tmp_path)
    assert image.GetPixelID() == sitk.sitkInt16
    assert (sitk.GetArrayFromImage(image) == np.maximum(volume.astype(int) - 1024, -1024)).all()
    for k, row, column in [(0, 0, 0), (11, 6, 8), (4, 5, 2)]:
        point = image.TransformIndexToPhysicalPoint((column, row, k))
        assert np.allclose(point, true_point(positions, orientation, spacing, k, row, column), atol=1e-4)


def test_slices_stored_from_head_to_foot_are_turned_round(tmp_path):
    volume = noise()
    positions = straight_positions(12, 2.0, AXIAL)[::-1]
    write_series(tmp_path, volume, positions)
    image = read(tmp_path)
    assert image.GetOrigin() == (0, 0, 0)
    assert (sitk.GetArrayFromImage(image) == np.maximum(volume.astype(int)[::-1] - 1024, -1024)).all()


def test_slice_thickness_is_not_taken_for_the_distance_of_slices(tmp_path):
    write_series(tmp_path, noise(), straight_positions(12, 3.0, AXIAL), SliceThickness=5.0)
    assert read(tmp_path).GetSpacing() == pytest.approx((1, 1, 3))


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_every_slice_has_its_own_slope(tmp_path, modality):
    volume = noise()
    rescales = [(0.5 + 0.25 * k, -3.0 * k) for k in range(12)]
    write_series(tmp_path, volume, straight_positions(12, 2.0, AXIAL), modality=modality, rescale=rescales)
    image = read(tmp_path)
    assert image.GetPixelID() == sitk.sitkFloat32
    slopes, intercepts = np.array(rescales).T[:, :, None, None]
    assert np.allclose(sitk.GetArrayFromImage(image), volume * slopes + intercepts, atol=1e-3)


def test_values_beyond_16_bits_become_float(tmp_path):
    volume = noise(high=4000) * np.uint16(1)
    write_series(tmp_path, volume, straight_positions(12, 2.0, AXIAL), modality="MR", rescale=(20, 0))
    image = read(tmp_path)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert (sitk.GetArrayFromImage(image) == volume.astype(int) * 20).all()


def test_padding_of_a_ct_becomes_air(tmp_path):
    volume = noise(dtype=np.int16)
    volume[:, :2] = -2000
    write_series(tmp_path, volume, straight_positions(12, 2.0, AXIAL))
    values = sitk.GetArrayFromImage(read(tmp_path))
    assert (values[:, :2] == -1024).all()
    assert (values[:, 2:] == volume[:, 2:] - 1024).all()


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000", "RLE"])
def test_compressed_files_are_decoded(tmp_path, compressor):
    volume = noise(rows=32, columns=40)
    write_series(tmp_path, volume, straight_positions(12, 2.0, AXIAL, (3, 4, 5)), modality="MR", rescale=(1, 0))
    before = read(tmp_path)
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir())
    compress(tmp_path, compressor)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) != sizes
    after = read(tmp_path)
    assert (sitk.GetArrayFromImage(after) == volume).all()
    assert (sitk.GetArrayFromImage(before) == volume).all()
    assert after.GetOrigin() == before.GetOrigin() and after.GetSpacing() == before.GetSpacing()


# Where slices truly lie: a bright voxel in each appears there and nowhere else.


def assert_bright_voxels_lie_where_they_are(folder: Path, orientation, positions, spacing, rows=40, columns=12):
    """One bright voxel a slice at a time; the centre of brightness in the volume is its true point."""
    for k in (0, len(positions) // 2, len(positions) - 1):
        volume = np.zeros((len(positions), rows, columns), np.uint16)
        volume[k, 20, 5] = 2000
        target = folder / str(k)
        write_series(target, volume, positions, orientation=orientation, pixel_spacing=spacing)
        image = read(target)
        bright = sitk.GetArrayFromImage(image).astype(float) + 1024
        assert bright.max() > 500
        z, y, x = (float((bright * index).sum() / bright.sum()) for index in np.indices(bright.shape))
        found = image.TransformContinuousIndexToPhysicalPoint((x, y, z))
        wrong = np.linalg.norm(found - true_point(positions, orientation, spacing, k, 20, 5))
        assert wrong < 0.5 * min(*spacing, image.GetSpacing()[2])


def test_a_tilted_gantry_is_put_straight(tmp_path):
    positions = np.array([[-6.0, -20.0, 4.0 * k] for k in range(12)])  # the table moves along z, slices are tilted
    assert_bright_voxels_lie_where_they_are(tmp_path, TILTED, positions, (0.5, 0.6))
    image = read(tmp_path / "0")
    assert image.GetSpacing()[2] == pytest.approx(4 * np.cos(np.radians(18.5)), abs=1e-3)
    axes = np.reshape(image.GetDirection(), (3, 3))
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)  # orthogonal: nothing is left of the shear
    last = true_point(positions, TILTED, (0.5, 0.6), 11, 39, 11)
    assert all(0 <= i < n for i, n in zip(image.TransformPhysicalPointToIndex(last), image.GetSize()))  # and held


def test_uneven_gaps_are_interpolated_between_true_positions(tmp_path):
    depths = np.cumsum([0, 2, 2, 1.2, 2, 2.6, 2, 2, 1.5, 2, 2, 2])
    positions = np.array([[0.0, 0.0, depth] for depth in depths])
    ramp = np.repeat(np.round(100 * depths).astype(np.uint16), 40 * 12).reshape(12, 40, 12)  # grey value = 100 x depth
    write_series(tmp_path, ramp, positions, rescale=(1, 0))
    image = read(tmp_path)
    centres = np.array([image.TransformIndexToPhysicalPoint((0, 0, k))[2] for k in range(image.GetSize()[2])])
    assert np.ptp(np.diff(centres)) < 1e-5 and centres[0] == 0 and centres[-1] == pytest.approx(depths[-1])
    assert np.allclose(sitk.GetArrayFromImage(image)[:, 3, 3], 100 * centres, atol=1)


def test_uneven_gaps_under_a_tilted_gantry(tmp_path):
    depths = np.cumsum([0, 3, 3, 3, 1.1, 3, 3, 3.9, 3, 3, 3, 3])
    positions = np.array([[-6.0, -20.0, depth] for depth in depths])
    assert_bright_voxels_lie_where_they_are(tmp_path, TILTED, positions[[0, *range(1, 12)]], (0.5, 0.6))


def test_a_missing_thin_slice_is_interpolated_and_the_others_stay_as_they_are(tmp_path):
    volume, there = noise(14, high=2000), [k for k in range(14) if k != 5]
    positions = straight_positions(14, 1.25, AXIAL)
    write_series(tmp_path, volume[there], positions[there])
    values = sitk.GetArrayFromImage(read(tmp_path))
    assert values.shape[0] == 14
    assert (values[there] == volume[there].astype(int) - 1024).all()
    middle = (volume[4].astype(int) + volume[6]) / 2 - 1024
    assert np.abs(values[5] - middle).max() <= 0.5


@pytest.mark.parametrize(("gap_mm", "missing"), [(5.0, {5}), (1.0, {5, 6})])
def test_a_gap_that_hides_anatomy_is_refused_naming_the_series(tmp_path, gap_mm, missing):
    there = [k for k in range(16) if k not in missing]
    positions = straight_positions(16, gap_mm, AXIAL)
    write_series(tmp_path, noise(len(there)), positions[there], number=3, description="Brain 5mm")
    with pytest.raises(ImageError) as fault:
        read(tmp_path)
    text = str(fault.value)
    width = gap_mm * (len(missing) + 1)
    assert "CT series 3 'Brain 5mm'" in text and f"{width:.2f} mm" in text and f"{gap_mm:.2f} mm are usual" in text
    assert NAME not in text and str(tmp_path) not in text and "\n" not in text


@pytest.mark.parametrize("first_thick_gap_mm", [5.5, 7.0])
def test_thick_slices_that_touch_hide_nothing(tmp_path, first_thick_gap_mm):
    depths = np.cumsum([0.0, 4, 4, 4, 4, 4, 4, first_thick_gap_mm, 7, 7, 7])
    positions = np.array([[0.0, 0.0, depth] for depth in depths])
    write_series(tmp_path, noise(11), positions, each=lambda k: {"SliceThickness": 4.0 if k < 7 else 7.0})
    if first_thick_gap_mm == 7.0:  # 1.5 mm between the faces of the two slices are in neither
        with pytest.raises(ImageError, match="7.00 mm between images 7 and 8"):
            read(tmp_path)
    else:
        assert read(tmp_path).GetSize()[2] == round(depths[-1] / 4) + 1


def test_slices_that_lie_beside_each_other_are_refused(tmp_path):
    positions = straight_positions(12, 2.0, AXIAL)
    positions[6:, 0] += 80
    write_series(tmp_path, noise(), positions)
    with pytest.raises(ImageError, match="80.0 mm beside"):
        read(tmp_path)


def test_a_file_without_its_voxels_is_refused_without_its_path(tmp_path):
    write_series(tmp_path / NAME, noise(), straight_positions(12, 2.0, AXIAL))
    path = sorted((tmp_path / NAME).iterdir())[3]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ImageError, match="cannot be decoded") as fault:
        read(tmp_path)
    assert NAME not in str(fault.value)


# Multi-frame files


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_multi_frame_file_is_read_in_the_order_of_positions(tmp_path, modality):
    volume, positions = noise(), straight_positions(12, 1.5, SAGITTAL, (7, 8, 9))
    order = np.random.default_rng(1).permutation(12)
    write_multi_frame(
        tmp_path / "one", volume[order], positions[order], modality=modality, orientation=SAGITTAL, rescale=[(2, -100)]
    )
    image = read(tmp_path)
    assert (sitk.GetArrayFromImage(image) == 2 * volume.astype(int) - 100).all()
    assert image.TransformIndexToPhysicalPoint((8, 6, 11)) == pytest.approx(
        true_point(positions, SAGITTAL, (1, 1), 11, 6, 8)
    )


def test_frames_with_slopes_of_their_own_are_refused(tmp_path):
    rescale = [(1 + 0.1 * k, 0) for k in range(12)]
    write_multi_frame(tmp_path / "one", noise(), straight_positions(12, 1.5, AXIAL), rescale=rescale)
    with pytest.raises(ImageError, match="one file a slice"):
        read(tmp_path)
