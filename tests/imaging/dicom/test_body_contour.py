"""The outline of the head as an RT Structure Set: read back, it is the mask, and it lies on the sCT's slices."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy.ndimage import binary_fill_holes
from skimage.draw import polygon2mask
from synthetic_dicom import NAME, PATIENT_ID, write_mr
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.imaging.axial import on_axial_grid
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.dicom.body_contour import outlines
from synthct.imaging.dicom.ct_series import BODY_FILE, CtSeriesSettings, write_ct_series
from synthct.imaging.geometry import Grid

CENTRE = {"centre_mm": (3.3, -4.4, 5.5)}
GRIDS = {  # of the MRs
    "axial": make_grid((34, 42, 30), (6.0, 6.0, 8.0), "LPS", **CENTRE),
    "sagittal": make_grid((30, 40, 42), (7.0, 6.1, 6.1), "PIL", **CENTRE),
    "oblique": make_grid((30, 36, 36), (7.0, 6.85, 6.85), "PIR", (11, -7, 5), **CENTRE),
}
DCIODVFY = shutil.which("dciodvfy")


def write(grid: Grid, folder: Path, **attributes: object) -> sitk.Image:
    """An sCT of a head over its MR, with the outline of the head; the head's mask on the grid of the series."""
    write_mr(head_mr(grid, scale=3), folder / "mr", PatientPosition="HFS", StudyID="7", **attributes)
    mask = head_truth(grid)
    source, settings = sorted((folder / "mr").iterdir()), CtSeriesSettings(manufacturer="Acme", series_number=40)
    write_ct_series(head_ct(grid), folder / "ct", source, settings, body=mask)
    return on_axial_grid(mask, outside=0)


@pytest.fixture(scope="module", params=list(GRIDS))
def written(request, tmp_path_factory) -> tuple[Path, sitk.Image]:
    folder = tmp_path_factory.mktemp("contour")
    return folder / "ct", write(GRIDS[request.param], folder)


def contours(rt: Dataset) -> list[tuple[str, np.ndarray]]:
    """SOPInstanceUID of the slice and points (n, 3), mm, of every contour."""
    (roi,) = rt.ROIContourSequence
    return [
        (contour.ContourImageSequence[0].ReferencedSOPInstanceUID, np.array(contour.ContourData, float).reshape(-1, 3))
        for contour in roi.ContourSequence
    ]


def rasterised(folder: Path) -> np.ndarray:
    """What a reader makes of the contours: pixels whose centres they enclose; bool (slices, rows, cols)."""
    rt = pydicom.dcmread(folder / BODY_FILE)
    slices = {header.SOPInstanceUID: header for header in map(pydicom.dcmread, sorted(folder.glob("sCT_*.dcm")))}
    first = next(iter(slices.values()))
    mask = np.zeros((len(slices), first.Rows, first.Columns), bool)
    for uid, points in contours(rt):
        header = slices[uid]
        assert points[:, 2] == pytest.approx(float(header.ImagePositionPatient[2]), abs=1e-3)
        in_plane = (points - np.array(header.ImagePositionPatient, float))[:, 1::-1]  # rows go along y, columns along x
        pixels = in_plane / np.array(header.PixelSpacing, float)
        mask[header.InstanceNumber - 1] ^= polygon2mask((first.Rows, first.Columns), pixels)
    return mask


def test_the_contours_enclose_the_mask_to_the_pixel(written):
    folder, mask = written
    expected = np.stack([binary_fill_holes(plane) for plane in sitk.GetArrayFromImage(mask) > 0])
    found = rasterised(folder)
    assert expected.any()
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.999


def test_the_structure_set_refers_to_the_series(written):
    folder, _ = written
    rt = pydicom.dcmread(folder / BODY_FILE)
    headers = [pydicom.dcmread(path) for path in sorted(folder.glob("sCT_*.dcm"))]
    ct = headers[0]
    (frame,) = rt.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == ct.SeriesInstanceUID != rt.SeriesInstanceUID
    assert [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence] == [
        header.SOPInstanceUID for header in headers
    ]
    assert study.ReferencedSOPInstanceUID == ct.StudyInstanceUID == rt.StudyInstanceUID
    assert frame.FrameOfReferenceUID == ct.FrameOfReferenceUID
    assert (rt.Modality, str(rt.PatientName), rt.PatientID, rt.StudyID) == ("RTSTRUCT", NAME, PATIENT_ID, "7")
    assert (rt.Manufacturer, rt.SeriesNumber) == ("Acme", 41)
    assert rt.file_meta.MediaStorageSOPInstanceUID == rt.SOPInstanceUID


