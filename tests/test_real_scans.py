"""The whole way on small copies of real scans, where they lie beside the checkout: three MRs and one CT, unpaired."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import cache_of

from synthct.commands import evaluate, plan_and_preprocess, predict, train
from synthct.imaging.coding import MrWindow
from synthct.imaging.geometry import Grid, reorient, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, mask_flags, volume_litres
from synthct.imaging.intensity import to_grey_levels
from synthct.preprocessing.slice_stack import HEAD, SliceStack

SCANS = Path(__file__).parents[2] / "shared" / "data" / "Dataset901_RealHeads"
DATASET = SCANS.name
pytestmark = pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not beside the checkout")


def small_copy(path: Path, target: Path) -> None:
    """Every third voxel block, averaged: the same head, geometry and intensities in a 27th of the voxels."""
    image = sitk.ReadImage(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.Cast(sitk.BinShrink(image, [3, 3, 3]), image.GetPixelID()), str(target))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder in which plan, preprocess, a short training and a prediction have been run on the small copies."""
    folder = tmp_path_factory.mktemp("real")
    raw = folder / "synthct_raw" / DATASET
    for path in SCANS.rglob("*.nii.gz"):
        small_copy(path, raw / path.relative_to(SCANS))
    (raw / "dataset.json").write_text((SCANS / "dataset.json").read_text())
    (folder / "synthct_preprocessed").mkdir()
    (folder / "synthct_results").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
            patch.delenv(root, raising=False)
        patch.chdir(folder)
        short = ["--epochs", "2", "--iterations", "4", "--loaders", "0", "-device", "cpu"]
        assert plan_and_preprocess.main(["-d", "901", "-c", "2d_lowres", "-np", "1"]) == 0
        assert train.main(["901", "cyclegan", "-c", "2d_lowres", *short]) == 0
        assert predict.main(["-i", str(raw / "imagesTr"), "-o", "cts", "-device", "cpu"]) == 0
    return folder


def test_scanners_that_disagree_get_a_window_of_their_own_each(home):
    plan = json.loads((home / "synthct_preprocessed" / DATASET / "plans.json").read_text())
    methods = plan["configurations"]["2d"]["methods"]
    windowed = {name for name, method in methods.items() if "mr_windows" in method["coding"]}
    assert {"cyclegan", "pix2pix"} <= windowed
    assert all(methods[name]["coding"]["mr_windows"][0]["kind"] == "percentile" for name in windowed)
    folder = cache_of(home / "synthct_preprocessed" / DATASET)
    for patient in ("MNE", "SAG", "SEG3D"):
        stack = SliceStack.load(folder / f"{patient}.npz")
        window = MrWindow(**methods["cyclegan"]["coding"]["mr_windows"][0]).in_force(stack.mr_statistics[0])
        mr = stack.mr[0][(stack.regions & HEAD) > 0] * np.float32(stack.mr_steps[0])
        inside = to_grey_levels(mr, window)
        assert 40 < np.median(inside) < 160  # brain in the middle of the grey levels, whatever the scanner's units
        assert stack.ct is None


def test_every_sct_lies_on_its_mrs_grid_and_fills_the_head(home):
    for patient in ("MNE", "SAG", "SEG3D"):
        mr = sitk.ReadImage(str(home / "synthct_raw" / DATASET / "imagesTr" / f"{patient}_0000.nii.gz"))
        sct = sitk.ReadImage(str(home / "cts" / f"{patient}.nii.gz"))
        assert Grid.of(sct).matches(Grid.of(mr), 1e-4)  # NIfTI stores directions as rounded quaternions
        head = sitk.GetArrayFromImage(head_mask_from_mr(mr)) > 0
        assert (sitk.GetArrayFromImage(sct)[~head] == -1000).all()
        assert (sitk.GetArrayFromImage(sct)[head] >= -1000).all()


