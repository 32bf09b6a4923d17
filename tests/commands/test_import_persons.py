"""``synthct_import`` on DICOM files whose PatientIDs or series do not tell patients and volumes apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid
from scans_to_import import IMPORT, raw_dataset, write_image, write_patient
from synthetic_dicom import AXIAL, PATIENT_ID, straight_positions, write_series
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.commands import import_data


def write_two_persons(folder: Path, mr: dict[str, str], ct: dict[str, str]) -> None:
    """An MR and a CT under one PatientID, each in a folder of its own, with attributes of the patient."""
    grid = make_grid((34, 42, 42), (6.0, 6.0, 6.0))
    write_image(folder / "A", head_mr(grid), 0, modality="MR", number=2, patient_id="ANONYMOUS", **mr)
    write_image(folder / "B", head_ct(grid), -1024, number=3, patient_id="ANONYMOUS", **ct)


BORN, SEX, CALLED = "PatientBirthDate", "PatientSex", "PatientName"


@pytest.mark.parametrize(
    ("mr", "ct", "named"),
    [
        ({BORN: "19381222", SEX: "F"}, {BORN: "20010101", SEX: "M"}, (BORN, SEX)),
        ({BORN: "19381222", SEX: "F"}, {BORN: "19381223", SEX: "F"}, (BORN,)),
        ({BORN: "", SEX: "F"}, {BORN: "20010203", SEX: "M"}, (SEX,)),
        ({BORN: "", CALLED: "Latimer^Marjorie"}, {BORN: "19381222", CALLED: "Smith^James"}, (CALLED,)),
    ],
)
def test_two_persons_under_one_id_are_no_pair(checkout, refused, mr, ct, named):
    write_two_persons(checkout / "scans", mr, ct)
    reported = refused("import_data", *IMPORT)
    assert "Brain_001" in reported and "MR series 2 'Head'" in reported and "CT series 3 'Head'" in reported
    assert [name for name in (BORN, SEX, CALLED) if name in reported] == [
        name for name in (BORN, SEX, CALLED) if name in named
    ]
    assert "(0010,0020)" in reported and "--patients_by folder" in reported
    assert not any(value in reported for value in (*mr.values(), *ct.values()) if len(value) > 1)
    assert not list((checkout / "synthct_raw").iterdir())
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [False, False]


@pytest.mark.parametrize(
    ("mr", "ct"),
    [
        ({BORN: "", SEX: ""}, {BORN: "20010101", SEX: "M"}),
        ({BORN: "19380101"}, {BORN: "19381222"}),  # the year alone is left of one
        ({BORN: "19000101", SEX: "O"}, {BORN: "19381222", SEX: "F"}),
        ({CALLED: "Latimer^Marjorie"}, {CALLED: "Courtenay-Latimer^M"}),
        ({CALLED: "Latimer^Marjorie"}, {CALLED: "Smith^James"}),  # of one birth date: married since
        ({BORN: "", CALLED: "Latimer^Marjorie"}, {BORN: "", CALLED: "ANONYMOUS"}),
        ({BORN: "", CALLED: "P01_MR"}, {BORN: "", CALLED: "P01 CT"}),
    ],
)
def test_what_one_person_may_be_called_in_two_studies_makes_a_pair(checkout, mr, ct):
    write_two_persons(checkout / "scans", mr, ct)
    assert import_data.main([*IMPORT]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True]


def test_persons_in_one_folder_that_the_user_takes_for_a_patient_are_warned_of(checkout, capsys):
    write_two_persons(checkout / "scans" / "P1", {BORN: "19381222"}, {BORN: "20010203"})
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    reported = capsys.readouterr().err
    assert "Brain_001" in reported and BORN in reported and "1938" not in reported
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True]


def test_one_id_for_several_folders_of_patients_is_reported_with_the_remedy(checkout, refused, capsys):
    for number in range(2):
        write_patient(checkout / "scans" / f"folder{number}", "ANONYMOUS", size=0.95 + 0.02 * number)
    reported = refused("import_data", *IMPORT)
    assert "--patients_by folder" in reported
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True, True]


def test_a_series_uid_a_slice_that_makes_no_stack_is_one_sentence(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    flat = np.ones((40, 4, 4), np.uint16)
    each = lambda index: {"SeriesInstanceUID": generate_uid()}  # noqa: E731  and frames of reference of their own
    where = {"each": lambda index: {**each(index), "FrameOfReferenceUID": generate_uid()}, "patient_id": "H2"}
    write_series(checkout / "scans" / "2", flat, straight_positions(40, 3, AXIAL), modality="MR", **where)
    reported = refused("import_data", *IMPORT)
    assert "(0020,000E)" in reported and reported.count("\n") <= 2
