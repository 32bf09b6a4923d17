import pytest
from made_up import make_model

from synthct.evaluation.baseline import mean_ct_hu, median_ct_hu, useless_models
from synthct.evaluation.compared import Candidate
from synthct.evaluation.score import Row
from synthct.planning.fingerprint import Fingerprint


@pytest.fixture
def fingerprint(tmp_path):
    means = {"P1": (100.0, 3.0, 30.0), "P2": (40.0, 1.0, 20.0), "P3": (900.0, 2.0, 50.0), "MR_ONLY": (0.0, 0.0)}
    folder = make_model(tmp_path / "m__plans__2d", {}, split={"train": [], "val": []}, ct_means=means)
    return Fingerprint.load(folder / "dataset_fingerprint.json")


def test_the_mean_is_over_the_training_patients_voxels(fingerprint):
    assert mean_ct_hu(fingerprint, ["P1", "P2"]) == (100 * 3 + 40 * 1) / 4
    assert mean_ct_hu(fingerprint, ["P1", "P2", "MR_ONLY", "UNKNOWN"]) == 85


def test_without_a_training_ct_there_is_no_baseline(fingerprint):
    assert mean_ct_hu(fingerprint, ["MR_ONLY"]) is None
    assert mean_ct_hu(fingerprint, []) is None
    assert median_ct_hu(fingerprint, ["MR_ONLY"]) is None


def test_the_median_is_over_the_training_patients_medians(fingerprint):
    assert median_ct_hu(fingerprint, ["P1", "P2", "P3", "MR_ONLY", "UNKNOWN"]) == 30
    assert median_ct_hu(fingerprint, ["P1", "P2"]) == 25


def rows_of(**mae_hu):
    return [Row(patient, 0, {"mae_hu": mae}, 10, "ct_and_mr") for patient, mae in mae_hu.items()]


def test_a_model_that_does_not_beat_both_constants_is_reported():
    rows = {
        "good": rows_of(P1=50.0, P2=60.0),
        "between": rows_of(P1=110.0, P2=110.0),
        "bad": rows_of(P2=200.0),  # compared on this patient alone
        "mean_ct": rows_of(P1=120.0, P2=140.0),
        "median_ct": rows_of(P1=90.0, P2=110.0),
    }
    constants = {"mean_ct": Candidate(80.0, 0), "median_ct": Candidate(30.0, 0)}
    candidates = {"P1": constants, "P2": constants | {"median_ct": Candidate(35.0, 1)}}
    assert useless_models(rows, candidates, ["good", "between", "bad"]) == (
        "between (MAE 110.0 HU) is not better than a constant CT of 30 to 35 HU (MAE 100.0 HU): "
        "it has learnt nothing useful yet.",
        "bad (MAE 200.0 HU) is not better than a constant CT of 35 HU (MAE 110.0 HU): "
        "it has learnt nothing useful yet.",
    )
    assert useless_models({"bad": rows["bad"]}, {}, ["bad"]) == ()


def test_a_model_that_beats_the_constants_but_not_the_average_head_is_named():
    rows_by_label = {label: rows_of(P1=mae) for label, mae in
                 {"good": 80.0, "between": 95.0, "median_ct": 100.0, "average_head": 90.0}.items()}  # fmt: skip
    (sentence,) = useless_models(rows_by_label, {"P1": {"median_ct": Candidate(30.0, 0)}}, ["good", "between"])
    assert sentence.startswith("between (MAE 95.0 HU) is not better than the average head")