def test_the_one_roi_is_the_external_body(written):
    folder, _ = written
    rt = pydicom.dcmread(folder / BODY_FILE)
    (roi,), (observation,) = rt.StructureSetROISequence, rt.RTROIObservationsSequence
    assert (roi.ROIName, roi.ROIGenerationAlgorithm) == ("BODY", "AUTOMATIC")
    assert observation.RTROIInterpretedType == "EXTERNAL"
    assert observation.ReferencedROINumber == roi.ROINumber == rt.ROIContourSequence[0].ReferencedROINumber
    for contour in rt.ROIContourSequence[0].ContourSequence:
        assert (
            contour.ContourGeometricType == "CLOSED_PLANAR"
            and len(contour.ContourData) == 3 * contour.NumberOfContourPoints
        )
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert not np.array_equal(points[0], points[-1])


def test_the_series_is_read_as_without_contours(written):
    folder, _ = written
    (series,) = find_series(folder)
    assert series.modality == "CT" and not series.unfit
    assert read_series(series).GetSize()[2] == len(list(folder.glob("sCT_*.dcm")))


def test_an_earlier_contour_goes_with_its_series(tmp_path):
    write(GRIDS["axial"], tmp_path)
    before = (tmp_path / "ct" / BODY_FILE).read_bytes()
    for body in (head_truth(GRIDS["axial"]), None):
        write_ct_series(head_ct(GRIDS["axial"]), tmp_path / "ct", sorted((tmp_path / "mr").iterdir()), body=body)
        assert (tmp_path / "ct" / BODY_FILE).exists() == (body is not None)
        assert body is None or (tmp_path / "ct" / BODY_FILE).read_bytes() != before


def test_names_that_are_not_ascii_are_read_back(tmp_path):
    write(GRIDS["axial"], tmp_path, PatientName="Äßç^Ö", SpecificCharacterSet="ISO_IR 192")
    assert str(pydicom.dcmread(tmp_path / "ct" / BODY_FILE).PatientName) == "Äßç^Ö"


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(written):
    folder, _ = written
    result = subprocess.run([DCIODVFY, str(folder / BODY_FILE)], capture_output=True, text=True, errors="replace")
    said = result.stderr + result.stdout
    assert "RTStructureSet" in said and "Error" not in said, said


def pixels_inside(mask: np.ndarray) -> np.ndarray:
    found = np.zeros_like(mask)
    for contour in outlines(mask):
        found ^= polygon2mask(mask.shape, contour)
    return found


def disc(size: int, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, cols) < radius


@pytest.mark.parametrize(
    "mask",
    [
        np.pad([[True]], 3),
        disc(64, 25),
        disc(64, 100),  # to the edge of the image on all sides
        np.pad(np.eye(5, dtype=bool), 2),
        np.concatenate([disc(30, 11), disc(30, 4)]),
        np.random.default_rng(0).random((40, 40)) > 0.7,
    ],
    ids=["a pixel", "disc", "whole image", "diagonal", "two parts", "noise"],
)
def test_outlines_enclose_a_mask_without_its_holes(mask):
    assert np.array_equal(pixels_inside(mask), binary_fill_holes(mask))


def test_a_hole_is_inside_the_outline():
    ring = disc(64, 25) & ~disc(64, 10)
    assert len(outlines(ring)) == 1
    assert np.array_equal(pixels_inside(ring), disc(64, 25))


def test_an_outline_lies_half_a_pixel_outside_and_is_short():
    square = np.pad(np.ones((20, 30), bool), 5)
    (contour,) = outlines(square)
    assert contour.min(axis=0).tolist() == [4.5, 4.5] and contour.max(axis=0).tolist() == [24.5, 34.5]
    assert len(contour) == 8  # corners are cut
