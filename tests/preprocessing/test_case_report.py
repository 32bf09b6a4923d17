"""A case's part of the report: made once, and again where something that it shows has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic_datasets import PAIRED, write_dataset

from synthct.dataset.images import head_masks, read_case
from synthct.dataset.registration_record import Registration
from synthct.imaging.coding import MrWindow
from synthct.preprocessing.case_report import (
    ShownWindows,
    findings_path,
    load_all_findings,
    picture_path,
    remove_others,
    report_entry,
    report_on_case,
)

WINDOWS = ShownWindows((MrWindow("percentile", 0, 100),), (-600.0, 1400.0))


@pytest.fixture
def case(tmp_path):
    return write_dataset(tmp_path / "raw" / "Dataset001_Heads", {"P.1": PAIRED}).training["P.1"]


@pytest.fixture
def folder(tmp_path, case):
    """A preprocessed dataset with the case's picture and findings in it."""
    images = read_case(case)
    report_on_case(images, head_masks(images), report_entry(tmp_path / "done", case, WINDOWS, 1))
    return tmp_path / "done"


def test_what_is_there_and_unchanged_is_not_made_again(folder, case):
    assert picture_path(folder, "P.1").name == "P.1.jpg" and picture_path(folder, "P.1").is_file()
    assert report_entry(folder, case, WINDOWS, 1) is None
    assert load_all_findings(folder, ["P.1", "Q"]).keys() == {"P.1"}


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({"ct_hu": (-1000.0, 2000.0)}, 1),
        ({"mr": (MrWindow("percentile", 0.5, 99.5),)}, 1),
        ({"mr": (MrWindow("fixed", 0, 100),)}, 1),
        ({}, 2),
    ],
)
def test_other_windows_and_other_head_masks_make_the_case_anew(folder, case, changes, version):
    assert report_entry(folder, case, replace(WINDOWS, **changes), version) is not None


def test_a_pair_whose_registration_failed_is_reported_as_none(folder, case):
    failed = replace(case, registration=Registration((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 0), "failed"))
    entry = report_entry(folder, failed, WINDOWS, 1)
    assert entry is not None
    before = picture_path(folder, "P.1").read_bytes()
    images = read_case(failed)
    report_on_case(images, head_masks(images), entry)
    (findings,) = load_all_findings(folder, ["P.1"]).values()
    assert findings.facts["Registration"] == "failed"
    assert not findings.paired and findings.flags[0].startswith("MR and CT are not aligned")
    assert picture_path(folder, "P.1").read_bytes() != before


def test_a_picture_or_findings_that_are_missing_are_made_again(folder, case):
    picture_path(folder, "P.1").unlink()
    assert report_entry(folder, case, WINDOWS, 1) is not None


def test_a_picture_that_a_killed_run_left_half_done_goes_with_those_of_patients_who_are_gone(folder):
    (folder / "report" / ".1234abcd.partial.P.1.jpg").touch()
    (folder / "report" / "Q.json").touch()
    remove_others(folder, ["P.1"])
    assert {path.name for path in (folder / "report").iterdir()} == {"P.1.jpg", "P.1.json"}
    remove_others(folder, [])
    assert not findings_path(folder, "P.1").exists() and not picture_path(folder, "P.1").exists()
