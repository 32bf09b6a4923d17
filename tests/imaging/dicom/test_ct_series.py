"""An sCT as a CT series: what the standard asks for, what FIELD asks for, and the same HU at the same points again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import UID
from synthetic_dicom import BIRTH_DATE, NAME, PATIENT_ID, write_mr, write_multi_frame
from synthetic_heads import head_ct, head_mr, make_grid, points_mm

from synthct.errors import DiskError, ImageError
from synthct.imaging.axial import on_axial_grid
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.dicom.ct_series import CtSeriesSettings, write_ct_series
from synthct.imaging.geometry import Grid

GRIDS = {  # of the MRs
    "axial": make_grid((34, 42, 30), (6.0, 6.0, 8.0), "LPS", centre_mm=(3.3, -4.4, 5.5)),
    "axial from the top": make_grid((34, 42, 30), (6.0, 6.0, 8.0), "LAI", centre_mm=(3.3, -4.4, 5.5)),
    "sagittal": make_grid((30, 40, 42), (7.0, 6.1, 6.1), "PIL", centre_mm=(3.3, -4.4, 5.5)),
    "oblique": make_grid((30, 36, 36), (7.0, 6.85, 6.85), "PIR", (11, -7, 5), centre_mm=(3.3, -4.4, 5.5)),
}
DCIODVFY = shutil.which("dciodvfy")
needs_dciodvfy = pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
SMALL = make_grid((6, 5, 4), (30.0, 30.0, 40.0))


class Written(NamedTuple):
    sct: sitk.Image
    mr_files: list[Path]
    files: list[Path]


def write(grid: Grid, folder: Path, **attributes: object) -> Written:
    """A head's CT written over its MR, whose attributes may be others; None leaves one out."""
    left_out = [name for name, value in attributes.items() if value is None]
    write_mr(head_mr(grid, scale=3), folder / "mr", **{k: v for k, v in attributes.items() if v is not None})
    mr_files = sorted((folder / "mr").iterdir())
    for path in mr_files if left_out else ():
        header = pydicom.dcmread(path)
        for name in left_out:
            header.pop(name, None)
        header.save_as(path)
    sct = head_ct(grid)
    sct = sitk.Cast(sct + 1, sitk.sitkInt16)  # air at -999, so that it is not what lies outside
    return Written(sct, mr_files, write_ct_series(sct, folder / "ct", mr_files, derivation="by a test"))


@pytest.fixture(scope="module", params=list(GRIDS))
def written(request, tmp_path_factory) -> Written:
    return write(GRIDS[request.param], tmp_path_factory.mktemp("series"), PatientSex="F", StudyDate="20260102",
                 StudyTime="081500.12", StudyID="7", AccessionNumber="A1", PatientPosition="HFS")  # fmt: skip


def faults(path: Path, *options: str) -> list[str]:
    """What dciodvfy calls an error, or a warning."""
    result = subprocess.run([DCIODVFY, *options, str(path)], capture_output=True, text=True, errors="replace")
    return [
        line for line in (result.stdout + result.stderr).splitlines() if line.startswith(("Error", "Warning", "Abort"))
    ]


# -- the standard ----------------------------------------------------------------------------------------------------


@needs_dciodvfy
def test_dciodvfy_has_nothing_to_say_of_any_slice(written):
    for path in written.files:
        assert faults(path) == []
    assert faults(written.files[0], "-new") == []


@needs_dciodvfy
def test_dciodvfy_would_see_a_missing_attribute(written, tmp_path):
    spoilt = pydicom.dcmread(written.files[0])
    del spoilt.RescaleIntercept
    spoilt.save_as(tmp_path / "spoilt.dcm")
    assert any("RescaleIntercept" in fault and fault.startswith("Error") for fault in faults(tmp_path / "spoilt.dcm"))


