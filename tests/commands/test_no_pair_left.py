"""Where the registration of every patient failed, every command says so in words and does not go on regardless."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_datasets import PAIRED, keep_registration, make_network_tiny, write_dataset

from synthct.commands import plan_and_preprocess, train

NAME = "Dataset001_Heads"


@pytest.fixture
def planned(checkout, capsys) -> str:
    """What the command reported, of two patients whose registration failed."""
    raw = write_dataset(checkout / "synthct_raw" / NAME, {"P1": PAIRED, "P2": PAIRED})
    preprocessed = checkout / "synthct_preprocessed" / NAME
    for case in raw.training.values():
        keep_registration(
            case, preprocessed / "registrations", status="failed", problems_found=("the heads do not overlap",)
        )
    arguments = ["-d", "1", "-c", "2d_lowres", "--register", "auto", "-np", "1"]
    assert plan_and_preprocess.main(arguments) == 0
    make_network_tiny(preprocessed / "plans.json")
    reported = capsys.readouterr()
    return reported.out + reported.err


def test_planning_warns_loudly_with_the_remedy_and_does_not_suggest_pix2pix(planned):
    for named in ("Warning: NO PAIR IS LEFT", "--register off", "masksTr", "registrations/PATIENT.tfm"):
        assert named in planned
    assert planned.partition("Next: ")[2].splitlines()[1] == "synthct_train 1 unet_unpaired -c 2d_lowres"


def test_the_report_says_so(planned):
    page = (Path("synthct_preprocessed") / NAME / "preprocessing_report.html").read_text(encoding="utf-8")
    assert "NO PAIR IS LEFT" in page and "No patient has both" not in page


def test_training_and_evaluation_say_so(planned, refused, capsys):
    assert "cyclegan" in refused("train", "1", "pix2pix", "-c", "2d_lowres", "-device", "cpu")
    splits = Path("synthct_preprocessed") / NAME / "splits_final.json"
    splits.write_text(json.dumps([{"train": ["P1"], "val": ["P2"]}]))
    short = ["-c", "2d_lowres", "--epochs", "1", "--iterations", "1", "--loaders", "0", "-device", "cpu"]
    assert train.main(["1", "cyclegan", *short]) == 0
    reported = capsys.readouterr()
    assert reported.err.count("Warning: No held-out patient") == 2  # of the training and of its quality assurance
    assert "synthct_evaluate" not in reported.out
    assert "registration" in refused("evaluate", "-np", "1")
