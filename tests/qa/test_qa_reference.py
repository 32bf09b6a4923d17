"""``qa_reference.json``: written, extended by folds, read strictly."""

from __future__ import annotations

import json

import pytest
from facts import reference_of

from synthct.errors import ModelError
from synthct.model_folder import ModelFolder
from synthct.qa import PatientRecord, Reference


def test_a_reference_is_read_as_it_was_written(tmp_path):
    assert Reference.load(tmp_path) is None
    reference_of(3).save(tmp_path)
    assert Reference.load(tmp_path) == reference_of(3)


def test_a_damaged_or_newer_reference_is_reported_with_the_remedy(tmp_path):
    reference_of(1).save(tmp_path)
    path = ModelFolder(tmp_path).qa_reference
    newer = json.loads(path.read_text()) | {"format_version": 99}
    for text, words in (
        (json.dumps(newer), "format_version is 99 .*remove it|remove it.*format_version is 99"),
        ("{", "not valid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=words):
            Reference.load(tmp_path)


def record(fold: str | None) -> PatientRecord:
    return PatientRecord(fold, None, None, None)


def test_folds_extend_the_reference_and_replace_their_own_patients():
    first = Reference().with_fold("0", {"A": record("0"), "B": record(None), "C": record(None)})
    both = first.with_fold("1", {"B": record("1"), "A": record(None)})
    assert {name: record.fold for name, record in both.patients.items()} == {"A": "0", "B": "1", "C": None}
    anew = both.with_fold("0", {"C": record("0")})
    assert {name: record.fold for name, record in anew.patients.items()} == {"B": "1", "C": "0"}


def test_a_patient_is_not_held_against_himself():
    assert list(reference_of(3).without("P01").patients) == ["P00", "P02"]