def test_evaluation_says_that_no_patient_has_both(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert evaluate.main([]) == 2
    assert "no patient has both an MR and a CT" in capsys.readouterr().err


def test_pix2pix_says_that_it_has_no_pairs(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert train.main(["901", "pix2pix", "-c", "2d_lowres", "--loaders", "0"]) == 2
    error = capsys.readouterr().err
    assert "both" in error and "Traceback" not in error


def test_the_vertex_lies_at_one_height_in_mr_and_ct(home):
    folder = cache_of(home / "synthct_preprocessed" / DATASET)
    tops = []
    for path in folder.glob("*.npz"):
        head = (SliceStack.load(path).regions & HEAD) > 0
        tops.append(int(np.flatnonzero(head.any(axis=(0, 2)))[0]))
    assert max(tops) - min(tops) <= 1


SCAN_FILES = {
    "MNE": SCANS / "imagesTr" / "MNE_0000.nii.gz",
    "SAG": SCANS / "imagesTr" / "SAG_0000.nii.gz",
    "SEG3D": SCANS / "imagesTr" / "SEG3D_0000.nii.gz",
    "RIRE": SCANS.parent / "rire_001" / "training_001_mr_T1.mha",
    "UNC": SCANS / "targetsTr" / "UNC.nii.gz",
}


@cache
def scan_and_head(name: str) -> tuple[sitk.Image, sitk.Image]:
    """A scan along LPS and the head found in it."""
    image = sitk.ReadImage(str(SCAN_FILES[name]))
    mask = head_mask_from_ct(image) if name == "UNC" else head_mask_from_mr(image)
    return reorient(image, "LPS"), reorient(mask, "LPS")


def as_arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and head of a scan along LPS, (z, y, x)."""
    image, mask = scan_and_head(name)
    return sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask) > 0


@pytest.mark.parametrize(
    ("name", "litres"), [("MNE", 2.66), ("SAG", 3.20), ("SEG3D", 2.88), ("RIRE", 2.42), ("UNC", 3.93)]
)
def test_head_masks_have_the_volume_that_was_looked_at_in_one_piece(name, litres):
    _, mask = scan_and_head(name)
    assert volume_litres(mask) == pytest.approx(litres, rel=0.03)
    assert sitk.GetArrayFromImage(sitk.ConnectedComponent(mask)).max() == 1


@pytest.mark.parametrize("name", ["MNE", "SAG", "SEG3D", "UNC"])
def test_a_third_of_the_resolution_gives_the_same_head(name):
    image, mask = scan_and_head(name)
    coarse_image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [3, 3, 3 if name != "UNC" else 1])
    coarse = head_mask_from_ct(coarse_image) if name == "UNC" else head_mask_from_mr(coarse_image)
    reference = sitk.GetArrayFromImage(resample(mask, Grid.of(coarse_image))) > 0.5
    found = sitk.GetArrayFromImage(coarse) > 0
    assert 2 * (found & reference).sum() / (found.sum() + reference.sum()) > 0.975


def test_doubts_are_those_that_one_sees_on_the_pictures():
    cut = "the head is cut by the {} of the image: what lies outside is unknown"
    assert {name: mask_flags(scan_and_head(name)[1]) for name in SCAN_FILES} == {
        "MNE": (),  # defaced, with a neck cut low
        "SAG": (),
        "SEG3D": (cut.format("right, left and front borders"),),
        "RIRE": (cut.format("upper border"),),
        "UNC": (),
    }


def test_the_holder_stays_out_and_all_of_the_skull_in():
    hu, head = as_arrays("UNC")
    skull = sitk.GetArrayFromImage(
        sitk.RelabelComponent(sitk.ConnectedComponent(scan_and_head("UNC")[0] > 700), sortByObjectSize=True) == 1
    ).astype(bool)
    assert head[skull].mean() > 0.999
    for level in range(60, 100):  # above the ears; the scalp behind the skull is less than 10 mm thick
        backmost_bone = np.flatnonzero(skull[level].any(axis=1))[-1]
        assert np.flatnonzero(head[level].any(axis=1))[-1] <= backmost_bone + 10
    assert not head[:, 240:].any()  # the couch
    assert (hu[head] < -400).mean() < 0.05  # sinuses, mouth and airway, no cushion


def test_the_skull_that_others_drew_lies_inside_the_head():
    mr, head = scan_and_head("SEG3D")
    skull_image = sitk.ReadImage(str(SCANS.parent / "seg3d_skull" / "Skull.nrrd"))
    skull = sitk.GetArrayFromImage(
        resample(sitk.Cast(skull_image != 0, sitk.sitkUInt8), Grid.of(mr), interpolation="nearest")
    ).astype(bool)
    inside = sitk.GetArrayFromImage(head) > 0
    assert inside[skull].mean() > 0.999
    depth = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(head, True, False, True))[skull]
    assert np.percentile(depth, 1) > 2.0  # mm of scalp over it


def test_ghosts_in_front_of_the_child_are_not_head():
    values, head = as_arrays("SAG")
    face = np.flatnonzero(head.any(axis=(0, 2)))[0]
    assert face > 5  # the ghosts run to the front border
    margin = ~head
    assert np.percentile(values[margin], 99) < 0.35 * np.median(values[head])


def test_what_a_defacing_cut_away_is_not_head():
    values, head = as_arrays("MNE")
    assert (values[head] == 0).mean() < 0.02
    bright = values > np.percentile(values[head], 25)
    assert head[bright].mean() > 0.98


def test_blank_values_around_a_scan_change_nothing():
    image = sitk.ReadImage(str(SCAN_FILES["RIRE"]))
    wide = head_mask_from_mr(sitk.ConstantPad(image, [90, 90, 6], [90, 90, 6], 0))
    assert volume_litres(wide) == pytest.approx(volume_litres(scan_and_head("RIRE")[1]), rel=0.01)
