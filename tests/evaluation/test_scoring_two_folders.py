"""``synthct_evaluate -p -r``: exact scores of right inputs, exit status 2 and the file's name for wrong ones."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_up import RADIUS, SPACING_MM, distance, head_with_face, image, make_model, make_raw

from synthct.commands import evaluate
from synthct.imaging.io import write_image

FIELD = Path(__file__).parents[3] / "shared" / "data" / "field"
ORIGIN = (-100.0, -120.0, 50.0)
REFERENCE = np.round(head_with_face())
OFF_BY_HU = 20.0
BRAIN = distance() <= RADIUS - 3


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current directory, with an sCT that is off by 20 HU in the brain and by 50 HU elsewhere in the head."""
    monkeypatch.chdir(tmp_path)
    sct = REFERENCE + np.where(BRAIN, OFF_BY_HU, np.where(REFERENCE > -500, -50.0, 0.0))
    write("sct/P1", sct)
    write("ref/P1", REFERENCE)
    return tmp_path


def write(name: str, array: np.ndarray, origin: tuple[float, float, float] = ORIGIN) -> None:
    write_image(image(np.ascontiguousarray(array, np.float32), origin), Path(f"{name}.nii.gz"))


def hu_of(name: str) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(f"{name}.nii.gz"))


def score(*options: str) -> int:
    return evaluate.main(["-p", "sct", "-r", "ref", "--protocol", "seed", "-np", "1", "-o", "scores", *options])


def rows() -> dict[str, dict[str, str]]:
    with open("scores/metrics_sct.csv") as file:
        return {row["patient"]: row for row in csv.DictReader(file)}


def mae_hu() -> float:
    return float(rows()["P1"]["mae_hu"])


# Exact scores


def test_an_sct_is_scored_inside_the_given_mask_exactly(here):
    write("masks/P1", BRAIN)
    assert score("-m", "masks") == 0
    row = rows()["P1"]
    assert (float(row["mae_hu"]), int(row["voxels"]), row["mask"]) == (OFF_BY_HU, BRAIN.sum(), "given")


@pytest.mark.parametrize("parts", [1, 2])
def test_a_mask_on_a_finer_grid_or_another_field_of_view_gives_the_same_score(here, parts):
    fine = BRAIN.repeat(parts, 0).repeat(parts, 1).repeat(parts, 2)
    # The corner of the volume stays where it is, and what is cut off holds no head.
    mask = sitk.GetImageFromArray(fine[2 * parts :, parts:].astype(np.uint8))
    spacing = np.array(SPACING_MM) / parts
    mask.SetSpacing(spacing)
    mask.SetOrigin(np.array(ORIGIN) - np.array(SPACING_MM) / 2 + spacing / 2 + (0, SPACING_MM[1], 2 * SPACING_MM[2]))
    write_image(mask, Path("masks/P1.mha"))
    assert score("-m", "masks") == 0
    row = rows()["P1"]
    assert (float(row["mae_hu"]), int(row["voxels"])) == (OFF_BY_HU, BRAIN.sum())


def with_rings_of_a_spline(mask: np.ndarray) -> np.ndarray:
    """No voxel is exactly 0 or 1, as in a mask that a B-spline resampled."""
    return (mask + np.random.default_rng(0).uniform(-0.3, 0.3, mask.shape)).astype(np.float32)


def test_a_mask_that_was_interpolated_gives_the_score_of_the_mask_before(here, capsys):
    write("masks/P1", with_rings_of_a_spline(BRAIN))
    assert score("-m", "masks") == 0
    row = rows()["P1"]
    assert (float(row["mae_hu"]), int(row["voxels"])) == (OFF_BY_HU, BRAIN.sum())
    assert "0.5" in row["notes"] and "masks/P1.nii.gz" in capsys.readouterr().err


def test_an_interpolated_mask_of_a_dataset_gives_the_score_of_the_mask_before(here):
    """The sCT is off by 10 HU in the head, and right in the air that the mask has too."""
    name = "Dataset001_Spheres"
    raw = make_raw(here / "synthct_raw" / name, ["P1", "P2"]).folder
    wide = distance() <= RADIUS + 2
    write_image(image(with_rings_of_a_spline(wide)), raw / "masksTr" / "P1.nii.gz")
    model = here / "synthct_results" / name / "pix2pix__plans__2d"
    make_model(model, {"P1": 10.0}, split={"train": ["P2"], "val": ["P1"]}, ct_means={"P2": (500.0, 1.0)})
    (model / "fold_0" / "checkpoint_final.pth").touch()
    assert evaluate.main(["-np", "1", "--protocol", "seed"]) == 0
    with open(model.parent / "evaluation" / "metrics_pix2pix.csv") as file:
        (row,) = csv.DictReader(file)
    assert (row["mask"], int(row["voxels"])) == ("given", wide.sum())
    assert float(row["mae_hu"]) == pytest.approx(10.0 * (distance() <= RADIUS).sum() / wide.sum(), abs=1e-3)


# Wrong inputs


def shift_sct(hu: float) -> None:
    write("sct/P1", hu_of("sct/P1") + hu)


def shift_both(hu: float) -> None:
    shift_sct(hu)
    write("ref/P1", hu_of("ref/P1") + hu)


