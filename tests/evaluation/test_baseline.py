import pytest
from made_up import make_model

from synthct.evaluation.baseline import mean_ct_hu
from synthct.planning.fingerprint import Fingerprint


@pytest.fixture
def fingerprint(tmp_path):
    means = {"P1": (100.0, 3.0), "P2": (40.0, 1.0), "P3": (900.0, 2.0), "MR_ONLY": (0.0, 0.0)}
    folder = make_model(tmp_path / "m__plans__2d", {}, split={"train": [], "val": []}, ct_means=means)
    return Fingerprint.load(folder / "dataset_fingerprint.json")


def test_the_mean_is_over_the_training_patients_voxels(fingerprint):
    assert mean_ct_hu(fingerprint, ["P1", "P2"]) == (100 * 3 + 40 * 1) / 4
    assert mean_ct_hu(fingerprint, ["P1", "P2", "MR_ONLY", "UNKNOWN"]) == 85


def test_without_a_training_ct_there_is_no_baseline(fingerprint):
    assert mean_ct_hu(fingerprint, ["MR_ONLY"]) is None
    assert mean_ct_hu(fingerprint, []) is None
