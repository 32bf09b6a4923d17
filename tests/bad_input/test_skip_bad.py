"""With ``--skip_bad`` a bad patient never stops the others and is listed at the end, and the exit status is 3."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from place import Place
from spoil import CT, HELD_OUT, MR, NEW_MR, copied, cut_off, moved, removed, renamed, under, voxels

from synthct.commands import evaluate, import_data, plan_and_preprocess, predict

PLANNING = ["-d", "1", "-c", "2d_lowres", "-np", "1", "--skip_bad"]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (cut_off(MR), "imagesTr/P1_0000.nii.gz"),
        (voxels(CT, lambda ct: ct + 1024), "1024"),
        (moved(CT, 1000.0), "--register"),
        (renamed(MR, "P1.nii.gz"), "P1_0000"),
        (renamed(CT, "P1.mha"), "P1.mha"),
        (renamed(CT, "P1_0000.nii.gz"), "targetsTr/P1_0000.nii.gz"),
        (copied(MR, "synthct_raw", "Dataset001_Heads", "imagesTs", "P1_0000.nii.gz"), "test set"),
        (voxels(MR, lambda mr: np.where(np.indices(mr.shape).sum(axis=0) == 0, 1, 0)), "imagesTr/P1_0000.nii.gz"),
    ],
)
def test_planning_goes_on_without_a_bad_patient(place: Place, capsys, spoil, named):
    spoil(place)
    capsys.readouterr()
    assert plan_and_preprocess.main(PLANNING) == 3
    reported = capsys.readouterr().err.splitlines()
    assert any("P1 is left out: " in line and named in line for line in reported[-3:])
    splits = json.loads((place.preprocessed / "splits_final.json").read_text())
    assert all({*split["train"], *split["val"]} == {"P2", "P3"} for split in splits)
    assert sorted(path.stem for path in place.slices.glob("*.npz")) == ["P2", "P3"]
    assert "P1 is left out" in (place.preprocessed / "preprocessing_report.html").read_text()


def test_a_patient_whom_preprocessing_cannot_do_leaves_fingerprint_and_splits(place: Place, monkeypatch):
    from synthct.errors import ImageError
    from synthct.preprocessing import preprocess_dataset as dataset

    slices_of_case = dataset.slices_of_case

    def fail_for_p1(images, *others):
        if images.patient == "P1":
            raise ImageError("P1 lies in pieces; fix it.")
        return slices_of_case(images, *others)

    monkeypatch.setattr(dataset, "slices_of_case", fail_for_p1)
    assert plan_and_preprocess.main([*PLANNING, "--clean"]) == 3
    fingerprint = json.loads((place.preprocessed / "dataset_fingerprint.json").read_text())
    assert sorted(fingerprint["cases"]) == ["P2", "P3"]


def test_verifying_lists_bad_patients_and_writes_nothing(place: Place, capsys):
    cut_off(MR)(place)
    before = place.contents()
    assert plan_and_preprocess.main([*PLANNING, "--verify_only"]) == 3
    assert "P1 is left out" in capsys.readouterr().err
    assert place.contents() == before


def test_what_is_wrong_with_the_whole_dataset_is_not_skipped(place: Place):
    for patient in ("P1", "P2", "P3"):
        cut_off(lambda place, patient=patient: place.mr(patient))(place)
    before = place.contents()
    assert plan_and_preprocess.main(PLANNING) == 2  # no patient is left
    assert place.contents() == before


def test_a_skipped_patient_comes_back_when_fixed(place: Place):
    whole = place.mr().read_bytes()
    cut_off(MR)(place)
    assert plan_and_preprocess.main(PLANNING) == 3
    place.mr().write_bytes(whole)
    assert plan_and_preprocess.main(PLANNING) == 0
    assert (place.slices / "P1.npz").is_file()


def test_prediction_goes_on_without_a_bad_mr(place: Place, capsys):
    cut_off(NEW_MR)(place)
    assert predict.main(["-i", "mrs", "-o", "new_cts", "-device", "cpu", "--skip_bad"]) == 3
    assert "A is left out: mrs/A_0000.nii.gz" in capsys.readouterr().err
    assert sorted(path.name for path in (place.root / "new_cts").iterdir() if path.is_file()) == ["B.nii.gz"]


def test_prediction_of_bad_mrs_alone_is_refused(place: Place):
    cut_off(NEW_MR)(place)
    cut_off(under("mrs", "B_0000.nii.gz"))(place)
    assert predict.main(["-i", "mrs", "-o", "new_cts", "-device", "cpu", "--skip_bad"]) == 2
    assert not (place.root / "new_cts").exists()


def test_the_test_set_goes_on_without_a_bad_patient(place: Place):
    for patient in ("T1", "T2"):
        copied(MR, "synthct_raw", "Dataset001_Heads", "imagesTs", f"{patient}_0000.nii.gz")(place)
    cut_off(under("synthct_raw", "Dataset001_Heads", "imagesTs", "T1_0000.nii.gz"))(place)
    assert predict.main(["-d", "1", "--test_set", "-device", "cpu", "--skip_bad"]) == 3
    assert [path.name for path in (place.model / "test").glob("*.nii.gz")] == ["T2.nii.gz"]


def test_two_folders_are_scored_without_a_bad_pair(place: Place, capsys):
    cut_off(under("cts", "A.nii.gz"))(place)
    assert evaluate.main(["-p", "cts", "-r", "reference_cts", "-np", "1", "--protocol", "seed", "--skip_bad"]) == 3
    assert "A is left out: cts/A.nii.gz" in capsys.readouterr().err.splitlines()[-1]
    with (place.root / "cts" / "evaluation" / "metrics_cts.csv").open() as file:
        assert [row["patient"] for row in csv.DictReader(file)] == ["B"]
    assert "A is left out" in (place.root / "cts" / "evaluation" / "report.html").read_text()


def test_models_whose_only_patient_is_bad_cannot_be_scored(place: Place, capsys):
    cut_off(HELD_OUT)(place)
    assert evaluate.main(["-np", "1", "--skip_bad"]) == 2
    assert "P3" in capsys.readouterr().err


def test_a_dataset_of_which_nobody_is_left_does_not_keep_the_others_back(place: Place, capsys):
    for root in ("synthct_raw", "synthct_results"):
        shutil.copytree(place.root / root / "Dataset001_Heads", place.root / root / "Dataset002_Heads")
    cut_off(HELD_OUT)(place)
    assert evaluate.main(["-np", "1", "--protocol", "seed", "--skip_bad"]) == 0
    assert "Dataset001_Heads is left out" in capsys.readouterr().err
    assert (place.root / "synthct_results" / "Dataset002_Heads" / "evaluation" / "report.html").is_file()


def test_a_bad_test_set_does_not_keep_the_held_out_patients_back(place: Place, capsys):
    for where, folder in ((MR, "imagesTs"), (CT, "targetsTs")):
        ending = "_0000" * (folder == "imagesTs")
        copied(where, "synthct_raw", "Dataset001_Heads", folder, f"T1{ending}.nii.gz")(place)
    assert predict.main(["-d", "1", "--test_set", "-device", "cpu"]) == 0
    cut_off(lambda place: place.model / "test" / "T1.nii.gz")(place)
    assert evaluate.main(["-np", "1", "--protocol", "seed", "--skip_bad"]) == 3
    assert "T1 is left out" in capsys.readouterr().err.splitlines()[-1]


def test_importing_goes_on_without_a_bad_patient(place: Place, capsys):
    for patient in ("P1", "P2"):
        copied(lambda place, patient=patient: place.mr(patient), "to_import", "mr", f"{patient}.nii.gz")(place)
        copied(lambda place, patient=patient: place.ct(patient), "to_import", "ct", f"{patient}.nii.gz")(place)
    cut_off(under("to_import", "mr", "P1.nii.gz"))(place)
    assert import_data.main(["-i", "to_import", "-d", "2", "--name", "New", "-np", "1", "--skip_bad"]) == 3
    assert "P1 is left out: to_import/mr/P1.nii.gz" in capsys.readouterr().err
    written = place.root / "synthct_raw" / "Dataset002_New" / "imagesTr"
    assert [path.name for path in written.iterdir()] == ["P2_0000.nii.gz"]


def test_odd_names_are_no_bad_input(place: Place):
    odd = "Jörg d'Été & Co #7 (100%)"
    for folder in ("mrs", "cts", "reference_cts"):
        for path in (place.root / folder).iterdir():
            if path.name.startswith("A"):
                path.rename(path.with_name(path.name.replace("A", odd, 1)))
    renamed(MR, f"{odd}_0000.nii.gz")(place)
    renamed(CT, f"{odd}.nii.gz")(place)
    removed(under("synthct_preprocessed", "Dataset001_Heads"))(place)
    assert plan_and_preprocess.main(PLANNING) == 0
    assert predict.main(["-i", "mrs", "-o", "Übung 1", "-device", "cpu"]) == 0
    assert evaluate.main(["-p", "Übung 1", "-r", "reference_cts", "-np", "1", "--protocol", "seed"]) == 0
    sct = sitk.ReadImage(str(place.root / "Übung 1" / f"{odd}.nii.gz"))
    assert sct.GetSize() == sitk.ReadImage(str(next((place.root / "mrs").iterdir()))).GetSize()