def scale_both(factor: float) -> None:
    for name in ("sct/P1", "ref/P1"):
        write(name, hu_of(name) * factor)


WRONG: dict[str, tuple[Callable[[], None], str, str]] = {  # what is done, the file to name, what must be said
    "sCT in HU + 1024": (lambda: shift_sct(1024), "sct/P1.nii.gz", "subtract 1024"),
    "sCT in HU + 1000": (lambda: shift_sct(1000), "sct/P1.nii.gz", "subtract 1000"),
    "both in HU + 1024": (lambda: shift_both(1024), "ref/P1.nii.gz", "subtract 1024"),
    "sCT in [-1, 1]": (
        lambda: write("sct/P1", np.clip((hu_of("sct/P1") + 600) / 1000 - 1, -1, 1)),
        "sct/P1.nii.gz",
        "[-1, 1]",
    ),
    "sCT doubled": (lambda: write("sct/P1", hu_of("sct/P1") * 2), "sct/P1.nii.gz", "x HU"),
    "both doubled": (lambda: scale_both(2), "ref/P1.nii.gz", "multiplied by 2"),
    "identity header": (
        lambda: write("sct/P1", hu_of("sct/P1")[1:], (0.0, 0.0, 0.0)),
        "sct/P1.nii.gz",
        "identity header",
    ),
    "identity header on the reference's grid": (
        lambda: write("sct/P1", hu_of("sct/P1"), (0.0, 0.0, 0.0)),
        "sct/P1.nii.gz",
        "another origin",
    ),
    "sCT upside down": (lambda: write("sct/P1", np.flip(hu_of("sct/P1"), 0)), "sct/P1.nii.gz", "upside down"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_input_ends_with_status_2_and_names_the_file(here, capsys, kind):
    spoil, file, words = WRONG[kind]
    spoil()
    assert score() == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"synthct_evaluate: {file} ") and words in said
    assert not Path("scores/metrics_sct.csv").exists()


def test_a_mask_that_is_a_scan_ends_with_status_2_and_names_the_file(here, capsys):
    write("masks/P1", REFERENCE)
    assert score("-m", "masks") == 2
    assert "masks/P1.nii.gz" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["sCT in HU + 1024", "both in HU + 1024", "sCT in [-1, 1]", "identity header"])
def test_with_skip_bad_the_others_are_scored_and_the_status_is_3(here, capsys, kind):
    for folder in ("sct", "ref"):
        shutil.copy(f"{folder}/P1.nii.gz", f"{folder}/P2.nii.gz")
    spoil, file, _ = WRONG[kind]
    spoil()
    assert score("--skip_bad") == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"P1 is left out: {file} " in said
    assert list(rows()) == ["P2"]


def test_with_skip_bad_and_no_good_patient_the_status_is_2(here):
    shift_sct(1024)
    assert score("--skip_bad") == 2


# Field inputs: an sCT whose MAE against its reference is 125.6 HU


def score_field(name: str, output: Path, *options: str) -> int:
    folder = FIELD / name
    mask = ["-m", str(folder / "mask")] if "mask" in options else []
    files = ["-p", str(folder / "sct"), "-r", str(folder / "ref"), "-o", str(output), *mask]
    return evaluate.main([*files, "--protocol", "seed", "-np", "1"])


def field_score(output: Path) -> tuple[float, float]:
    """MAE in HU and the scored share of the head in percent."""
    with open(output / "metrics_sct.csv") as file:
        (row,) = csv.DictReader(file)
    return float(row["mae_hu"]), float(row["scored_head_percent"])


field_inputs = pytest.mark.skipif(not FIELD.is_dir(), reason="the field inputs are not beside the checkout")


@field_inputs
@pytest.mark.parametrize(
    ("name", "file"), [("03_evaluate_network_units", "sct/P.nii.gz"), ("04_evaluate_hu_plus_1024", "ref/P.nii.gz")]
)
def test_field_inputs_in_other_units_are_refused_by_name(tmp_path, capsys, name, file):
    assert score_field(name, tmp_path) == 2
    assert f"{FIELD / name / file} " in capsys.readouterr().err.splitlines()[-1]


@field_inputs
def test_field_inputs_in_hu_have_the_right_score(tmp_path):
    assert score_field("18_evaluate_mask_interpolated", tmp_path) == 0
    assert field_score(tmp_path)[0] == pytest.approx(125.6, abs=0.1)


@field_inputs
def test_the_interpolated_mask_of_the_field_is_cut_at_one_half(tmp_path):
    """No value lies between 0.4 and 0.6, so that any threshold there gives the 84968 voxels of the mask before."""
    assert score_field("18_evaluate_mask_interpolated", tmp_path, "mask") == 0
    assert field_score(tmp_path)[0] == pytest.approx(124.1, abs=0.1)


@field_inputs
def test_the_share_of_a_cropped_sct_of_the_field_is_reported(tmp_path, capsys):
    assert score_field("22_evaluate_cropped_sct", tmp_path) == 0
    assert field_score(tmp_path) == pytest.approx((90.1, 39.4), abs=0.1)
    assert "P: only 39 %" in capsys.readouterr().err