@needs_dciodvfy
@pytest.mark.parametrize(
    "attributes",
    [
        {},  # of an MR that says hardly anything: no date, sex, position or names of the study
        {"PatientPosition": None, "FrameOfReferenceUID": None, "PatientName": None, "PatientBirthDate": None},
        {"PatientName": "", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "", "PatientPosition": ""},
        {"PatientIdentityRemoved": "YES"},
        {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand", "PatientAge": "045Y"},
        {"StudyInstanceUID": "anonymised", "FrameOfReferenceUID": "none", "PatientAge": "45", "PatientSex": "unknown"},
        {"PatientBirthDate": "1938.12.22", "StudyTime": "25:00", "StudyID": "of more than 16 letters"},
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": "10",
            "LossyImageCompressionMethod": "ISO_10918_1",
        },
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, when the MR is written
def test_dciodvfy_finds_no_error_whatever_the_mr_lacks(tmp_path, attributes):
    for path in write(SMALL, tmp_path, **attributes).files:
        assert [fault for fault in faults(path) if not fault.startswith("Warning")] == []


def test_pydicom_reads_every_slice_without_complaint(written):
    with pydicom.config.strict_reading():
        for path in written.files:
            for element in pydicom.dcmread(path).iterall():
                assert element.value is not None or element.is_empty


# -- the planning system ---------------------------------------------------------------------------------------------


def test_every_slice_is_an_axial_ct_in_hu(written):
    for path in written.files:
        header = pydicom.dcmread(path)
        assert header.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2" and header.Modality == "CT"
        assert header.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
        assert header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert (header.BitsAllocated, header.PixelRepresentation) == (16, 0)
        assert (header.RescaleSlope, header.RescaleIntercept, header.RescaleType) == (1, -1024, "HU")
        assert "\\".join(map(str, header.ImageOrientationPatient)) == "1\\0\\0\\0\\1\\0"
        assert header.PixelSpacing[0] == header.PixelSpacing[1]
        assert header.KVP == 120 and header.Manufacturer == "synthct"
        assert header.SeriesDescription == "Synthetic CT, not for clinical use"
        assert header.DerivationDescription == "by a test"
        assert len(header.PixelData) == header.Rows * header.Columns * 2


def test_patient_study_and_frame_of_reference_are_the_mrs(written):
    mr = pydicom.dcmread(written.mr_files[0])
    for path in (written.files[0], written.files[-1]):
        ct = pydicom.dcmread(path)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
                     "StudyTime", "StudyID", "AccessionNumber", "FrameOfReferenceUID", "PatientPosition"):  # fmt: skip
            assert ct[name].value == mr[name].value
        assert (str(ct.PatientName), ct.PatientID, ct.PatientBirthDate) == (NAME, PATIENT_ID, BIRTH_DATE)
        assert {item.ReferencedSOPInstanceUID for item in ct.SourceImageSequence} == {
            pydicom.dcmread(mr_file).SOPInstanceUID for mr_file in written.mr_files
        }
        assert {item.ReferencedSOPClassUID for item in ct.SourceImageSequence} == {mr.SOPClassUID}


def test_slices_are_numbered_upwards_with_equal_gaps(written):
    headers = [pydicom.dcmread(path) for path in sorted(written.files)]
    assert [header.InstanceNumber for header in headers] == list(range(1, len(headers) + 1))
    positions = np.array([header.ImagePositionPatient for header in headers], float)
    assert np.ptp(positions[:, :2], axis=0).max() == 0
    gaps = np.diff(positions[:, 2])
    assert gaps == pytest.approx(np.full(len(gaps), float(headers[0].SliceThickness)), abs=1e-6)
    assert {header.SliceThickness for header in headers} == {headers[0].SpacingBetweenSlices}


def test_uids_are_new_valid_and_one_a_slice(written, tmp_path):
    again = write_ct_series(written.sct, tmp_path / "again", written.mr_files)
    series, instances = set(), []
    for files in (written.files, again):
        headers = [pydicom.dcmread(path) for path in files]
        series |= {header.SeriesInstanceUID for header in headers}
        instances += [header.SOPInstanceUID for header in headers]
        assert all(header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID for header in headers)
    assert len(series) == 2 and len(set(instances)) == len(instances)
    assert all(UID(uid).is_valid for uid in (*series, *instances))
    assert pydicom.dcmread(written.mr_files[0]).SeriesInstanceUID not in series


@pytest.mark.parametrize("factor", [1.0, 1 / 3, 1e-5, -np.pi * 100])
def test_decimal_strings_fit_into_16_characters(tmp_path, factor):
    grid = Grid(SMALL.size_xyz, (0.8593750238418579,) * 2 + (1 / 3,), (factor * 123.456789012345,) * 3, SMALL.direction)
    files = write_ct_series(grid.place(np.zeros(grid.array_shape, np.int16)), tmp_path / "ct", "P")
    for path in files:
        header = pydicom.dcmread(path)
        for element in header.iterall():
            values = element.value if element.VM > 1 else [element.value]
            assert element.VR != "DS" or all(len(str(value)) <= 16 for value in values)
        assert np.allclose(header.ImagePositionPatient, grid.point((0, 0, header.InstanceNumber - 1)), atol=1e-6)


# -- back again ------------------------------------------------------------------------------------------------------


def test_gdcm_reads_the_same_hu_and_geometry(written):
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(written.files[0].parent))
    assert [Path(name) for name in names] == written.files
    reader.SetFileNames(names)
    back, wanted = reader.Execute(), on_axial_grid(written.sct, outside=-1000)
    assert Grid.of(back).matches(Grid.of(wanted), 1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(wanted))


