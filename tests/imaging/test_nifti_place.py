"""Where a NIfTI file says that it lies: in its qform, its sform and its pixdim; and its voxels."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from synthct.errors import ImageError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import read_image

PIXDIM, QFORM_CODE, SFORM_CODE, QOFFSET_X, SFORM = 80, 252, 254, 268, 280  # bytes of the header, nifti1.h
TILTED = make_grid((8, 9, 10), (1.5, 2.0, 2.5), "PIR", tilt_deg=(20.0, -10.0, 5.0), centre_mm=(30.0, -20.0, 10.0))


@pytest.fixture
def path(tmp_path):
    """A tilted volume as ITK writes it, with both forms."""
    image = TILTED.place(np.arange(720, dtype=np.int16).reshape(TILTED.array_shape))
    sitk.WriteImage(image, str(tmp_path / "P.nii"))
    return tmp_path / "P.nii"


def write_header(path, offset, form, *values):
    content = bytearray(path.read_bytes())
    struct.pack_into(f"<{form}", content, offset, *values)
    path.write_bytes(bytes(content))


def read_header(path, offset, form):
    return struct.unpack_from(f"<{form}", path.read_bytes(), offset)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "AIL", "SRP"])
@pytest.mark.parametrize("tilt_deg", [(0.0, 0.0, 0.0), (20.0, -35.0, 12.0), (170.0, 80.0, -100.0)])
def test_both_forms_as_itk_writes_them_agree(tmp_path, orientation, tilt_deg):
    grid = make_grid((8, 9, 10), (1.5, 2.0, 2.5), orientation, tilt_deg)
    sitk.WriteImage(grid.place(np.arange(720, dtype=np.int16).reshape(grid.array_shape)), str(tmp_path / "P.nii"))
    assert Grid.of(read_image(tmp_path / "P.nii")).matches(grid)


@pytest.mark.parametrize("missing", [QFORM_CODE, SFORM_CODE])
def test_one_form_alone_says_where_the_volume_lies(path, missing):
    write_header(path, missing, "h", 0)
    assert Grid.of(read_image(path)).matches(TILTED)


@pytest.mark.parametrize("offset", [QOFFSET_X, SFORM + 12])  # the place along x in either form
def test_forms_that_disagree_are_refused_with_their_distance(path, offset):
    (place_mm,) = read_header(path, offset, "f")
    write_header(path, offset, "f", place_mm + 7.0)
    with pytest.raises(ImageError, match="P.nii .* qform and its sform two places that are 7 mm apart; .*fslorient"):
        read_image(path)


def test_rounding_of_the_forms_is_no_disagreement(path):
    (place_mm,) = read_header(path, QOFFSET_X, "f")
    write_header(path, QOFFSET_X, "f", place_mm + 0.4)
    read_image(path)


def test_a_rotation_that_one_form_lacks_is_reported(path):
    write_header(path, 256, "3f", 0.0, 0.0, 0.0)
    with pytest.raises(ImageError, match="qform and its sform"):
        read_image(path)


def test_axes_of_a_tilted_gantry_are_refused(path):
    write_header(path, QFORM_CODE, "h", 0)
    write_header(path, SFORM, "12f", 1, 0, 0, 0, 0, 1, 0.3, 0, 0, 0, 1, 0)
    with pytest.raises(ImageError, match="axes that are not perpendicular; resample it"):
        read_image(path)


def affine_in(path) -> np.ndarray:
    """The sform's matrix (3, 4), as written."""
    return np.reshape(read_header(path, SFORM, "12f"), (3, 4))


@pytest.mark.parametrize(
    "spacing_mm",
    [(1.0, 1.0, 1.0), (2.5, 1.5, 2.0), (1.5, 2.0, 2.5), (0.2, 0.25, 0.15), (3.0, 2.5, 1.5)],
)
@pytest.mark.parametrize("flipped", [False, True])
def test_a_spacing_in_pixdim_that_is_not_the_sforms_is_refused(path, spacing_mm, flipped):
    write_header(path, QFORM_CODE, "h", 0)
    write_header(path, PIXDIM, "3f", *spacing_mm)
    if flipped:
        write_header(path, SFORM, "12f", *(affine_in(path) * (-1, 1, 1, 1)).ravel())
    with pytest.raises(ImageError, match="P.nii .* 2 x 2.5 x 1.5 mm in its sform .* in its pixdim") as fault:
        read_image(path)
    assert " x ".join(f"{v:g}" for v in spacing_mm) in str(fault.value)


