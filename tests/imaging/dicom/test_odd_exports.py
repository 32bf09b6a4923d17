"""Exports that other programs spoil: files without preamble, UIDs that are shared or scattered, copies of slices."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid
from synthetic_dicom import AXIAL, SAGITTAL, straight_positions, write_multi_frame, write_series

from synthct.errors import ImageError
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.dicom.beginning import looks_like_dicom
from synthct.imaging.dicom.identity import identity_of_mr

VOLUME = np.random.default_rng(1).integers(0, 4000, (12, 4, 5)).astype(np.uint16)
STRAIGHT = straight_positions(12, 2.0, AXIAL)
ENCODINGS = {"implicit": (True, True), "explicit": (False, True), "big endian": (False, False)}


def strip(path: Path, encoding: str, *removed: str) -> None:
    """Leave the data elements alone: no preamble, no group 2, and without some elements."""
    image = dcmread(path)
    for name in removed:
        del image[name]
    implicit, little = ENCODINGS[encoding]
    if not little:
        image.PixelData = image.pixel_array.byteswap().tobytes()
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, image)
    path.write_bytes(buffer.getvalue())


def assert_read(folder: Path, volume: np.ndarray = VOLUME) -> None:
    """Whether the folder holds that one MR."""
    (series,) = find_series(folder)
    assert not series.unfit and len(series.slices) == len(volume)
    image = read_series(series)
    assert [[image[2, 1, k], image[4, 3, k]] for k in range(len(volume))] == volume[:, (1, 3), (2, 4)].tolist()


def write_mr(folder: Path, volume: np.ndarray = VOLUME, positions: np.ndarray = STRAIGHT, **options) -> None:
    write_series(folder, volume, positions, **({"modality": "MR", "rescale": (1, 0)} | options))


# -- files without preamble ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("added", "removed"),
    [
        ({}, ()),  # first ImageType
        ({"SpecificCharacterSet": "ISO_IR 100"}, ()),
        ({}, ("ImageType",)),  # first SOPClassUID
        ({"InstanceCreationDate": "20260101"}, ("ImageType",)),
        ({"LanguageCodeSequence": []}, ("ImageType",)),
    ],
)
def test_files_that_begin_with_any_element_of_group_8_are_read(tmp_path, encoding, added, removed):
    write_mr(tmp_path, **added)
    for path in tmp_path.iterdir():
        strip(path, encoding, *removed)
        assert path.read_bytes()[128:132] != b"DICM"
    assert_read(tmp_path)
    assert identity_of_mr(find_series(tmp_path)[0].files).shared.StudyInstanceUID


def test_files_that_cannot_be_read_without_their_preamble_are_counted(tmp_path, caplog):
    write_mr(tmp_path)
    for path in tmp_path.iterdir():
        strip(path, "explicit", "ImagePositionPatient")
    assert find_series(tmp_path) == ()
    assert "12 DICOM files are damaged or do not say where they lie" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08\x00", b"\x08\x00\x08\x00", b"\x08\x00\x08\x00\xff\xff\xff\xff" + bytes(90), b"PK\x03\x04" + bytes(900),
     b"\x08\x00\x00\x00\x02\x00\x00\x00\x08\x00" + bytes(90), b"The quick brown fox" * 30,
     b"\x08\x00\x08\x00CS\x02\x00AB\x08\x00\x05\x00CS\x02\x00AB"],
)  # fmt: skip
def test_other_files_are_not_dicom(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not looks_like_dicom(tmp_path / "file")


# -- one SOPInstanceUID for all --------------------------------------------------------------------------------------


def test_slices_that_share_a_sop_instance_uid_are_all_used(tmp_path, caplog):
    write_mr(tmp_path, SOPInstanceUID="1.2.3.4")
    assert_read(tmp_path)
    assert "MR series 1 'Head'" in caplog.text and "SOPInstanceUID (0008,0018)" in caplog.text
    assert identity_of_mr(find_series(tmp_path)[0].files).sources == (("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"),)


def test_a_second_copy_of_such_a_folder_counts_once(tmp_path):
    write_mr(tmp_path / "a", SOPInstanceUID="1.2.3.4")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert_read(tmp_path)


def test_echoes_that_share_a_sop_instance_uid_stay_two_volumes(tmp_path):
    both, positions = np.concatenate([VOLUME, VOLUME + 9]), np.concatenate([STRAIGHT, STRAIGHT])
    each = lambda index: {"EchoTime": 2.3 * (1 + index // 12)}  # noqa: E731
    write_mr(tmp_path, both, positions, each=each, SOPInstanceUID="1.2.3.4")
    assert [len(series.slices) for series in find_series(tmp_path)] == [12, 12]


# -- copies of slices ------------------------------------------------------------------------------------------------


def doubled(every: int, change: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The volume with every so many slices twice, the second ones in one voxel other by ``change``."""
    again = VOLUME[::every].copy()
    again[0, 0, 0] += change
    return np.concatenate([VOLUME, again]), np.concatenate([STRAIGHT, STRAIGHT[::every]])


