"""Where a NIfTI file says that it lies: in its qform, its sform, or both."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from synthct.errors import ImageError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import read_image

QFORM_CODE, SFORM_CODE, QOFFSET_X, SFORM = 252, 254, 268, 280  # bytes of the header, nifti1.h
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


def test_a_rotation_that_one_form_lacks_is_told(path):
    write_header(path, 256, "3f", 0.0, 0.0, 0.0)
    with pytest.raises(ImageError, match="qform and its sform"):
        read_image(path)


def test_axes_of_a_tilted_gantry_are_refused(path):
    write_header(path, QFORM_CODE, "h", 0)
    write_header(path, SFORM, "12f", 1, 0, 0, 0, 0, 1, 0.3, 0, 0, 0, 1, 0)
    with pytest.raises(ImageError, match="axes that are not perpendicular; resample it"):
        read_image(path)
