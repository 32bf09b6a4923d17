"""Headers that ITK believes, and should not: refused before it reads the file, in a moment and without its memory."""

from __future__ import annotations

import gzip
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.errors import ImageError
from synthct.imaging.io import read_image


def volume() -> sitk.Image:
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetSpacing((1.0, 2.0, 3.0))
    return image


def message_of(path: Path) -> str:
    started = time.monotonic()
    with pytest.raises(ImageError) as fault:
        read_image(path)
    assert time.monotonic() - started < 5
    message = str(fault.value)
    assert str(path) in message and "\n" not in message and message.endswith(".") and len(message) < 500
    return message


# -- text headers ------------------------------------------------------------------------------------------------------


def edited(tmp_path: Path, ending: str, old: str, new: str) -> Path:
    """A file whose header says ``new`` in place of ``old``."""
    path = tmp_path / f"P{ending}"
    sitk.WriteImage(volume(), str(path))
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    return path


@pytest.mark.parametrize("ending", [".mha", ".mhd"])
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("NDims = 3", "NDims = 2147483647", "NDims 2147483647 but 3 numbers"),  # crashed ITK
        ("NDims = 3", "NDims = -3", "NDims -3"),
        ("NDims = 3", "NDims = 11", "NDims 11"),
        ("DimSize = 5 4 3", "DimSize = 30000 30000 30000", "more than a scan has"),
        ("DimSize = 5 4 3", "DimSize = 500 400 300", "ends too early"),
        ("DimSize = 5 4 3", "DimSize = -5 4 3", "claims a size of -5 x 4 x 3"),
        ("DimSize = 5 4 3", "DimSize = 5 4 99999999999999999999", "where its header gives the size"),
        ("0 1 0 0 0 1\n", "1e308 1 1 0 17 1\n", "TransformMatrix"),  # ITK went on for ever
        ("0 1 0 0 0 1\n", "nan 1 0 0 0 1\n", "TransformMatrix"),
        ("1 0 0 0 1 0 0 0 1\n", "1 0.5 0 0 1 0 0 0 1\n", "not perpendicular"),
        ("ElementSpacing = 1 2 3", "ElementSpacing = 0 2 3", "0 x 2 x 3 mm"),
        ("ElementSpacing = 1 2 3", "ElementSpacing = 1e-30 2 3", "which no scanner makes"),  # was read
        ("ElementSpacing = 1 2 3", "ElementSpacing = nan 2 3", "nan"),
        ("\nOffset = 0 0 0", "\nOffset = nan 0 0", "Offset"),  # was read as 0
        ("\nOffset = 0 0 0", "\nOffset = 1e30 0 0", "Offset"),
        ("ElementType = MET_SHORT", "ElementType = MET_NONSENSE", "MET_NONSENSE"),
        ("ElementDataFile", "ElementNumberOfChannels = 2000000000\nElementDataFile", "more than a scan has"),
        ("ElementDataFile", "CompressedData = True\nElementDataFile", "no header of a MetaImage"),  # there twice
        ("ObjectType", "Comment = " + 5000 * "x" + "\nObjectType", "no header of a MetaImage"),
    ],
)  # fmt: skip
def test_a_metaimage_with_an_impossible_header_is_reported(tmp_path, ending, old, new, words):
    assert words in message_of(edited(tmp_path, ending, old, new))


def test_a_metaimage_that_names_other_files_of_voxels_is_reported(tmp_path):
    assert "several files" in message_of(edited(tmp_path, ".mhd", "P.raw", "LIST"))
    assert "several files" in message_of(edited(tmp_path, ".mhd", "P.raw", "P%03d.raw 1 3 1"))
    assert "missing" in message_of(edited(tmp_path, ".mhd", "P.raw", "nowhere.raw"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sizes: 5 4 3", "sizes: 30000 30000 30000", "more than a scan has"),
        ("sizes: 5 4 3", "sizes: 500 400 300", "ends too early"),
        ("sizes: 5 4 3", "sizes: 5 4", "dimension 3 but 2 sizes"),
        ("dimension: 3", "dimension: 17", "dimension 17 but 3 sizes"),
        ("(1,0,0)", "(nan,0,0)", "space directions"),
        ("(1,0,0)", "(0,0,0)", "spacing of 0 mm"),
        ("(1,0,0)", "(1e308,0,0)", "space directions"),
        ("(1,0,0)", "(1,1,0)", "not perpendicular"),
        ("(1,0,0) ", "", "space directions"),
        ("origin: (0,0,0)", "origin: (inf,0,0)", "space origin"),
        ("type: short", "type: block", "voxels of type block"),
        ("encoding: raw", "encoding: hex", "encoding hex"),
        ("left-posterior-superior", "scanner-xyz", "scanner-xyz"),
        ("kinds: domain", "centers: " + 5000 * "x" + "\nkinds: domain", "damaged header"),  # crashed ITK
    ],
)
def test_an_nrrd_with_an_impossible_header_is_reported(tmp_path, old, new, words):
    assert words in message_of(edited(tmp_path, ".nrrd", old, new))


