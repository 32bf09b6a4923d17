"""Images in and out in every file format; files that cannot be used are refused in one sentence."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from synthct.errors import DiskError, ImageError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import FILE_ENDINGS, check_volume, image_name, read_image, write_image


@pytest.fixture
def image() -> sitk.Image:
    grid = make_grid((5, 6, 7), (1, 2, 3), "PIR", (10, -5, 20), (40, -300, 900))
    return grid.place(np.random.default_rng(0).integers(-1000, 2000, grid.array_shape).astype(np.int16))


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_every_format_keeps_values_and_geometry(image, tmp_path, ending):
    path = tmp_path / "deeper" / f"P{ending}"
    write_image(image, path)
    back = read_image(path)
    assert (sitk.GetArrayFromImage(back) == sitk.GetArrayFromImage(image)).all()
    assert back.GetPixelID() == image.GetPixelID()
    assert Grid.of(back).matches(Grid.of(image), tolerance_mm=1e-3)  # NIfTI stores the direction as float32
    assert {file.suffix for file in path.parent.iterdir()} <= {".gz", ".nii", ".mha", ".mhd", ".zraw", ".raw", ".nrrd"}
    assert len(list(path.parent.iterdir())) == (2 if ending == ".mhd" else 1)  # nothing temporary is left


@pytest.mark.parametrize(
    ("name", "expected"),
    [("P_0000.nii.gz", "P_0000"), ("a.b.mha", "a.b"), ("P.nii", "P"), ("P.raw", None), ("P.NII.GZ", None)],
)
def test_the_name_of_an_image_is_what_stands_before_its_ending(tmp_path, name, expected):
    assert image_name(tmp_path / name) == expected


def message_of(path) -> str:
    with pytest.raises(ImageError) as fault:
        read_image(path)
    message = str(fault.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_another_ending_is_reported(tmp_path):
    assert ".nii.gz" in message_of(tmp_path / "P.dcm")


def test_a_missing_file_or_a_folder_is_reported(tmp_path):
    assert "missing" in message_of(tmp_path / "P.nii")
    (tmp_path / "Q.nii").mkdir()
    assert "not a file" in message_of(tmp_path / "Q.nii")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x1f\x8b half a gzip"])
@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_a_damaged_file_is_reported(tmp_path, ending, content):
    path = tmp_path / f"P{ending}"
    path.write_bytes(content)
    assert "replace the file" in message_of(path)


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_a_truncated_file_is_reported(tmp_path, ending):
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 9999, (40, 40, 40)).astype(np.int16))
    write_image(noise, tmp_path / f"P{ending}")
    data = tmp_path / ("P.zraw" if ending == ".mhd" else f"P{ending}")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    message_of(tmp_path / f"P{ending}")


def test_a_compressed_nifti_with_damaged_bytes_is_reported(tmp_path):
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 9999, (40, 40, 40)).astype(np.int16))
    write_image(noise, tmp_path / "P.nii.gz")
    content = bytearray((tmp_path / "P.nii.gz").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    (tmp_path / "P.nii.gz").write_bytes(content)
    message_of(tmp_path / "P.nii.gz")


def test_an_mhd_without_its_data_file_is_reported(image, tmp_path):
    write_image(image, tmp_path / "P.mhd")
    (tmp_path / "P.zraw").unlink()
    message_of(tmp_path / "P.mhd")


def test_four_dimensions_are_reported_unless_there_is_one_volume(image, tmp_path):
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(tmp_path / "two.nii.gz"))
    assert "4-D (" in message_of(tmp_path / "two.nii.gz")
    sitk.WriteImage(sitk.JoinSeries([image]), str(tmp_path / "one.nrrd"))
    assert read_image(tmp_path / "one.nrrd").GetSize() == image.GetSize()


def test_two_dimensions_and_single_slices_are_reported(image, tmp_path):
    sitk.WriteImage(image[:, :, 0], str(tmp_path / "flat.mha"))
    assert "2-D" in message_of(tmp_path / "flat.mha")
    sitk.WriteImage(image[:, :1, :], str(tmp_path / "slice.mha"))
    assert "a 3-D volume is needed" in message_of(tmp_path / "slice.mha")


def test_rgb_is_reported(image, tmp_path):
    sitk.WriteImage(sitk.Compose(*[sitk.Cast(image, sitk.sitkUInt8)] * 3), str(tmp_path / "rgb.nrrd"))
    assert "3 values a voxel" in message_of(tmp_path / "rgb.nrrd")


def test_complex_values_are_reported(image, tmp_path):
    real = sitk.Cast(image, sitk.sitkFloat32)
    sitk.WriteImage(sitk.RealAndImaginaryToComplex(real, real), str(tmp_path / "complex.nii"))
    assert "complex" in message_of(tmp_path / "complex.nii")


@pytest.mark.parametrize("ending", FILE_ENDINGS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pixel_type", [np.float32, np.float64])
def test_voxels_that_are_no_numbers_are_counted(tmp_path, ending, value, pixel_type):
    values = np.zeros((5, 5, 5), pixel_type)
    values[-1, -1, -2:] = value
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"P{ending}"))
    assert "2 voxels that are NaN or infinite" in message_of(tmp_path / f"P{ending}")


def test_a_volume_in_memory_is_reported_by_its_name(image):
    check_volume(image, "The MR")
    with pytest.raises(ImageError, match="^The MR is 2-D "):
        check_volume(image[:, :, 0], "The MR")


@pytest.mark.parametrize("ending", [".nii.gz", ".mhd"])
def test_a_place_that_cannot_be_written_to_is_reported(image, tmp_path, ending):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match=r"(P.nii.gz|file): (Not a directory|File exists)"):
        write_image(image, tmp_path / "file" / f"P{ending}")


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_a_full_disk_is_reported_and_leaves_the_earlier_image(image, tmp_path, ending):
    write_image(image, tmp_path / f"P{ending}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 1000, (30, 30, 30)).astype(np.int16))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    for largest in (20, 10_000):  # within the header, and within the voxels
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limit[1]))
        try:
            with pytest.raises(DiskError, match=f"P{ending}.* free space"):
                write_image(noise, tmp_path / f"P{ending}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_image(noise, tmp_path / f"P{ending}")
    assert read_image(tmp_path / f"P{ending}")[3, 2, 1] == noise[3, 2, 1]


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_a_name_in_another_encoding_is_reported(image, tmp_path, ending):
    path = tmp_path / os.fsdecode(b"M\xfcller" + ending.encode())
    path.touch()
    for work in (lambda: read_image(path), lambda: write_image(image, path)):
        with pytest.raises(ImageError, match="is not UTF-8; rename it"):
            work()


def test_an_image_that_is_written_again_replaces_the_old_one(image, tmp_path):
    for ending in FILE_ENDINGS:
        write_image(image, tmp_path / f"P{ending}")
        write_image(image + 1, tmp_path / f"P{ending}")
        assert read_image(tmp_path / f"P{ending}")[1, 2, 3] == image[1, 2, 3] + 1
