"""Which DICOM MR of a patient the model sees, and what its sCT is called."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from synthetic_dicom import NAME, PATIENT_ID, write_mr
from synthetic_heads import head_mr, make_grid

from synthct.errors import ImageError
from synthct.imaging.dicom import find_series
from synthct.imaging.geometry import Grid
from synthct.inference.dicom_mrs import DicomMr, list_dicom_mrs

THIN = make_grid((6, 7, 14), (30.0, 30.0, 1.0))
THICK = make_grid((6, 7, 12), (30.0, 30.0, 5.0))


def write(folder: Path, grid: Grid = THIN, **options: object) -> str:
    return write_mr(head_mr(grid), folder, **options)


def only(mrs: dict[str, DicomMr]) -> str:
    """The description of the one series of the one patient."""
    ((series,),) = (mr.series for mr in mrs.values())
    return series.description


def test_patients_are_found_in_any_nesting_and_called_by_their_series(tmp_path):
    uids = [write(tmp_path / "a" / "b", patient_id="H1"), write(tmp_path / "a" / "c", patient_id="H2")]
    found = list_dicom_mrs(tmp_path, 1)
    assert len(found) == 2 and {mr.series[0].series_uid for mr in found.values()} == set(uids)
    assert all(name == mr.patient and len(name) == 14 and name.startswith("SCT_") for name, mr in found.items())


def test_the_same_mr_gets_the_same_name_wherever_it_lies_and_whoever_is_beside_it(tmp_path):
    write(tmp_path / "one" / "x", series_uid="1.2.3", patient_id="H1")
    write(tmp_path / "two" / "y" / "z", series_uid="1.2.3", patient_id="H1")
    write(tmp_path / "two" / "w", patient_id="H0")
    (name,) = list_dicom_mrs(tmp_path / "one", 1)
    assert name in list_dicom_mrs(tmp_path / "two", 1)


def test_patients_whose_series_share_a_uid_are_kept_apart(tmp_path):
    for patient in ("H1", "H2"):
        write(tmp_path / patient, series_uid="1.2.3", patient_id=patient)
    assert len(list_dicom_mrs(tmp_path, 1)) == 2


def test_nothing_shown_tells_who_the_patient_is(tmp_path):
    write(tmp_path / NAME)
    (mr,) = list_dicom_mrs(tmp_path, 1).values()
    write(tmp_path / NAME / "second")
    with pytest.raises(ImageError) as fault:
        list_dicom_mrs(tmp_path, 1)
    for text in (mr.patient, mr.name, str(fault.value)):
        assert NAME not in text and PATIENT_ID not in text


def test_an_mr_travels_to_other_machines_with_all_its_files(tmp_path, monkeypatch):
    write(tmp_path / "mr")
    monkeypatch.chdir(tmp_path)
    (mr,) = list_dicom_mrs(Path("mr"), 1).values()
    assert pickle.loads(pickle.dumps(mr)) == mr
    assert sorted(mr.files) == sorted((tmp_path / "mr").iterdir())


def test_the_only_volume_with_thin_slices_is_taken(tmp_path):
    write(tmp_path / "1", THICK, number=1, description="T2 TSE")
    write(tmp_path / "2", THIN, number=2, description="MPRAGE")
    write(tmp_path / "3", THIN, number=3, description="MPR of it", image_type=("DERIVED", "SECONDARY", "M"))
    write(tmp_path / "4", make_grid((6, 7, 3), (30.0, 30.0, 1.0)), number=4, description="survey")
    assert only(list_dicom_mrs(tmp_path, 1)) == "MPRAGE"


@pytest.mark.parametrize("text", ["2", "flair", "FLAIR"])
def test_the_user_chooses_where_there_are_several(tmp_path, text):
    write(tmp_path / "1", number=1, description="MPRAGE")
    write(tmp_path / "2", number=2, description="FLAIR 3D")
    with pytest.raises(ImageError, match="Patient_001(.|\n)*--mr_series"):
        list_dicom_mrs(tmp_path, 1)
    assert only(list_dicom_mrs(tmp_path, 1, [text])) == "FLAIR 3D"


def test_every_patient_without_a_choice_is_reported(tmp_path):
    for patient in ("H1", "H2"):
        write(tmp_path / patient, patient_id=patient)
    write(tmp_path / "H3", make_grid((6, 7, 3), (30.0, 30.0, 1.0)), patient_id="H3")
    with pytest.raises(ImageError) as fault:
        list_dicom_mrs(tmp_path, 1, ["STIR"])
    assert str(fault.value).count("'STIR'") == 3
    with pytest.raises(ImageError, match="3 slices"):
        list_dicom_mrs(tmp_path, 1)


def test_several_channels_are_chosen_in_the_models_order(tmp_path):
    write(tmp_path / "1", number=1, description="T1")
    write(tmp_path / "2", number=2, description="T2")
    (mr,) = list_dicom_mrs(tmp_path, 2, ["T2", "T1"]).values()
    assert [series.description for series in mr.series] == ["T2", "T1"]
    assert len(mr.files) == 28
    for texts in ([], ["T1"]):
        with pytest.raises(ImageError, match="2 MR channel"):
            list_dicom_mrs(tmp_path, 2, texts)


def test_several_texts_are_alternatives_for_a_model_of_one_channel(tmp_path):
    write(tmp_path / "1", number=1, description="T1 SE", patient_id="H1")
    for number, words in enumerate(("T1 SE", "MPRAGE"), start=1):
        write(tmp_path / words, number=number, description=words, patient_id="H2")
    found = list_dicom_mrs(tmp_path, 1, ["mprage", "T1 SE"])
    assert sorted(mr.series[0].description for mr in found.values()) == ["MPRAGE", "T1 SE"]


def test_a_folder_of_cts_alone_is_reported(tmp_path):
    write(tmp_path, modality="CT")
    with pytest.raises(ImageError, match=str(tmp_path)):
        list_dicom_mrs(tmp_path, 1)


def test_missing_slices_are_reported_before_anything_is_computed(tmp_path):
    write(tmp_path, make_grid((6, 7, 20), (30.0, 30.0, 5.0)))
    (series,) = find_series(tmp_path)
    for gone in series.files[4:7]:
        gone.unlink()
    with pytest.raises(ImageError, match="Patient_001: MR series 1"):
        list_dicom_mrs(tmp_path, 1)


def test_patients_with_one_id_are_reported_apart_by_folder(tmp_path, caplog):
    for name in ("A", "B"):
        write(tmp_path / name / "mr", patient_id="ANONYMOUS", series_uid="1.2.3", StudyInstanceUID="1.2")
    write(tmp_path / "C", THICK, patient_id="ANONYMOUS", number=7)
    with pytest.raises(ImageError, match="--patients_by folder"):
        list_dicom_mrs(tmp_path, 1, ["Head"])
    assert "--patients_by folder" in caplog.text
    found = list_dicom_mrs(tmp_path, 1, patients_by="folder")
    assert sorted(mr.files[0].relative_to(tmp_path).parts[0] for mr in found.values()) == ["A", "B", "C"]


@pytest.mark.parametrize("texts", [[], ["Head"]])
def test_the_mrs_of_two_persons_under_one_id_are_refused(tmp_path, texts):
    write(tmp_path / "A", patient_id="ANONYMOUS", PatientBirthDate="19381222")
    write(tmp_path / "B", THICK, patient_id="ANONYMOUS", PatientBirthDate="20010203")  # the thin one would be taken
    with pytest.raises(ImageError, match="2 MR volumes" if texts else "PatientBirthDate") as fault:
        list_dicom_mrs(tmp_path, 1, texts)
    assert "--patients_by folder" in str(fault.value) and "1938" not in str(fault.value)
    assert len(list_dicom_mrs(tmp_path, 1, texts, patients_by="folder")) == 2
