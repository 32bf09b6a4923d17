"""A model that is not clearly better than a constant CT on patients whom it has not seen can give no pass."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from facts import WINDOWS, measurements, mr_facts, reference_of

from synthct.errors import ModelError
from synthct.model_folder import ModelFolder
from synthct.qa import Judgement, Reference, judge
from synthct.qa.usefulness import HARDLY_BETTER, HeldOutError, useless_reason


def reference_with(*errors: HeldOutError) -> Reference:
    patients = reference_of(12).patients
    for name, error in zip(patients, errors):
        patients[name] = replace(patients[name], error=error)
    return Reference(patients=patients)


def status_with(*errors: HeldOutError, **measured: object) -> Judgement:
    return judge(measurements(**measured), WINDOWS, None, reference_with(*errors))


def test_a_model_that_a_constant_ct_beats_passes_no_patient_and_says_by_how_many_hu():
    judged = status_with(HeldOutError(229, 40, 160), HeldOutError(249, 42, 168))
    assert judged.status == "check"
    (reason,) = judged.reasons
    assert "239 HU in 2 held-out patients" in reason and "164 HU" in reason


@pytest.mark.parametrize(("mae_hu", "status"), [(79.9, "pass"), (80.0, "pass"), (80.1, "check"), (100.0, "check")])
def test_clearly_better_is_at_most_0_8_of_the_constants_mae(mae_hu, status):
    assert HARDLY_BETTER == 0.8
    assert status_with(HeldOutError(mae_hu, 40, 100)).status == status


def test_it_is_the_mean_over_the_patients_that_counts():
    assert useless_reason([HeldOutError(90, 40, 100), HeldOutError(60, 40, 100)]) is None
    assert useless_reason([]) is None


def test_what_fails_for_itself_fails_all_the_same():
    judged = status_with(HeldOutError(239, 40, 164), mr=mr_facts(cranium_size_mm=(260.0, 195.0)))
    assert judged.status == "fail" and len(judged.reasons) == 2


def test_where_nothing_shows_it_a_note_says_so():
    judged = status_with()
    assert judged.status == "pass" and not judged.reasons
    assert any("better than a constant CT was not judged" in note for note in judged.notes)
    assert not any("constant CT" in note for note in status_with(HeldOutError(50, 40, 164)).notes)


def test_a_patients_own_error_is_no_reference_but_says_what_the_model_is_worth():
    reference = reference_with(HeldOutError(239, 40, 164)).without("P00")
    assert reference.errors == (HeldOutError(239, 40, 164),)
    record = reference.patients["P00"]
    assert record.mr is record.ct is record.output is None
    judged = judge(measurements(), WINDOWS, None, reference)
    assert judged.status == "check"
    assert next(check for check in judged.checks if check.name == "brain_dark").limits.n_patients == 11


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    reference_of(2).save(tmp_path)
    path = ModelFolder(tmp_path).qa_reference
    content = json.loads(path.read_text())
    for patient in content["patients"].values():
        del patient["error"]
    path.write_text(json.dumps(content))
    assert Reference.load(tmp_path) == reference_of(2)


def test_errors_are_kept_and_a_damaged_one_is_refused(tmp_path):
    reference_with(HeldOutError(239, 40, 164)).save(tmp_path)
    assert Reference.load(tmp_path).errors == (HeldOutError(239, 40, 164),)
    path = ModelFolder(tmp_path).qa_reference
    path.write_text(path.read_text().replace("239", "-239"))
    with pytest.raises(ModelError, match="qa_reference.json.*mae_hu|mae_hu.*qa_reference.json"):
        Reference.load(tmp_path)
