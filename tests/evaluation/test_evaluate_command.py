"""The command over several datasets, and over two folders with MRs."""

import csv

import pytest
from made_up import head_ct, head_mr, image, make_model, make_raw

from synthct.commands import evaluate
from synthct.imaging.io import write_image


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_trained(here, dataset, without_ct=()):
    make_raw(here / "synthct_raw" / dataset, ["P1", "P2"], without_ct=without_ct)
    folder = here / "synthct_results" / dataset / "pix2pix__plans__2d"
    means = {"P2": (500.0, 1.0)}
    make_model(folder, {"P1": 10.0}, split={"train": ["P2"], "val": ["P1"]}, ct_means=means)
    (folder / "fold_0" / "checkpoint_final.pth").touch()


def test_a_dataset_that_cannot_be_evaluated_does_not_keep_the_others_back(here, capsys):
    make_trained(here, "Dataset001_Unpaired", without_ct=("P1", "P2"))
    make_trained(here, "Dataset002_Spheres")
    make_trained(here, "Dataset003_Unpaired", without_ct=("P1", "P2"))
    assert evaluate.main(["-np", "1"]) == 0
    output = capsys.readouterr()
    for name in ("Dataset001_Unpaired", "Dataset003_Unpaired"):
        assert f"Warning: {name} " in output.err
    assert "median_ct" in output.out and "Figure 6" not in output.err
    assert (here / "synthct_results" / "Dataset002_Spheres" / "evaluation" / "metrics_median_ct.csv").is_file()


@pytest.mark.parametrize("chosen", [[], ["-d", "1"]])
def test_where_no_dataset_is_scored_the_status_is_2(here, capsys, chosen):
    for name in ("Dataset001_Unpaired", "Dataset002_Unpaired"):
        make_trained(here, name, without_ct=("P1", "P2"))
    assert evaluate.main(["-np", "1", *chosen]) == 2
    error = capsys.readouterr().err
    assert ("Dataset002_Unpaired" in error) != bool(chosen)
    assert "synthct_evaluate: " in error.splitlines()[-1]


def test_two_folders_with_their_mrs_are_scored_as_trained_models_are(here, capsys):
    write_image(image(head_ct(60)), here / "cts" / "P1.nii.gz")
    write_image(image(head_ct(40)), here / "references" / "P1.nii.gz")
    write_image(image(head_mr()), here / "mrs" / "P1_0000.nii.gz")
    assert evaluate.main(["-p", "cts", "-r", "references", "-i", "mrs", "-np", "1"]) == 0
    (row,) = csv.DictReader((here / "cts" / "evaluation" / "metrics_cts.csv").open())
    assert row["mask"] == "ct_and_mr"
    assert evaluate.main(["-i", "mrs"]) == 2
    assert "-i, -m and -o" in capsys.readouterr().err