def test_rounding_of_pixdim_is_no_disagreement_and_the_sform_holds(path):
    write_header(path, QFORM_CODE, "h", 0)
    write_header(path, PIXDIM, "3f", 2.01, 2.5, 1.5)
    assert Grid.of(read_image(path)).matches(TILTED)


def test_an_axis_of_length_0_in_the_sform_is_refused(path):
    write_header(path, QFORM_CODE, "h", 0)
    write_header(path, SFORM, "12f", *(affine_in(path) * (1, 0, 1, 1)).ravel())
    with pytest.raises(ImageError, match="P.nii .*axis of length 0"):
        read_image(path)


def test_two_parallel_axes_in_the_sform_are_refused(path):
    write_header(path, QFORM_CODE, "h", 0)
    affine = affine_in(path)
    affine[:, 1] = affine[:, 0]
    write_header(path, SFORM, "12f", *affine.ravel())
    with pytest.raises(ImageError, match="not perpendicular"):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_file_without_either_code_is_refused(path, ending, order):
    write_header(path, QFORM_CODE, "2h", 0, 0)
    content = path.read_bytes() if order == "<" else in_other_byte_order(path.read_bytes())
    other = path.with_name(f"Q{ending}")
    other.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    with pytest.raises(ImageError, match=f"Q{ending} .*does not say how it is oriented") as fault:
        read_image(other)
    assert "fslorient" in str(fault.value)


def test_a_file_of_the_other_byte_order_lies_at_the_same_place(path):
    path.write_bytes(in_other_byte_order(path.read_bytes()))
    image = read_image(path)
    assert Grid.of(image).matches(TILTED)
    assert sitk.GetArrayFromImage(image).ravel().tolist() == list(range(720))


@pytest.mark.parametrize(("magic", "words"), [(b"\0\0\0\0", "ANALYZE"), (b"ni1\0", "pair"), (b"n+2\0", "ANALYZE")])
def test_headers_of_analyze_and_of_pairs_are_refused(path, magic, words):
    write_header(path, 344, "4s", magic)
    with pytest.raises(ImageError, match=f"P.nii .*{words}"):
        read_image(path)


@pytest.mark.parametrize(("unit", "word"), [(1, "metres"), (3, "micrometres")])
def test_lengths_in_another_unit_than_mm_are_refused(path, unit, word):
    write_header(path, 123, "B", unit | 8)
    with pytest.raises(ImageError, match=f"lengths are {word}"):
        read_image(path)


def test_a_quaternion_longer_than_1_is_refused(path):
    write_header(path, 254, "h", 0)
    write_header(path, 256, "3f", 1.0, 1.0, 0.0)
    with pytest.raises(ImageError, match="quaternion has the length 1.414"):
        read_image(path)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_of_voxel_is_read_as_it_is_written(tmp_path, kind):
    values = np.arange(720, dtype=kind).reshape(TILTED.array_shape)
    sitk.WriteImage(TILTED.place(values), str(tmp_path / "P.nii.gz"))
    read = sitk.GetArrayFromImage(read_image(tmp_path / "P.nii.gz"))
    assert read.dtype == values.dtype and (read == values).all()


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "offset"),
    [(2.0, -1024.0, 2.0, -1024.0), (0.0, 5.0, 1.0, 0.0), (1.0, -1024.0, 1.0, -1024.0), (-1.0, 0.0, -1.0, 0.0)],
)
def test_slope_and_intercept_are_applied(path, slope, intercept, factor, offset):
    write_header(path, 112, "2f", slope, intercept)
    read = sitk.GetArrayFromImage(read_image(path)).ravel()
    assert (read == factor * np.arange(720) + offset).all()


def in_other_byte_order(content: bytes) -> bytes:
    """A little-endian file of 16-bit voxels as a big-endian machine would have written it."""
    header = bytearray(content[:352])
    for width, first, count in ((4, 0, 1), (2, 40, 8), (2, 68, 4), (4, 76, 11), (2, 252, 2), (4, 256, 18)):
        for at in range(first, first + width * count, width):
            header[at : at + width] = header[at : at + width][::-1]
    return bytes(header) + np.frombuffer(content[352:], "<i2").astype(">i2").tobytes()
