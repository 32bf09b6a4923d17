"""Patients numbered case_0000, case_0001, ... are distinguished from the channels of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_datasets import describe

from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.errors import DatasetError, ImageError
from synthct.inference.predict_folder import list_mrs
from synthct.parallel import CaseRunner


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.nii.gz").touch()


@pytest.mark.parametrize(
    ("mrs", "cts", "channels"),
    [
        (["case_0000", "case_0001"], ["case_0000", "case_0001"], ("T1",)),
        (["case_0000", "case_0001"], ["case_0000", "case_0001"], ("T1", "T2")),
        (["case_0000", "case_0001", "case_0002"], [], ("T1",)),
        (["case_0001", "case_0002", "case_0003"], ["case_0001", "case_0003"], ("T1",)),
        (["P_1_0007"], ["P_1_0007"], ("T1",)),
    ],
)
def test_patients_with_numbers_like_channels_are_one_problem_with_its_remedy(tmp_path, mrs, cts, channels):
    describe(tmp_path, channels)
    touch(tmp_path / "imagesTr", *mrs)
    touch(tmp_path / "targetsTr", *cts)
    raw = RawDataset.open(tmp_path)
    ((patient, sentence),) = raw.problems
    assert patient is None and str(tmp_path / "imagesTr") in sentence
    assert f"{mrs[0]}.nii.gz" in sentence and f"{mrs[0]}_0000.nii.gz" in sentence
    assert set(raw.training) == {*mrs, *cts}
    with pytest.raises(DatasetError, match="four digits"):
        check_dataset(raw, runner=CaseRunner(bad={}))  # which leaving patients out would hide


@pytest.mark.parametrize(
    ("mrs", "channels"),
    [
        (["P1_0000", "P1_0001", "P1_0002", "P2_0000", "P2_0001", "P2_0002"], ("T1", "T2", "T3")),
        (["case_0000_0000", "case_0001_0000", "case_0002_0000"], ("T1",)),
        (["case_0000"], ("T1",)),
    ],
)
def test_channels_are_channels(tmp_path, mrs, channels):
    describe(tmp_path, channels)
    touch(tmp_path / "imagesTr", *mrs)
    assert RawDataset.open(tmp_path).problems == ()
    assert list_mrs(tmp_path / "imagesTr", len(channels))


@pytest.mark.parametrize("count", [3, 12])
def test_mrs_to_predict_that_are_numbered_so_are_refused_with_the_remedy(tmp_path, count):
    touch(tmp_path, *(f"case_{number:04d}" for number in range(count)))
    with pytest.raises(ImageError, match="case_0000_0000, case_0001_0000") as fault:
        list_mrs(tmp_path, 1)
    assert str(tmp_path) in str(fault.value)


def test_two_mrs_may_be_either_and_both_remedies_are_reported(tmp_path):
    touch(tmp_path, "case_0000", "case_0001")
    with pytest.raises(ImageError, match="0001 .*case_0000_0000"):
        list_mrs(tmp_path, 1)


def test_numbers_from_one_are_part_of_the_name_for_a_model_of_one_channel(tmp_path):
    touch(tmp_path, *(f"case_{number:04d}" for number in range(1, 9)))
    assert list(list_mrs(tmp_path, 1)) == [f"case_{number:04d}" for number in range(1, 9)]
