"""Commands on a small dataset: what they write, and what they refuse in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, cache_of, make_network_tiny, write_dataset
from tiny_models import write_model

from synthct.commands import evaluate, plan_and_preprocess, predict, train
from synthct.planning.plan import Plan

NAME = "Dataset001_Heads"
SHORT = ("-c", "2d_lowres", "--epochs", "1", "--iterations", "1", "--loaders", "0", "-device", "cpu")


@pytest.fixture
def raw(checkout) -> Path:
    write_dataset(checkout / "synthct_raw" / NAME, {"P1": PAIRED, "P2": PAIRED})
    return checkout / "synthct_raw" / NAME


@pytest.fixture
def preprocessed(checkout, raw) -> Path:
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    return checkout / "synthct_preprocessed" / NAME


@pytest.fixture
def mrs(raw) -> str:
    return str(raw / "imagesTr")


# -- synthct_plan_and_preprocess -------------------------------------------------------------------------------------


def test_planning_says_what_it_wrote_and_what_to_run_next(raw, checkout, capsys):
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    reported, preprocessed = capsys.readouterr().out, checkout / "synthct_preprocessed" / NAME
    for named in (f"{NAME}/plans.json", f"{NAME}/preprocessing_report.html", "synthct_train 1 unet"):
        assert named in reported
    assert {path.name for path in preprocessed.iterdir()} == {
        "dataset.json", "dataset_fingerprint.json", "plans.json", "splits_final.json",
        cache_of(preprocessed).name, "preprocessing_report.html", "report"}  # fmt: skip


def test_verifying_needs_no_other_folder_and_writes_nothing(raw, checkout):
    (checkout / "synthct_preprocessed").rmdir()
    assert plan_and_preprocess.main(["-d", NAME, "--verify_only", "-np", "1"]) == 0
    assert {path.name for path in raw.iterdir()} == {"dataset.json", "imagesTr", "targetsTr"}
    assert not (checkout / "synthct_preprocessed").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-d", "7"], "007"),
        (["-d", "Dataset007_X"], "Dataset007_X"),
        (["-d", "1", "-c", "4d"], "'4d'"),
    ],
)
def test_planning_refuses_what_it_does_not_know(raw, checkout, refused, arguments, named):
    assert named in refused("plan_and_preprocess", *arguments, "-np", "1")
    assert list((checkout / "synthct_preprocessed").iterdir()) == []


def test_an_unknown_planner_ends_with_status_2(raw, capsys):
    with pytest.raises(SystemExit) as exit_:
        plan_and_preprocess.main(["-d", "1", "-p", "mine"])
    assert exit_.value.code == 2
    assert "wolterink2017" in capsys.readouterr().err


def test_problems_of_a_dataset_are_listed(raw, refused):
    (raw / "targetsTr" / "P1.nii.gz").write_bytes(b"")
    (raw / "imagesTr" / "P2_0000.nii.gz").rename(raw / "imagesTr" / "P2.nii.gz")
    reported = refused("plan_and_preprocess", "-d", "1", "-np", "1")
    assert reported.count("\n  - ") == 2


# -- synthct_train ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["1", "cyclegna"], "'cyclegna'"),
        (["1", "cyclegan", "-c", "4d"], "'4d'"),
        (["1", "cyclegan", "9"], "fold 9"),
        (["2", "cyclegan"], "002"),
        (["1", "cyclegan", "-c", "2d_lowres", "-device", "abacus"], "'abacus'"),
    ],
)
def test_training_refuses_what_it_does_not_know(preprocessed, checkout, refused, arguments, named):
    assert named in refused("train", *arguments)
    assert list((checkout / "synthct_results").iterdir()) == []


def test_without_a_trainer_the_recommended_one_is_trained_and_it_is_said_why(preprocessed, checkout, capsys):
    make_network_tiny(preprocessed / "plans.json")
    assert train.main(["1", *SHORT]) == 0
    assert "Trainer unet" in (reported := capsys.readouterr().out) and "2 patients" in reported
    assert (checkout / "synthct_results" / NAME / "unet__plans__2d_lowres" / "fold_0" / "checkpoint_final.pth").exists()


def test_a_plan_that_recommends_none_asks_for_a_trainer(preprocessed, checkout, refused):
    plan = Plan.load(preprocessed / "plans.json")
    replace(plan, recommended_trainer=None, reasons={}).save(preprocessed / "plans.json")
    assert "cyclegan, pix2pix, unet" in refused("train", "1", *SHORT)
    assert list((checkout / "synthct_results").iterdir()) == []


def test_a_hand_edited_file_that_does_not_fit_is_reported(preprocessed, refused):
    content = json.loads((preprocessed / "splits_final.json").read_text())
    content[0]["val"] = ["P9"]
    (preprocessed / "splits_final.json").write_text(json.dumps(content))
    reported = refused("train", "1", "cyclegan", "-c", "2d_lowres")
    assert "splits_final.json" in reported and "P9" in reported


@pytest.mark.parametrize("option", ["--epochs", "--iterations"])
def test_a_length_must_be_one_or_more(option, here):
    with pytest.raises(SystemExit) as exit_:
        train.main(["1", "cyclegan", option, "0"])
    assert exit_.value.code == 2


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "ten"])
def test_the_time_between_checkpoints_must_be_above_0(minutes, here, capsys):
    with pytest.raises(SystemExit) as exit_:
        train.main(["1", "cyclegan", "--checkpoint_minutes", minutes])
    assert exit_.value.code == 2
    assert "--checkpoint_minutes" in capsys.readouterr().err


# -- synthct_predict -------------------------------------------------------------------------------------------------


def test_prediction_takes_the_model_trained_last_and_says_which(raw, checkout, mrs, capsys):
    model = write_model(checkout / "synthct_results" / NAME)
    assert predict.main(["-i", mrs, "-o", "cts", "-device", "cpu"]) == 0
    reported = capsys.readouterr().out
    assert f"{model}, fold 0, on cpu" in reported and "synthct_evaluate -p cts" in reported
    assert sorted(path.name for path in Path("cts").iterdir()) == ["P1.nii.gz", "P2.nii.gz", "qa"]
    mr = sitk.ReadImage(f"{mrs}/P1_0000.nii.gz")
    assert sitk.ReadImage("cts/P1.nii.gz").GetSize() == mr.GetSize()


def test_prediction_tells_what_is_no_pass_and_ends_well(raw, checkout, mrs, capsys):
    write_model(checkout / "synthct_results" / NAME, ("0", "1"))
    arguments = ["-i", mrs, "-o", "cts", "-device", "cpu", "--combine", "median", "--save_uncertainty", "--qa", "full"]
    assert predict.main(arguments) == 0
    reported = capsys.readouterr()
    statuses = [json.loads(path.read_text())["status"] for path in sorted(Path("cts/qa").glob("*.json"))]
    counts = ", ".join(f"{statuses.count(one)} {one}" for one in ("pass", "check", "fail"))
    assert len(statuses) == 2 and counts in reported.out
    assert len([line for line in reported.err.splitlines() if line.startswith("Warning: P")]) == 2 - statuses.count(
        "pass"
    )
    assert sorted(path.name for path in Path("cts/qa").glob("*.gz")) == [
        "P1_uncertainty.nii.gz",
        "P2_uncertainty.nii.gz",
    ]


def test_prediction_with_a_model_folder_needs_no_other_folder(here, capsys):
    model = write_model(here / "from a colleague")
    write_dataset(here / NAME, {"P": {"mr"}})
    arguments = ["-i", str(here / NAME / "imagesTr"), "-o", str(here / "cts"), "-m", str(model), "-device", "cpu"]
    assert predict.main(arguments) == 0
    assert (here / "cts" / "P.nii.gz").is_file()


def test_options_choose_the_model(raw, checkout, mrs, capsys):
    chosen = write_model(checkout / "synthct_results" / NAME, ("0", "1"), trainer="cyclegan")
    write_model(checkout / "synthct_results" / NAME, trainer="pix2pix")
    arguments = ["-i", mrs, "-o", "cts", "-d", "1", "-tr", "cyclegan", "-c", "small", "-f", "1", "-device", "cpu"]
    assert predict.main(arguments) == 0
    assert f"{chosen}, fold 1, on cpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-m", "nowhere"], "nowhere"),
        (["-d", "7"], "007"),
        (["-tr", "pix2pix"], "pix2pix__plans__*"),
        (["-c", "2d"], "__plans__2d/"),
        (["-f", "5"], "fold_5"),
        (["-chk", "checkpoint_best.pth"], "checkpoint_best.pth"),
        (["-device", "abacus"], "'abacus'"),
        (["-i", "gone"], "gone "),
    ],
)
def test_prediction_refuses_what_it_does_not_know(raw, checkout, mrs, refused, arguments, named):
    write_model(checkout / "synthct_results" / NAME)
    device = [] if "-device" in arguments else ["-device", "cpu"]
    assert named in refused("predict", "-i", mrs, "-o", "cts", *device, *arguments)
    assert not Path("cts").exists()


def test_the_test_set_is_predicted_into_the_model_folder_where_the_evaluation_finds_it(checkout, capsys):
    raw = checkout / "synthct_raw" / NAME
    write_dataset(raw, {"T1": PAIRED}, part="Ts")
    model = write_model(checkout / "synthct_results" / NAME, ("0", "1"))
    plans = json.loads((model / "plans.json").read_text())
    (model / "plans.json").write_text(json.dumps(plans | {"dataset_name": NAME}))
    for fold in ("0", "1"):
        (model / f"fold_{fold}" / "split.json").write_text(json.dumps({"train": ["P1", "P2"], "val": []}))
    assert predict.main(["-d", "1", "--test_set", "-device", "cpu"]) == 0
    reported = capsys.readouterr().out
    assert str(model / "test") in reported and "synthct_evaluate -d 1" in reported
    assert (model / "test" / "T1.nii.gz").is_file()
    record = json.loads((model / "test" / "predicted_by.json").read_text())
    assert list(record["folds"]) == ["0", "1"] and record["patients"] == ["T1"]
    assert evaluate.main(["-d", "1", "--protocol", "seed", "-np", "1"]) == 0
    reported = capsys.readouterr().out
    assert reported.split(NAME)[1].startswith("\nTest set\n") and "T1" in reported
    assert max(map(len, reported.splitlines()[:-3])) <= 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--test_set"], "imagesTs"),
        (["--test_set", "-i", "mrs"], "-i "),
        (["--test_set", "--output_format", "mha"], "--output_format"),
        (["-i", "mrs"], "-o"),
    ],
)
def test_what_is_predicted_is_the_test_set_or_a_folder(raw, checkout, refused, arguments, named):
    model = write_model(checkout / "synthct_results" / NAME)
    plans = json.loads((model / "plans.json").read_text())
    (model / "plans.json").write_text(json.dumps(plans | {"dataset_name": NAME}))
    assert named in refused("predict", "-device", "cpu", *arguments)
