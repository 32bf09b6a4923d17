"""``synthct_predict`` from DICOM to DICOM: a tree of MRs in, a CT series a patient out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from skimage.draw import polygon2mask
from synthetic_dicom import BIRTH_DATE, NAME, PATIENT_ID, write_mr
from synthetic_heads import dice, head_mr, head_truth, make_grid, points_mm
from tiny_models import write_model

import synthct
from synthct.commands import predict
from synthct.imaging.axial import axial_grid
from synthct.imaging.dicom import find_series, read_series
from synthct.imaging.geometry import Grid, known_region
from synthct.imaging.io import write_image
from synthct.inference.predict_folder import OUTPUT_FORMATS

CENTRE = {"centre_mm": (20.0, -30.0, 440.0)}
GRIDS = {
    "axial": make_grid((34, 42, 42), (6, 6, 6), "LPS", **CENTRE),
    "sagittal": make_grid((30, 42, 42), (7, 6, 6), "PIL", **CENTRE),
    "oblique": make_grid((30, 42, 42), (7, 6, 6), "PIL", (10, -8, 6), **CENTRE),
}
DCIODVFY = shutil.which("dciodvfy")


@pytest.fixture
def model(here) -> str:
    return str(write_model(here / "model"))


@pytest.fixture
def mrs(here) -> Path:
    """A patient a grid, each in a folder of its own with the patient's name in it."""
    for number, (name, grid) in enumerate(GRIDS.items()):
        folder = here / "mrs" / f"{NAME}{number}" / name
        write_mr(
            head_mr(grid, scale=3, **CENTRE), folder, patient_id=f"{PATIENT_ID}-{name}", number=4,
            description="T1 MPRAGE", PatientPosition="HFS", StudyDate="20260102", StudyTime="081500", StudyID="1",
        )  # fmt: skip
    return here / "mrs"


def run(model: str, *arguments: object) -> int:
    return predict.main([*map(str, arguments), "-o", "cts", "-m", model, "-device", "cpu"])


def test_every_patient_gets_a_ct_series_of_his_own(mrs, model, capsys):
    assert run(model, "-i", mrs) == 0
    folders = sorted(Path("cts").glob("SCT_*"))
    assert len(folders) == 3 and all(len(folder.name) == 14 for folder in folders)
    scts = {series.patient_id: series for series in find_series(Path("cts"))}
    for mr in find_series(mrs):
        sct = scts[mr.patient_id]
        assert (sct.modality, sct.study_uid, sct.unfit) == ("CT", mr.study_uid, "")
        assert sct.frame_of_reference_uid == mr.frame_of_reference_uid
        image, scan = read_series(sct), read_series(mr)
        grid = Grid.of(image)
        assert grid.matches(axial_grid(Grid.of(scan)), 1e-3)
        # The head lies where the MR shows it; half a voxel of 6 mm at its border is in doubt, as on the MR's own grid.
        head = sitk.Mask(head_truth(grid, **CENTRE), known_region(scan, grid))
        assert sitk.GetArrayFromImage(image).min() == -1000 and dice(image > -1000, head) > 0.9
        centres = [points_mm(grid)[:, sitk.GetArrayFromImage(one) > 0].mean(axis=1) for one in (image > -1000, head)]
        assert np.abs(centres[0] - centres[1]).max() < 3  # mm, half a voxel
    header = pydicom.dcmread(next(folders[0].iterdir()))
    assert str(header.PatientName) == NAME and header.KVP == 120
    assert f"synthct {synthct.__version__}, model " in header.DerivationDescription
    out, err = capsys.readouterr()
    assert "MR series 4 'T1 MPRAGE'" in out and "3 synthetic CTs" in out
    assert header.DerivationDescription.split()[-1] in out  # the model
    for reported in (out, err, *map(str, Path("cts").rglob("*"))):
        assert NAME not in reported and PATIENT_ID not in reported and BIRTH_DATE not in reported


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(mrs, model):
    assert run(model, "-i", mrs) == 0
    for path in Path("cts").rglob("*.dcm"):
        reported = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True)
        assert "CTImage" in reported.stderr and "Error" not in reported.stderr + reported.stdout


def test_patients_with_one_id_are_reported_apart_by_folder(here, model):
    for number in range(2):
        write_mr(head_mr(GRIDS["axial"], **CENTRE), here / "mrs" / str(number), patient_id="ANONYMOUS")
    assert run(model, "-i", here / "mrs", "--patients_by", "folder") == 0
    assert len(list(Path("cts").glob("SCT_*"))) == 2


def test_a_prediction_goes_on_where_it_stopped(mrs, model):
    assert run(model, "-i", mrs / f"{NAME}0") == 0
    made = {path: path.stat().st_mtime_ns for path in Path("cts").rglob("*.dcm")}
    assert run(model, "-i", mrs / f"{NAME}0", "--continue_prediction") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("cts").rglob("*.dcm")} == made


