"""Pairs are counted for every user, and a dataset without any is warned of."""

from __future__ import annotations

import logging

import pytest
from synthetic_datasets import describe

from synthct.dataset.pairs import count_pairs, report_pairs
from synthct.dataset.raw import RawDataset


def raw_dataset(folder, mrs: list[str], cts: list[str], part: str = "Tr") -> RawDataset:
    """Of empty files."""
    describe(folder)
    for kind, names in ((f"images{part}", [f"{name}_0000" for name in mrs]), (f"targets{part}", cts)):
        (folder / kind).mkdir()
        for name in names:
            (folder / kind / f"{name}.nii.gz").touch()
    return RawDataset.open(folder)


def message_of(raw: RawDataset, caplog) -> tuple[list[str], list[str]]:
    """What is logged as information, and as warnings."""
    with caplog.at_level(logging.INFO, logger="synthct"):
        report_pairs(raw)
    records = [(record.levelno, record.getMessage()) for record in caplog.records]
    return [text for level, text in records if level == logging.INFO], [
        text for level, text in records if level == logging.WARNING
    ]


def test_kinds_of_patients_are_counted(tmp_path):
    raw = raw_dataset(tmp_path, [f"P{i}" for i in range(23)], [f"P{i}" for i in range(3, 24)])
    assert count_pairs(raw.training.values()) == "24 patients: 20 pairs, 3 MR only, 1 CT only"
    assert count_pairs([raw.training["P5"]]) == "1 patient: 1 pair, 0 MR only, 0 CT only"


@pytest.mark.parametrize("part", ["Tr", "Ts"])
def test_names_that_would_agree_without_modality_are_warned_of(tmp_path, caplog, part):
    said, (warning,) = message_of(
        raw_dataset(tmp_path, ["P01_T1", "P02_T1", "P3"], ["P01_CT", "P02_CT", "P3"], part), caplog
    )
    assert "5 patients: 1 pair, 2 MR only, 2 CT only" in said[0]
    assert "2 MRs" in warning and f"'P01_T1' in images{part}" in warning and f"'P01_CT' in targets{part}" in warning
    assert f"images{part}/PATIENT_0000.nii.gz" in warning


def test_no_pair_at_all_is_said_beside_names_that_would_agree(tmp_path, caplog):
    _, (warning,) = message_of(raw_dataset(tmp_path, ["P01_T1"], ["P01_CT"]), caplog)
    assert warning.startswith("No patient") and "1 MR " in warning


def test_no_pair_at_all_is_warned_of_with_the_remedy(tmp_path, caplog):
    _, (warning,) = message_of(raw_dataset(tmp_path, ["A", "B"], ["x", "y"]), caplog)
    assert warning.startswith("No patient") and "A, B" in warning


@pytest.mark.parametrize(("mrs", "cts"), [(["A", "B"], ["A"]), (["A"], []), (["A", "B"], ["B", "C"])])
def test_unpaired_patients_beside_pairs_and_mrs_alone_are_counted_without_a_warning(tmp_path, caplog, mrs, cts):
    said, warnings = message_of(raw_dataset(tmp_path, mrs, cts), caplog)
    assert len(said) == 1 and not warnings
