"""The whole way on small copies of real scans, where they lie beside the checkout: three MRs and one CT, unpaired."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.commands import evaluate, plan_and_preprocess, predict, train
from synthct.imaging.geometry import Grid
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, volume_litres
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
    assert plan["configurations"]["2d_lowres"]["preprocessing"]["mr_windows"][0]["kind"] == "percentile"
    folder = home / "synthct_preprocessed" / DATASET / "2d_lowres"
    for patient in ("MNE", "SAG", "SEG3D"):
        stack = SliceStack.load(folder / f"{patient}.npz")
        inside = stack.mr[0][(stack.regions & HEAD) > 0]
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
    folder = home / "synthct_preprocessed" / DATASET / "2d_lowres"
    tops = []
    for path in folder.glob("*.npz"):
        head = (SliceStack.load(path).regions & HEAD) > 0
        tops.append(int(np.flatnonzero(head.any(axis=(0, 2)))[0]))
    assert max(tops) - min(tops) <= 1


@pytest.mark.parametrize(
    ("name", "litres"), [("imagesTr/MNE_0000", 2.5), ("imagesTr/SAG_0000", 3.2), ("imagesTr/SEG3D_0000", 2.8),
                         ("targetsTr/UNC", 3.95)]
)  # fmt: skip
def test_head_masks_have_the_volume_that_was_looked_at(home, name, litres):
    image = sitk.ReadImage(str(home / "synthct_raw" / DATASET / f"{name}.nii.gz"))
    mask = head_mask_from_ct(image) if name.endswith("UNC") else head_mask_from_mr(image)
    assert volume_litres(mask) == pytest.approx(litres, rel=0.06)
    assert sitk.GetArrayFromImage(sitk.ConnectedComponent(mask)).max() == 1