def test_options_are_written(mrs, model):
    options = ["--kvp", 140, "--manufacturer", "Acme", "--series_description", "sCT of a test"]
    assert run(model, "-i", mrs / f"{NAME}0", *options) == 0
    header = pydicom.dcmread(next(Path("cts").rglob("*.dcm")))
    assert (header.KVP, header.Manufacturer, header.SeriesDescription) == (140, "Acme", "sCT of a test")


def test_a_body_contour_encloses_the_head_of_the_sct(mrs, model):
    assert run(model, "-i", mrs / f"{NAME}2", "--body_contour") == 0
    (folder,) = Path("cts").glob("SCT_*")
    (series,) = find_series(folder)
    rt, hu = pydicom.dcmread(folder / "body_contour.dcm"), sitk.GetArrayFromImage(read_series(series))
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in sorted(folder.glob("sCT_*"))]
    grid, found = Grid.of(read_series(series)), np.zeros(hu.shape, bool)
    for contour in rt.ROIContourSequence[0].ContourSequence:
        index = uids.index(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        columns, rows = ((points - grid.origin_mm) / grid.spacing_mm_xyz)[:, :2].T
        found[index] ^= polygon2mask(hu.shape[1:], np.stack([rows, columns], axis=1))
    head = hu > -1000
    assert head.any() and 2 * (found & head).sum() / (found.sum() + head.sum()) > 0.98


def test_the_command_offers_the_formats_that_there_are():
    assert predict.FORMATS == OUTPUT_FORMATS


def test_image_files_can_be_made_of_dicom(mrs, model):
    assert run(model, "-i", mrs, "--output_format", "nii.gz") == 0
    assert run(model, "-i", mrs) == 0
    files = sorted(path.name for path in Path("cts").glob("*.nii.gz"))
    assert files == sorted(f"{path.name}.nii.gz" for path in Path("cts").glob("SCT_*") if path.is_dir())
    sizes = sorted(sitk.ReadImage(f"cts/{name}").GetSize() for name in files)
    assert sizes == sorted(grid.size_xyz for grid in GRIDS.values())  # on the MR's own grid


def test_dicom_can_be_made_of_image_files(here, model):
    write_image(head_mr(GRIDS["sagittal"], **CENTRE), here / "images" / "P 7_0000.mha")
    assert run(model, "-i", here / "images", "--output_format", "dicom", "--kvp", 110.5) == 0
    (series,) = find_series(Path("cts"))
    assert series.patient_id == "P 7" and series.files[0].parent.name == "P 7"
    assert Grid.of(read_series(series)).matches(axial_grid(GRIDS["sagittal"]), 1e-3)
    assert pydicom.dcmread(series.files[0]).KVP == 110.5


def test_image_formats_can_be_changed(here, model):
    write_image(head_mr(GRIDS["sagittal"], **CENTRE), here / "images" / "P_0000.mha")
    assert run(model, "-i", here / "images", "--output_format", "nrrd") == 0
    assert sorted(path.name for path in Path("cts").iterdir()) == ["P.nrrd", "qa"]


def test_a_series_is_chosen_by_its_description(mrs, model, refused, capsys):
    folder = mrs / f"{NAME}0"
    grid = GRIDS["axial"]
    write_mr(
        head_mr(grid, scale=2, **CENTRE), folder / "t2", patient_id=f"{PATIENT_ID}-axial", number=5, description="T2"
    )
    reported = refused("predict", "-i", str(folder), "-o", "cts", "-m", model, "-device", "cpu")
    assert "T1 MPRAGE" in reported and "T2" in reported and "--mr_series" in reported
    assert not Path("cts").exists()
    for option in ("--mr_series", "--series"):
        assert run(model, "-i", folder, option, "t2") == 0
        assert "5 'T2'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--patients_by", "folder"], "--patients_by"),
        (["--mr_series", "T1"], "--mr_series"),
        (["--kvp", "140"], "--output_format dicom"),
        (["--body_contour"], "--output_format dicom"),
        (["--output_format", "dicom", "--manufacturer", "a\\b"], "manufacturer"),
    ],
)
def test_options_without_meaning_are_refused(here, model, refused, arguments, named):
    write_image(head_mr(GRIDS["axial"], **CENTRE), here / "images" / "P.mha")
    assert named in refused(
        "predict", "-i", str(here / "images"), "-o", "cts", "-m", model, "-device", "cpu", *arguments
    )
    assert not Path("cts").exists()


def test_the_workers_of_a_cluster_read_and_write_dicom(mrs, model, scheduler):
    assert run(model, "-i", mrs.relative_to(Path.cwd()), "--scheduler", scheduler) == 0
    assert len(find_series(Path("cts"))) == 3


def test_pydicom_is_not_loaded_by_image_files_or_a_training(here, model):
    write_image(head_mr(GRIDS["axial"], **CENTRE), here / "images" / "P.mha")
    script = (
        "import sys; sys.modules['pydicom'] = None\n"
        "import synthct.training.run, synthct.training.validation, synthct.evaluation.evaluate\n"
        "from synthct.commands import predict\n"
        f"sys.exit(predict.main(['-i', 'images', '-o', 'cts', '-m', {model!r}, '-device', 'cpu']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert Path("cts/P.mha").is_file()