@pytest.mark.parametrize("every", [1, 3, 12])
def test_identical_copies_of_slices_are_dropped_and_counted(tmp_path, caplog, every):
    write_mr(tmp_path, *doubled(every), number=4)
    with caplog.at_level(logging.INFO):
        assert_read(tmp_path)
    assert f"MR series 4 'Head': {12 // every} identical cop" in caplog.text


def test_copies_that_differ_in_one_voxel_stay_refused(tmp_path):
    write_mr(tmp_path, *doubled(3, change=1))
    (series,) = find_series(tmp_path)
    assert "do not tell apart" in series.unfit and len(series.slices) == 16
    with pytest.raises(ImageError, match="several images at one position"):
        read_series(series)


def test_copies_with_another_rescale_are_other_images(tmp_path):
    volume, positions = doubled(1)
    write_mr(tmp_path, volume, positions, rescale=[(1, 0)] * 12 + [(2, 0)] * 12)
    assert "do not tell apart" in find_series(tmp_path)[0].unfit


def test_equal_images_at_other_places_are_no_copies(tmp_path):
    write_mr(tmp_path, np.zeros_like(VOLUME))
    assert len(find_series(tmp_path)[0].slices) == 12


def test_copies_within_each_echo_are_dropped(tmp_path):
    volume, positions = doubled(3)
    both = np.concatenate([volume, volume + 9])
    each = lambda index: {"EchoTime": 2.3 * (1 + index // 16)}  # noqa: E731
    write_mr(tmp_path, both, np.concatenate([positions, positions]), each=each)
    assert [(len(series.slices), series.unfit) for series in find_series(tmp_path)] == [(12, ""), (12, "")]


def test_identical_frames_of_a_multi_frame_file_are_dropped(tmp_path):
    write_multi_frame(tmp_path / "frames", *doubled(4))
    assert_read(tmp_path)


# -- one SeriesInstanceUID a slice -----------------------------------------------------------------------------------


def write_scattered(folder: Path, volume: np.ndarray = VOLUME, positions: np.ndarray = STRAIGHT, **options) -> None:
    """A SeriesInstanceUID a slice, in one frame of reference."""
    each = options.pop("each", lambda index: {})
    options = {
        "FrameOfReferenceUID": "1.2.3",
        "each": lambda i: {"SeriesInstanceUID": generate_uid(), **each(i)},
    } | options
    write_mr(folder, volume, positions, **options)


@pytest.mark.parametrize("numbers", [lambda index: {}, lambda index: {"SeriesNumber": 100 + index}])
def test_slices_with_a_series_uid_each_become_one_series(tmp_path, caplog, numbers):
    write_scattered(tmp_path, each=numbers)
    with caplog.at_level(logging.INFO):
        assert_read(tmp_path)
    assert "12 images with a SeriesInstanceUID (0020,000E) of their own" in caplog.text


def test_two_such_series_are_reported_apart_by_number_description_or_orientation(tmp_path):
    write_scattered(tmp_path / "1", number=1)
    write_scattered(tmp_path / "2", number=2)
    write_scattered(tmp_path / "3", description="T2")
    positions = straight_positions(12, 2.0, SAGITTAL)
    write_scattered(tmp_path / "4", VOLUME, positions, orientation=SAGITTAL)
    assert sorted(len(series.slices) for series in find_series(tmp_path)) == [12] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"positions": np.delete(straight_positions(13, 2.0, AXIAL), 5, axis=0)},  # one is missing
        {"positions": STRAIGHT + np.random.default_rng(0).normal(0, 3, STRAIGHT.shape)},
        {"each": lambda index: {"FrameOfReferenceUID": generate_uid()}},
        {"each": lambda index: {"StudyInstanceUID": generate_uid()}},
    ],
)
def test_what_makes_no_regular_stack_stays_apart(tmp_path, options):
    write_scattered(tmp_path, **options)
    assert {series.unfit for series in find_series(tmp_path)} == {"1 slice only"}


def test_localizers_of_one_image_each_stay_apart(tmp_path):
    write_scattered(tmp_path, VOLUME[:3], STRAIGHT[:3])
    assert len(find_series(tmp_path)) == 3
