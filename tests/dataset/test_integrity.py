"""The integrity check: every kind of problem, all of them in one listing, a sentence each with file and remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, describe, write_dataset, write_image
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.errors import DatasetError
from synthct.imaging.io import FILE_ENDINGS
from synthct.parallel import CaseRunner

GRID = make_grid((34, 42, 42), (6, 6, 6))


@pytest.fixture
def folder(tmp_path):
    """One sound pair, P; tests spoil it or add to it."""
    write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED})
    return tmp_path / "Dataset001_Heads"


def problems(folder: Path, **options) -> list[str]:
    """The problems reported, without the listing's title."""
    raw = RawDataset.open(folder)
    with pytest.raises(DatasetError) as fault:
        check_dataset(raw, **options)
    title, *listed = str(fault.value).split("\n  - ")
    assert title == f"Dataset001_Heads has {len(listed)} problem{'s' * (len(listed) > 1)}:"
    assert all(str(folder) in problem and "\n" not in problem and problem.endswith((".", "?")) for problem in listed)
    return listed


def padded(image: sitk.Image, value: int) -> sitk.Image:
    """With one value where the scanner saw nothing."""
    values = sitk.GetArrayFromImage(image)
    values[:, :5] = value
    return GRID.place(values)


def only_problem(folder: Path) -> str:
    (problem,) = problems(folder)
    return problem


def mr_path(folder: Path, patient: str = "P", channel: int = 0) -> Path:
    return folder / "imagesTr" / f"{patient}_{channel:04d}.nii.gz"


def ct_path(folder: Path, patient: str = "P") -> Path:
    return folder / "targetsTr" / f"{patient}.nii.gz"


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_a_sound_dataset_passes_in_every_format(tmp_path, ending):
    write_dataset(tmp_path, {"P": PAIRED, "Q": {"mr"}, "R": {"ct"}}, ending=ending)
    check_dataset(write_dataset(tmp_path, {"T": PAIRED}, part="Ts", ending=ending))


def test_several_channels_on_one_grid_pass(tmp_path):
    check_dataset(write_dataset(tmp_path, {"P": PAIRED, "Q": {"mr"}}, channels=("T1", "T2")))


def test_a_second_channel_on_another_grid_is_reported(tmp_path):
    folder = tmp_path / "Dataset001_Heads"
    write_dataset(folder, {"P": {"mr"}}, channels=("T1", "T2"))
    write_image(head_mr(make_grid((34, 42, 40), (6, 6, 6))), mr_path(folder, channel=1))
    message = only_problem(folder)
    assert "P_0001.nii.gz" in message and "34 x 42 x 40" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_reported(folder, value):
    ct = sitk.GetArrayFromImage(head_ct(GRID)).astype(np.float32)
    ct[0, 0, 0] = value
    write_image(GRID.place(ct), ct_path(folder))
    assert str(ct_path(folder)) in (message := only_problem(folder)) and "NaN" in message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mr: sitk.JoinSeries([mr, mr]), "is 4-D"),
        (lambda mr: sitk.Compose(mr, mr, mr), "3 values a voxel"),
        (lambda mr: sitk.RealAndImaginaryToComplex(mr, mr), "complex"),
        (lambda mr: mr * 0, "is 0"),
        (lambda mr: mr * 0 + 5, "is 5"),
        (lambda mr: mr[:, :, :1], "3-D"),
    ],
)
def test_an_image_of_another_kind_is_reported(folder, spoil, words):
    write_image(spoil(head_mr(GRID)), mr_path(folder))
    message = only_problem(folder)
    assert words in message and str(mr_path(folder)) in message


def test_an_implausible_spacing_is_reported(folder):
    mr = head_mr(GRID)
    mr.SetSpacing((0.006, 0.006, 0.006))
    write_image(mr, mr_path(folder))
    assert any("0.006 x 0.006 x 0.006 mm" in problem for problem in problems(folder))


def test_a_damaged_file_is_reported(folder):
    ct_path(folder).write_bytes(b"no image")
    assert str(ct_path(folder)) in only_problem(folder)


@pytest.mark.parametrize(
    ("to_stored", "remedy"),
    [
        (lambda hu: hu + 1024, "subtract 1024"),
        (lambda hu: sitk.Clamp(hu, lowerBound=-200), "RescaleSlope and RescaleIntercept"),
        (lambda hu: sitk.Cast(hu, sitk.sitkFloat32) / 1000, "RescaleSlope and RescaleIntercept"),
        (lambda hu: (hu + 1024) * 3, "RescaleSlope and RescaleIntercept"),
        (lambda hu: padded(hu + 1024, -2000), "subtract 1024"),
        (lambda hu: padded(hu + 1024, -1024), "subtract 1024"),
        (lambda hu: padded((hu + 1024) * 3, -2000), "RescaleSlope and RescaleIntercept"),
    ],
)
def test_a_ct_without_air_is_reported_as_not_in_hu(folder, to_stored, remedy):
    write_image(to_stored(head_ct(GRID)), ct_path(folder))
    message = only_problem(folder)
    assert str(ct_path(folder)) in message and remedy in message


