"""Which MR and CT volumes a tree of DICOM files holds, by the headers alone."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid
from synthetic_dicom import AXIAL, BIRTH_DATE, NAME, SAGITTAL, straight_positions, write_multi_frame, write_series

from synthct.errors import ImageError
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.geometry import Grid
from synthct.parallel import CaseRunner

GE = Path(__file__).parents[4] / "shared" / "data" / "dicom_ct_ge"
VOLUME = np.arange(12 * 4 * 5, dtype=np.uint16).reshape(12, 4, 5)
STRAIGHT = straight_positions(12, 2.0, AXIAL)


def test_series_are_found_in_any_nesting_under_any_names_and_in_the_order_of_their_slices(tmp_path):
    write_series(tmp_path / "a" / "b" / "c", VOLUME, STRAIGHT, file_name="{:03d}", number=2)
    write_series(tmp_path / "a", VOLUME, STRAIGHT, modality="MR", file_name="x{}.IMA", orientation=SAGITTAL, number=5)
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "DICOMDIR").write_bytes(next((tmp_path / "a").glob("*.IMA")).read_bytes())
    ct, mr = find_series(tmp_path)
    assert (ct.modality, ct.number, mr.modality, mr.number) == ("CT", 2, "MR", 5)
    assert len(ct.files) == len(mr.files) == 12
    assert [image.instance for image in ct.slices] == list(range(1, 13))
    assert not ct.unfit and not ct.derived
    assert ct.slice_gap_mm == pytest.approx(2.0)


def test_patients_are_reported_apart_by_their_id_and_by_folder_where_there_is_none(tmp_path):
    for folder, patient in [("A", "one"), ("B", "two"), ("C", ""), ("D", "")]:
        write_series(tmp_path / folder / "deeper", VOLUME, STRAIGHT, patient_id=patient)
    assert [series.patient_id for series in find_series(tmp_path)] == ["folder:C", "folder:D", "one", "two"]


def test_series_travel_to_other_processes_and_carry_no_name(tmp_path):
    write_series(tmp_path, VOLUME, STRAIGHT)
    (series,) = find_series(tmp_path)
    sent = pickle.dumps(series)
    assert pickle.loads(sent) == series
    for secret in (NAME, NAME.split("^")[0], BIRTH_DATE):
        assert secret.encode() not in sent


def test_second_copies_of_images_and_links_to_folders_count_once(tmp_path):
    write_series(tmp_path / "a", VOLUME, STRAIGHT)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (series,) = find_series(tmp_path)
    assert len(series.slices) == 12 and not series.unfit


def test_several_processes_find_the_same(tmp_path, monkeypatch):
    for folder in "ab":
        write_series(tmp_path / folder, VOLUME, STRAIGHT, patient_id=folder)
    monkeypatch.setattr("synthct.imaging.dicom.finding.BATCH", 5)
    alone = find_series(tmp_path)
    monkeypatch.setattr("synthct.imaging.dicom.finding.BATCHES_FOR_WORKERS", 1)
    assert find_series(tmp_path, runner=CaseRunner(workers=2)) == alone and len(alone) == 2


def test_other_modalities_colours_and_images_without_a_place_are_passed_over(tmp_path):
    write_series(tmp_path / "a", VOLUME, STRAIGHT, Modality="PT", SOPClassUID="1.2.840.10008.5.1.4.1.1.128")
    capture = "1.2.840.10008.5.1.4.1.1.7"
    write_series(tmp_path / "b", VOLUME, STRAIGHT, ImagePositionPatient=None, SOPClassUID=capture)
    write_series(
        tmp_path / "c", np.repeat(VOLUME, 3, axis=2), STRAIGHT, SamplesPerPixel=3, Columns=5, SOPClassUID=capture
    )
    assert find_series(tmp_path) == ()


@pytest.mark.parametrize("length", [200, 400, 700])
def test_files_that_are_cut_off_are_counted_and_not_named(tmp_path, caplog, length):
    write_series(tmp_path / NAME, VOLUME, STRAIGHT)
    path = next((tmp_path / NAME).iterdir())
    path.write_bytes(path.read_bytes()[:length])
    with caplog.at_level(logging.WARNING):
        (series,) = find_series(tmp_path)
    assert len(series.slices) == 11
    assert "1 DICOM file is damaged" in caplog.text and NAME not in caplog.text


def test_images_that_do_not_tell_where_they_lie_are_counted(tmp_path, caplog):
    write_series(tmp_path, VOLUME, STRAIGHT, ImagePositionPatient=None)
    with caplog.at_level(logging.WARNING):
        assert find_series(tmp_path) == ()
    assert "12 DICOM files are damaged or do not say where they lie" in caplog.text


def test_values_that_are_no_numbers_are_damage_and_are_not_shown(tmp_path, caplog, recwarn):
    write_series(tmp_path, VOLUME, STRAIGHT)
    path = next(tmp_path.iterdir())
    content = path.read_bytes()
    place = content.index(b"DS", content.index(b"\x28\x00\x30\x00"))  # PixelSpacing
    path.write_bytes(content[: place + 4] + b"Mu" + content[place + 6 :])
    (series,) = find_series(tmp_path)
    assert len(series.slices) == 11
    assert "Mu" not in caplog.text and not recwarn.list


@pytest.mark.parametrize("orientation", [(1, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 0), (2, 0, 0, 0, 2, 0)])
def test_images_whose_axes_are_no_axes_are_left_out(tmp_path, caplog, orientation):
    write_series(tmp_path, VOLUME, STRAIGHT, orientation=orientation)
    with caplog.at_level(logging.WARNING):
        assert find_series(tmp_path) == ()
    assert "12 DICOM files are damaged or do not say where they lie" in caplog.text


def test_damage_anywhere_in_a_header_stops_nothing(tmp_path):
    write_series(tmp_path, VOLUME, STRAIGHT)
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted(tmp_path.iterdir()) * 10):
        content = bytearray(path.read_bytes())
        for place in random.integers(132, len(content) - VOLUME[0].nbytes, 12):
            content[place] = random.integers(256)
        (tmp_path / f"damaged{number}").write_bytes(content)
    assert any(len(series.slices) == 12 for series in find_series(tmp_path))


def test_a_folder_that_is_missing_is_reported(tmp_path):
    with pytest.raises(ImageError, match="is not a folder"):
        find_series(tmp_path / "none")


# What is a volume


def test_localizers_are_no_volumes(tmp_path):
    kind = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    write_series(tmp_path / "ct", VOLUME[:1], STRAIGHT[:1], image_type=kind, number=1)
    uid = generate_uid()
    for orientation in (AXIAL, SAGITTAL, (1, 0, 0, 0, 0, -1)):
        positions = straight_positions(3, 20, orientation)
        options = {"modality": "MR", "orientation": orientation, "series_uid": uid, "number": 2}
        write_series(tmp_path / "mr", VOLUME[:3], positions, **options)
    found = find_series(tmp_path)
    assert [series.unfit for series in found] == ["localizer"] + ["3 slices only, of several orientations"] * 3
    assert [series.label for series in found] == ["1", "2.1", "2.2", "2.3"]


@pytest.mark.parametrize(
    ("modality", "kind", "unfit", "derived"),
    [
        ("MR", ("DERIVED", "PRIMARY", "PROJECTION IMAGE"), "projection or screenshot", True),
        ("MR", ("ORIGINAL", "PRIMARY", "P", "ND"), "not a magnitude image", False),
        ("MR", ("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"), "", False),
        ("MR", ("DERIVED", "PRIMARY", "M", "DIS3D"), "", True),
        ("CT", ("ORIGINAL", "SECONDARY", "MPR"), "", True),
    ],
)
def test_image_types_tell_what_is_computed_from_other_images(tmp_path, modality, kind, unfit, derived):
    write_series(tmp_path, VOLUME, STRAIGHT, modality=modality, image_type=kind)
    (series,) = find_series(tmp_path)
    assert (series.unfit, series.derived) == (unfit, derived)


@pytest.mark.parametrize(
    ("attribute", "values", "splits"),
    [
        ("EchoTime", (4.6, 2.3), ["echo time 4.6", "echo time 2.3"]),
        ("EchoNumbers", (1, 2), ["echo 1", "echo 2"]),
        ("AcquisitionNumber", (1, 2), ["acquisition 1", "acquisition 2"]),
        ("TemporalPositionIdentifier", (1, 2), ["time 1", "time 2"]),
        ("DiffusionBValue", (0.0, 1000.0), ["b-value 0.0", "b-value 1000.0"]),
    ],
)
def test_several_images_at_a_position_become_several_volumes(tmp_path, attribute, values, splits):
    both, positions = np.concatenate([VOLUME, VOLUME + 500]), np.concatenate([STRAIGHT, STRAIGHT])
    each = lambda index: {attribute: values[index // 12]}  # noqa: E731
    write_series(tmp_path, both, positions, modality="MR", rescale=(1, 0), each=each, number=4)
    first, second = find_series(tmp_path)
    assert [first.split, second.split] == splits and [first.label, second.label] == ["4.1", "4.2"]
    assert not first.unfit and not second.unfit
    assert read_series(first)[2, 1, 3] == VOLUME[3, 1, 2] and read_series(second)[2, 1, 3] == VOLUME[3, 1, 2] + 500


def test_magnitude_and_phase_of_two_echoes_are_four_volumes(tmp_path):
    volume, positions = np.tile(VOLUME, (4, 1, 1)), np.tile(STRAIGHT, (4, 1))
    each = lambda index: {  # noqa: E731
        "EchoTime": 2.3 * (1 + index // 24),
        "ImageType": ["ORIGINAL", "PRIMARY", "MP"[index // 12 % 2]],
    }
    write_series(tmp_path, volume, positions, modality="MR", each=each)
    found = find_series(tmp_path)
    assert sorted(len(series.slices) for series in found) == [12] * 4
    assert sum(series.unfit == "not a magnitude image" for series in found) == 2
    assert len({series.split for series in found}) == 4


def test_trigger_times_of_their_own_in_each_slice_are_taken_in_their_order(tmp_path):
    volume, positions = np.concatenate([VOLUME, VOLUME + 500]), np.concatenate([STRAIGHT, STRAIGHT])
    each = lambda index: {"TriggerTime": 100.0 * (index // 12) + 7.5 * (index % 12)}  # noqa: E731
    write_series(tmp_path, volume, positions, modality="MR", rescale=(1, 0), each=each)
    first, second = find_series(tmp_path)
    assert len(first.slices) == len(second.slices) == 12
    assert read_series(first)[0, 0, 11] == VOLUME[11, 0, 0] and read_series(second)[0, 0, 11] == VOLUME[11, 0, 0] + 500


def test_an_image_type_or_acquisition_that_changes_along_the_slices_does_not_split(tmp_path):
    each = lambda index: {"AcquisitionNumber": index, "ImageType": ["ORIGINAL", "PRIMARY", f"X{index % 2}"]}  # noqa: E731
    write_series(tmp_path, VOLUME, STRAIGHT, each=each)
    (series,) = find_series(tmp_path)
    assert len(series.slices) == 12 and not series.split


def test_images_at_a_position_that_nothing_tells_apart_are_no_volume(tmp_path):
    write_series(tmp_path, np.concatenate([VOLUME, VOLUME + 1]), np.concatenate([STRAIGHT, STRAIGHT]))
    (series,) = find_series(tmp_path)
    assert "do not tell apart" in series.unfit
    with pytest.raises(ImageError, match="several images at one position"):
        read_series(series)


def test_a_multi_frame_file_is_one_series_of_one_file(tmp_path):
    write_multi_frame(tmp_path / "enhanced", VOLUME, STRAIGHT)
    (series,) = find_series(tmp_path)
    assert len(series.slices) == 12 and len(series.files) == 1 and series.label == "7" and not series.unfit


@pytest.mark.skipif(not GE.is_dir(), reason="the real scans are not beside the checkout")
def test_a_tilted_ct_with_uneven_gaps_is_put_straight():
    (series,) = find_series(GE)
    assert len(series.slices) == 28 and not series.unfit
    image = read_series(series)
    grid = Grid.of(image)
    assert grid.size_xyz[0] == 512 and grid.spacing_mm_xyz[2] == pytest.approx(4.0, abs=0.01)
    assert np.allclose(grid.axes.T @ grid.axes, np.eye(3), atol=1e-6)
    # The first and the last slice lie where their ImagePositionPatient says.
    for index, image_slice in ((0, series.slices[0]), (-1, series.slices[-1])):
        corner = image.TransformPhysicalPointToContinuousIndex(image_slice.position_mm)
        assert corner[2] == pytest.approx(index % grid.size_xyz[2], abs=0.01)
        assert corner[0] == pytest.approx(0, abs=0.01)
    depth_mm = grid.spacing_mm_xyz[2] * (grid.size_xyz[2] - 1)  # the table moved along z, the slices are tilted 18.5
    moved = depth_mm * np.tan(np.radians(18.5)) / grid.spacing_mm_xyz[1]
    first = image.TransformPhysicalPointToContinuousIndex(series.slices[0].position_mm)
    assert first[1] == pytest.approx(moved, abs=0.1)
