"""DICOM files whose headers claim what cannot be: left out and counted, or refused, in bounded memory."""

from __future__ import annotations

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from synthetic_dicom import AXIAL, straight_positions, write_multi_frame, write_series

from synthct.errors import ImageError
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.dicom.identity import identity_of_mr

VOXELS = np.random.default_rng(3).integers(0, 3000, (4, 6, 5)).astype(np.uint16)
POSITIONS = straight_positions(4, 2.0, AXIAL)


@pytest.fixture
def file(tmp_path) -> Path:
    """The first file of an MR series of four."""
    write_series(tmp_path / "series", VOXELS, POSITIONS, modality="MR", rescale=(1, 0))
    return sorted((tmp_path / "series").iterdir())[0]


@pytest.mark.parametrize("tail", [b"\x8b" * 8 + bytes(89), b"\x01\x7e\x03\x1cOB\0\0\0\0\0\x80"], ids=["odd", "OB"])
def test_a_value_after_the_voxels_that_claims_gigabytes_takes_none(file, tail):
    file.write_bytes(file.read_bytes() + tail)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for series in find_series(file.parent):
        read_series(series)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB; GDCM took 2.3 GB


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Rows", 65535),
        ("BitsStored", 40000),
        ("PixelRepresentation", 7),
        ("RescaleSlope", "0"),
        ("RescaleSlope", "1e300"),
        ("ImagePositionPatient", ["1e30", "0", "0"]),
        ("PixelSpacing", ["1e-300", "1"]),
        ("SliceThickness", "-1"),
    ],
)
def test_a_file_with_an_impossible_value_is_left_out_and_counted(file, caplog, name, value):
    image = dcmread(file)
    setattr(image, name, value)
    image.save_as(file)
    (series,) = find_series(file.parent)
    assert file not in series.files and len(series.files) == 3
    assert "1 DICOM file is damaged" in caplog.text


def test_a_multi_frame_file_that_claims_other_frames_than_it_describes_is_left_out(tmp_path, caplog):
    write_multi_frame(tmp_path / "frames.dcm", VOXELS, POSITIONS, NumberOfFrames=99999999)
    assert find_series(tmp_path) == ()
    assert "1 DICOM file is damaged" in caplog.text


def test_slices_that_lie_kilometres_apart_are_no_scan(tmp_path):
    positions = straight_positions(4, 20_000.0, AXIAL)
    write_series(tmp_path, VOXELS, positions, modality="MR", rescale=(1, 0), SliceThickness=20_000.0)
    (series,) = find_series(tmp_path)
    with pytest.raises(ImageError, match="not a scan of a head") as fault:
        read_series(series)
    assert series.name in str(fault.value)


@pytest.mark.parametrize("length", [1, 3])
def test_an_identity_from_a_file_with_damaged_meta_information_is_reported(file, length):
    content = bytearray(file.read_bytes())
    struct.pack_into("<H", content, 132 + 6, length)  # of the first element, a number of four bytes
    file.write_bytes(content)
    with pytest.raises(ImageError, match="File 1 of 1 of the MR series cannot be read"):
        identity_of_mr([file])