def test_pydicom_reads_the_same_hu(written):
    wanted = sitk.GetArrayFromImage(on_axial_grid(written.sct, outside=-1000))
    for path, plane in zip(written.files, wanted):
        header = pydicom.dcmread(path)
        assert np.array_equal(header.pixel_array.astype(int) + int(header.RescaleIntercept), plane)


def test_our_own_reader_reads_the_same_hu_and_geometry(written):
    (series,) = find_series(written.files[0].parent)
    assert series.unfit == "" and series.modality == "CT" and series.files == tuple(written.files)
    back, wanted = read_series(series), on_axial_grid(written.sct, outside=-1000)
    assert Grid.of(back).matches(Grid.of(wanted), 1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(wanted))


def test_the_ct_lies_where_the_mr_lies(written):
    """Read back, all that is not air has its centre of mass at the same point in both."""
    centres = []
    for folder, level in ((written.mr_files[0].parent, 150), (written.files[0].parent, -400)):
        image = read_series(find_series(folder)[0])
        inside = sitk.GetArrayFromImage(image) > level
        assert inside.sum() > 5000
        centres.append(points_mm(Grid.of(image))[:, inside].mean(axis=1))
    assert np.abs(centres[0] - centres[1]).max() < 1.0  # mm, of voxels of 6 to 8


def test_hu_beyond_what_planning_systems_take_are_clipped(tmp_path):
    hu = np.linspace(-3000, 9000, int(np.prod(SMALL.array_shape))).reshape(SMALL.array_shape).astype(np.int16)
    files = write_ct_series(SMALL.place(hu), tmp_path / "ct", "P")
    back = sitk.GetArrayFromImage(sitk.ReadImage([str(path) for path in files]))
    assert np.array_equal(back, np.clip(hu, -1024, 3071))


def test_hu_with_fractions_are_rounded(tmp_path):
    hu = np.full(SMALL.array_shape, -0.6, np.float32)
    files = write_ct_series(SMALL.place(hu), tmp_path / "ct", "P")
    assert (sitk.GetArrayFromImage(sitk.ReadImage([str(path) for path in files])) == -1).all()


# -- other sources ---------------------------------------------------------------------------------------------------


@needs_dciodvfy
@pytest.mark.parametrize("patient", ["P1", "Bär 7", "a\\b", "ü" * 80])
def test_an_mr_that_is_no_dicom_gets_a_patient_and_study_of_its_own(tmp_path, patient):
    files = write_ct_series(SMALL.place(np.zeros(SMALL.array_shape, np.int16)), tmp_path / "ct", patient)
    headers = [pydicom.dcmread(path) for path in files]
    assert [fault for path in files for fault in faults(path)] == []
    assert headers[0].PatientID == patient.replace("\\", " ")[: 31 if len(patient) > 64 else 64]
    assert str(headers[0].PatientName).rstrip("^") == headers[0].PatientID
    assert len({(header.StudyInstanceUID, header.FrameOfReferenceUID) for header in headers}) == 1
    assert headers[0].StudyInstanceUID != headers[0].FrameOfReferenceUID
    assert "SourceImageSequence" not in headers[0]


@needs_dciodvfy
def test_a_multi_frame_mr_is_one_source(tmp_path):
    positions = np.arange(4)[:, None] * [0.0, 0.0, 2.0]
    write_multi_frame(tmp_path / "mr", np.ones((4, 5, 6), np.uint16), positions, PatientPosition="FFS")
    files = write_ct_series(SMALL.place(np.zeros(SMALL.array_shape, np.int16)), tmp_path / "ct", [tmp_path / "mr"])
    header = pydicom.dcmread(files[0])
    assert len(header.SourceImageSequence) == 1 and header.PatientPosition == "FFS"
    assert [fault for fault in faults(files[0]) if fault.startswith("Error")] == []


