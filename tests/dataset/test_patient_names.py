"""Which MR and CT files are of one patient, by names in which a modality is written."""

from __future__ import annotations

import re

import pytest

from synthct.dataset.patient_names import match_by_pattern, match_names, patient_of
from synthct.errors import DatasetError


def matched(mrs: list[str], cts: list[str]) -> tuple[dict[str, tuple[str, str]], dict[str, list[str]]]:
    """MR and CT by patient, and what is ambiguous; names are the files."""
    found = match_names({f"mr/{name}": name for name in mrs}, {f"ct/{name}": name for name in cts})
    patients = {*found.mr, *found.ct}
    return {name: (found.mr.get(name, "")[3:], found.ct.get(name, "")[3:]) for name in patients}, {
        name: [file[3:] for file in files] for name, files in found.ambiguous.items()
    }


@pytest.mark.parametrize(
    "word", "T1 T1w T1Gd t1ce T1_Gd T2 t2W FLAIR MR mri MPRAGE T1_0000 0000 T1-MPRAGE T2_FLAIR mprage_0000".split()
)
@pytest.mark.parametrize("separator", "_-. ")
def test_words_of_modality_after_a_name_are_not_the_patients(word, separator):
    mr, ct = f"P01{separator if word != '0000' else '_'}{word}", f"P01{separator}CT"
    assert matched([mr], [ct]) == ({"P01": (mr, ct)}, {})


@pytest.mark.parametrize(
    ("mr", "ct", "patient"),
    [
        ("P01", "P01", "P01"),
        ("P01_0000", "P01_0000", "P01"),
        ("P01_0000", "p01", "P01"),
        ("MR_007", "CT_007", "007"),
        ("t1-007", "ct.007", "007"),
        ("Brain_MR_007", "Brain-CT-007", "Brain_007"),
        ("P01_T1_preop", "P01_CT_preop", "P01_preop"),
        ("sub-01_T1w", "sub-01_ct", "sub-01"),
        ("sub-01_ses-1_T1w", "sub-01_ses-1_ct", "sub-01_ses-1"),
        ("sub-01_ses-1_T1w", "sub-01_ct", "sub-01"),
        ("sub-01_acq-mprage_run-2_T1w", "sub-01_ct", "sub-01"),
        ("sub-01_ses-2_ce-gd_T1w", "sub-01_ses-2_acq-planning_ct", "sub-01_ses-2"),
    ],
)
def test_schemes_of_names(mr, ct, patient):
    assert matched([mr], [ct]) == ({patient: (mr, ct)}, {})


def test_equal_names_go_before_names_that_are_equal_without_modality():
    mrs, cts = ["A_T1", "A_T2", "case_0000", "case_0001"], ["A_T1", "A_T2", "case_0000", "case_0001"]
    assert matched(mrs, cts) == ({name: (name, name) for name in mrs}, {})


@pytest.mark.parametrize(
    ("mrs", "cts", "patient", "files"),
    [
        (["P1_T1", "P1_T2"], ["P1_CT"], "P1", ["P1_T1", "P1_T2"]),
        (["P1", "P1_mr"], ["P1"], "P1", ["P1", "P1_mr"]),
        (["P1"], ["P1", "P1_CT"], "P1", ["P1", "P1_CT"]),
        (["sub-1_ses-1_T1w", "sub-1_ses-2_T1w"], ["sub-1_ct"], "sub-1", ["sub-1_ses-1_T1w", "sub-1_ses-2_T1w"]),
    ],
)
def test_two_files_of_one_patient_are_ambiguous(mrs, cts, patient, files):
    assert matched(mrs, cts)[1] == {patient: files}


def test_names_keep_their_modality_where_two_would_be_one_patient():
    assert matched(["P1_T1", "P1_T2"], ["P2_CT"]) == (
        {"P1_T1": ("P1_T1", ""), "P1_T2": ("P1_T2", ""), "P2": ("", "P2_CT")},
        {},
    )


def test_a_second_session_is_a_patient_with_an_mr_alone():
    mrs, cts = ["sub-1_ses-1_T1w", "sub-1_ses-2_T1w"], ["sub-1_ses-1_ct"]
    assert matched(mrs, cts) == (
        {"sub-1_ses-1": (mrs[0], cts[0]), "sub-1_ses-2": (mrs[1], "")},
        {},
    )


@pytest.mark.parametrize("name", ["T1", "MR_CT", "1", "spectrum", "merct", "Martin"])
def test_a_name_is_never_empty_and_words_are_whole(name):
    assert patient_of(name) == name


def test_a_pattern_finds_the_patient():
    pattern = re.compile(r"(P\d+)")
    found = match_by_pattern({"a": "T1 of P01 axial", "b": "P02x"}, {"c": "planning-P01"}, pattern)
    assert (found.mr, found.ct) == ({"P01": "a", "P02": "b"}, {"P01": "c"})
    assert match_by_pattern({"a": "P1_1", "b": "P1_2"}, {}, pattern).ambiguous == {"P1": ["a", "b"]}
    with pytest.raises(DatasetError, match="mr/Q1"):
        match_by_pattern({"mr/Q1": "Q1"}, {}, pattern)