@pytest.mark.parametrize("padding", [-1024, -2048, -3024])
def test_a_ct_padded_far_below_air_passes(folder, padding):
    write_image(padded(head_ct(GRID), padding), ct_path(folder))
    check_dataset(RawDataset.open(folder))


def test_a_ct_cropped_to_the_head_passes(folder):
    ct, head = (sitk.GetArrayFromImage(image) for image in (head_ct(GRID), head_truth(GRID)))
    write_image(GRID.place(np.where((head > 0) & (ct > -900), ct, -1024).astype(np.int16)), ct_path(folder))
    check_dataset(RawDataset.open(folder))


def test_a_ct_in_place_of_an_mr_is_reported(folder):
    write_image(head_ct(GRID), mr_path(folder))
    assert f"{mr_path(folder)} looks like a CT" in only_problem(folder)
    ct_path(folder).unlink()
    assert "P_0000.nii.gz looks like a CT" in only_problem(folder)


def test_an_mr_in_place_of_a_ct_is_not_to_be_shifted(folder):
    mr = sitk.GetArrayFromImage(head_mr(GRID))
    write_image(GRID.place(np.where(mr > 300, mr * np.linspace(1, 3, mr.shape[2]), mr)), ct_path(folder))
    assert "RescaleSlope and RescaleIntercept" in only_problem(folder)


def test_exchanged_mr_and_ct_are_reported_in_one_sentence(folder):
    write_image(head_ct(GRID), mr_path(folder))
    write_image(head_mr(GRID, scale=1.2), ct_path(folder))  # its tissue near 1024
    message = only_problem(folder)
    assert str(mr_path(folder)) in message and str(ct_path(folder)) in message and "exchange" in message


def test_mr_and_ct_apart_in_space_are_reported(folder):
    write_image(head_ct(make_grid(centre_mm=(0, 0, 900)), centre_mm=(0, 0, 900)), ct_path(folder))
    message = only_problem(folder)
    assert str(ct_path(folder)) in message and "P_0000.nii.gz" in message


def test_an_empty_mask_is_reported(folder):
    write_image(GRID.place(np.zeros(GRID.array_shape, np.uint8)), folder / "masksTr" / "P.nii.gz")
    assert str(folder / "masksTr" / "P.nii.gz") in only_problem(folder)


def test_a_patient_in_training_and_test_is_reported(folder):
    write_dataset(folder, {"P": PAIRED}, part="Ts")
    assert "'P'" in (message := only_problem(folder)) and "test set" in message


def test_a_dataset_without_patients_says_where_to_put_them(tmp_path):
    folder = tmp_path / "Dataset001_Heads"
    describe(folder)
    message = only_problem(folder)
    assert "imagesTr (PATIENT_0000.nii.gz)" in message and "targetsTr (PATIENT.nii.gz)" in message


@pytest.mark.parametrize("workers", [1, 2])
def test_all_problems_of_a_dataset_are_reported_in_one_listing(folder, workers):
    write_dataset(folder, {"Q": PAIRED, "R": PAIRED, "S": {"ct"}})
    mr_path(folder, "Q").rename(folder / "imagesTr" / "Q.nii.gz")  # no channel number
    write_image(head_mr(GRID) * 0, mr_path(folder, "R"))  # empty ...
    write_image(head_ct(GRID) + 1024, ct_path(folder, "R"))  # ... and not in HU
    ct_path(folder, "S").write_bytes(b"")
    write_image(head_mr(GRID), mr_path(folder, "P", 1))  # a channel too many
    write_image(GRID.place(np.ones(GRID.array_shape, np.uint8)), folder / "masksTr" / "X.nii.gz")
    (folder / "targetsTr" / "notes.txt").touch()
    found = problems(folder, runner=CaseRunner(workers))
    assert len(found) == 7
    for name in ("Q.nii.gz", "R_0000.nii.gz", "/R.nii.gz", "S.nii.gz", "P_0001.nii.gz", "X.nii.gz", "notes.txt"):
        assert sum(name in problem for problem in found) == 1, name


def test_patients_who_passed_before_are_not_read_again(folder):
    ct_path(folder).write_bytes(b"")
    check_dataset(RawDataset.open(folder), checked=["P"])


def test_test_patients_are_checked_as_well(folder):
    write_dataset(folder, {"T": PAIRED}, part="Ts")
    (folder / "targetsTs" / "T.nii.gz").write_bytes(b"")
    assert "T.nii.gz cannot be read" in only_problem(folder)