@pytest.mark.parametrize(
    ("character_set", "name"),
    [("ISO_IR 100", "Bär^Änne"), ("ISO_IR 192", "Søren^Ærø"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")],
)
def test_names_in_any_alphabet_come_through(tmp_path, character_set, name):
    written = write(SMALL, tmp_path, SpecificCharacterSet=character_set, PatientName=name)
    header = pydicom.dcmread(written.files[0])
    assert str(header.PatientName) == name
    assert header.get("SpecificCharacterSet") == character_set


def test_a_manufacturer_in_another_alphabet_than_the_patient_comes_through(tmp_path):
    written = write(SMALL, tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Bär^Änne")
    settings = CtSeriesSettings(manufacturer="日本")
    files = write_ct_series(written.sct, tmp_path / "other", written.mr_files, settings)
    header = pydicom.dcmread(files[0])
    assert (str(header.PatientName), header.Manufacturer) == ("Bär^Änne", "日本")


def test_what_the_mr_lacks_is_reported_without_naming_the_patient(tmp_path, caplog):
    write(SMALL, tmp_path, FrameOfReferenceUID=None)
    assert "the MR has no FrameOfReferenceUID, PatientPosition" in caplog.text
    assert NAME not in caplog.text and PATIENT_ID not in caplog.text


# -- settings and the folder -----------------------------------------------------------------------------------------


def test_settings_are_written(tmp_path):
    settings = CtSeriesSettings(kvp=140.5, manufacturer="Acme", series_description="sCT", series_number=12)
    (path, *_) = write_ct_series(SMALL.place(np.zeros(SMALL.array_shape, np.int16)), tmp_path / "ct", "P", settings)
    header = pydicom.dcmread(path)
    assert (header.KVP, header.Manufacturer, header.SeriesDescription, header.SeriesNumber) == (
        140.5, "Acme", "sCT", 12)  # fmt: skip


@pytest.mark.parametrize(
    "values", [{"kvp": 0}, {"kvp": float("nan")}, {"manufacturer": "a\\b"}, {"series_description": "x" * 65}]
)
def test_settings_that_dicom_has_no_room_for_are_refused(values):
    with pytest.raises(ImageError, match="kV|64 characters"):
        CtSeriesSettings(**values)


def test_an_earlier_series_is_replaced_and_other_files_are_not(tmp_path):
    sct = SMALL.place(np.zeros(SMALL.array_shape, np.int16))
    write_ct_series(sct, tmp_path / "ct", "P")
    files = write_ct_series(sct[:, :, :2], tmp_path / "ct", "Q")
    assert sorted((tmp_path / "ct").iterdir()) == files and len(files) == 2
    assert pydicom.dcmread(files[0]).PatientID == "Q"
    (tmp_path / "ct" / "IM0001").touch()
    with pytest.raises(ImageError, match="holds other files"):
        write_ct_series(sct, tmp_path / "ct", "R")
    assert pydicom.dcmread(files[0]).PatientID == "Q"


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    write_one, calls = pydicom.dcmwrite, []

    def full_disk(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        write_one(*arguments, **options)

    monkeypatch.setattr(pydicom, "dcmwrite", full_disk)
    with pytest.raises(DiskError, match="ct: No space left on device; free space"):
        write_ct_series(SMALL.place(np.zeros(SMALL.array_shape, np.int16)), tmp_path / "deeper" / "ct", "P")
    assert list((tmp_path / "deeper").iterdir()) == []


def test_an_mr_that_cannot_be_read_is_reported(tmp_path):
    sct = SMALL.place(np.zeros(SMALL.array_shape, np.int16))
    (tmp_path / "notes.txt").write_text("no DICOM")
    for name, words in (("gone.dcm", "cannot be read .FileNotFoundError"), ("notes.txt", "is not DICOM")):
        with pytest.raises(ImageError, match=f"File 1 of 1 of the MR series {words}") as fault:
            write_ct_series(sct, tmp_path / "ct", [tmp_path / name])
        assert name not in str(fault.value)  # files are often named after patients
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