# -- NIfTI -------------------------------------------------------------------------------------------------------------


def nifti(tmp_path: Path, *fields: tuple[str, int, tuple], ending: str = ".nii") -> Path:
    """A file with other values in fields of its header: (format, offset, values)."""
    sitk.WriteImage(volume(), str(tmp_path / "whole.nii"))
    content = bytearray((tmp_path / "whole.nii").read_bytes())
    for form, offset, values in fields:
        struct.pack_into(form, content, offset, *values)
    path = tmp_path / f"P{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else bytes(content))
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("field", "words"),
    [
        (("<8h", 40, (3, 30000, 30000, 30000, 1, 1, 1, 1)), "more than a scan has"),
        (("<8h", 40, (3, 1000, 1000, 1000, 1, 1, 1, 1)), "ends too early"),
        (("<8h", 40, (3, -5, 4, 3, 1, 1, 1, 1)), "claims a size of -5 x 4 x 3"),
        (("<8h", 40, (-1, 5, 4, 3, 1, 1, 1, 1)), "-1 axes"),
        (("<h", 70, (9999,)), "unknown type 9999"),
        (("<h", 72, (8,)), "unknown type 4 of 8 bits"),
        (("<f", 80, (0.0,)), "0 x 2 x 3 mm"),  # was read as 1 mm
        (("<f", 80, (float("nan"),)), "spacing of nan"),  # was read as 1 mm
        (("<f", 80, (float("inf"),)), "spacing of inf"),
        (("<f", 108, (float("nan"),)), "begins its voxels at byte nan"),  # ended in a ValueError
        (("<f", 108, (1e30,)), "begins its voxels at byte 1e+30"),  # ended in an OverflowError
        (("<f", 108, (-5.0,)), "begins its voxels at byte -5"),
        (("<f", 268, (float("nan"),)), "qform"),  # was read as 0
        (("<f", 280, (float("nan"),)), "sform"),
        (("<f", 292, (1e30,)), "sform"),
        (("<i", 0, (0,)), "no header of a NIfTI file"),
    ],
)  # fmt: skip
def test_a_nifti_with_an_impossible_header_is_reported(tmp_path, ending, field, words):
    assert words in message_of(nifti(tmp_path, field, ending=ending))


def test_a_nifti_of_the_other_byte_order_is_read_and_checked(tmp_path):
    path = nifti(tmp_path)
    content = path.read_bytes()
    header = bytearray(content[:352])
    for width, first, count in ((4, 0, 1), (2, 40, 8), (2, 68, 4), (4, 76, 11), (2, 252, 2), (4, 256, 18)):
        for at in range(first, first + width * count, width):
            header[at : at + width] = header[at : at + width][::-1]
    path.write_bytes(header + sitk.GetArrayFromImage(volume()).astype(">i2").tobytes())
    assert read_image(path).GetSpacing() == (1, 2, 3)
    assert sitk.GetArrayFromImage(read_image(path)).ravel().tolist() == list(range(60))
    header[80:84] = struct.pack(">f", 0.0)
    path.write_bytes(header + bytes(120))
    assert "0 x 2 x 3 mm" in message_of(path)


def test_nifti_2_which_itk_does_not_read_is_reported(tmp_path):
    (tmp_path / "two.nii").write_bytes(struct.pack("<i", 540) + b"n+2\0\r\n\032\n" + bytes(1000))
    assert "save it as NIfTI-1" in message_of(tmp_path / "two.nii")


def test_nan_as_scaling_which_nibabel_writes_for_none_is_no_flaw(tmp_path):
    path = nifti(tmp_path, ("<2f", 112, (float("nan"), float("nan"))))
    assert sitk.GetArrayFromImage(read_image(path)).ravel().tolist() == list(range(60))


@pytest.mark.parametrize(
    ("ending", "other"), [(".nii", ".nrrd"), (".mha", ".nrrd"), (".nrrd", ".mha"), (".nii", ".mha")]
)
def test_a_file_with_the_ending_of_another_format_is_reported(tmp_path, ending, other):
    sitk.WriteImage(volume(), str(tmp_path / f"P{other}"))
    (tmp_path / f"P{other}").rename(tmp_path / f"Q{ending}")
    assert "no header" in message_of(tmp_path / f"Q{ending}")
