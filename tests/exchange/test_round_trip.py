"""From one machine's results folder to another's: the same HU, the same hash, and what goes with the weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from model_files import DATASET, MODEL, SPLITS, head, read_members, write_evaluation, write_trained_model
from synthetic_datasets import write_image

from synthct.exchange import export_model
from synthct.files import sha256_of
from synthct.inference import Predictor
from synthct.inference.predict_test_set import TestSetRecord
from synthct.json_dataclasses import to_plain


@pytest.fixture
def model(tmp_path):
    return write_trained_model(tmp_path / "theirs" / "synthct_results")


def predict(model_folder, device="cpu", **how):
    return sitk.GetArrayFromImage(Predictor.from_model_folder(model_folder, device=device, **how).predict(head()))


def test_through_the_commands_an_installed_model_predicts_the_same_hu(model, here, run):
    model_hash = Predictor.from_model_folder(model, device="cpu").model_hash
    assert model_hash in run("export_model", "-m", model)
    (file,) = here.glob("*.zip")
    assert file.name == f"{DATASET}__cyclegan__small__{model_hash}.zip"
    installed = here / "synthct_results" / MODEL
    reported = run("install_model", file)
    assert f"synthct_predict -m {installed}" in reported and model_hash in reported
    write_image(head(), here / "mrs" / "X_0000.nii.gz")
    run("predict", "-i", "mrs", "-o", "theirs_cts", "-m", model, "--precision", "float32")
    run("predict", "-i", "mrs", "-o", "ours_cts", "--precision", "float32")  # the newest model is the installed one
    theirs, ours = (sitk.ReadImage(str(here / of / "X.nii.gz")) for of in ("theirs_cts", "ours_cts"))
    assert theirs.GetPixelID() == ours.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
    assert np.ptp(sitk.GetArrayFromImage(ours)) > 100  # a picture, not one number
    statuses = [json.loads((here / of / "qa" / "X.json").read_text()) for of in ("theirs_cts", "ours_cts")]
    assert statuses[0] == statuses[1]  # model hash, cycle error, reference and all


def test_the_number_of_threads_changes_no_hu_by_more_than_one(shared_file, here, run):
    run("install_model", shared_file, "-o", "model")
    alone, threads = predict("model").astype(int), torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        assert np.abs(predict("model") - alone).max() <= 1
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device: HU of CPU and GPU were not compared"
)
def test_a_gpu_predicts_what_the_cpu_does(shared_file, here, run):
    run("install_model", shared_file, "-o", "model")
    cpu, gpu = (predict("model", device=device, precision="float32").astype(int) for device in ("cpu", "cuda"))
    inside, difference = cpu > -1000, np.abs(gpu - cpu)
    assert difference[inside].mean() < 1 and not difference[~inside].any()


def test_every_fold_is_what_it_was(model, here, run):
    run("export_model", "-m", model, "-o", "model.zip")
    run("install_model", "model.zip")
    for fold in SPLITS:
        theirs, ours = (predict(folder, folds=[fold]) for folder in (model, here / "synthct_results" / MODEL))
        np.testing.assert_array_equal(ours, theirs)
        split = json.loads((here / "synthct_results" / MODEL / f"fold_{fold}" / "split.json").read_text())
        assert split == SPLITS[fold]


def test_one_fold_of_a_model_without_a_way_back_to_mr(tmp_path, here, run):
    model = write_trained_model(tmp_path / "theirs", trainer="pix2pix")
    run("export_model", "-m", model, "-f", "1", "-o", "model.zip")
    run("install_model", "model.zip", "-o", "anywhere/brain")
    assert {path.name for path in (here / "anywhere" / "brain").glob("fold_*")} == {"fold_1"}
    assert not Predictor.from_model_folder(here / "anywhere" / "brain", device="cpu").has_cycle
    np.testing.assert_array_equal(predict(here / "anywhere" / "brain"), predict(model, folds=["1"]))
    assert not any((here / "synthct_results").iterdir())


def test_the_same_model_makes_the_same_file(model, tmp_path):
    files = [export_model(model, tmp_path / name) for name in ("a.zip", "b.zip")]
    assert files[0].path.read_bytes() == files[1].path.read_bytes()
    assert files[0].sha256 == files[1].sha256


def test_the_file_holds_what_predicts_and_nothing_of_the_training(shared_file):
    members = read_members(shared_file)
    of_folds = {
        f"fold_{fold}/{name}" for fold in SPLITS for name in ("weights.safetensors", "split.json", "training.json")
    }
    assert members.keys() == of_folds | {
        "manifest.json", "plans.json", "dataset.json", "dataset_fingerprint.json", "qa_reference.json", "metrics.json",
        "model_card.md"}  # fmt: skip
    assert b"dis_ct" not in b"".join(members.values()) and b"optimisers" not in b"".join(members.values())


def test_metrics_are_those_of_the_exported_folds(shared_file):
    metrics = json.loads(read_members(shared_file)["metrics.json"])
    assert [(row["patient"], row["fold"]) for row in metrics["held_out"]] == [("P3", "0"), ("P1", "1")]
    assert [row["model"] for row in metrics["baselines"]] == ["median_ct"]


def test_a_test_set_counts_where_exactly_the_exported_folds_predicted_it(model, tmp_path):
    keys = {fold: sha256_of(model / f"fold_{fold}" / "checkpoint_final.pth")[:16] for fold in SPLITS}
    (model / "test").mkdir()
    (model / "test" / "T1.nii.gz").touch()
    record = TestSetRecord(1, "checkpoint_final.pth", keys, ("T1",))
    (model / "test" / "predicted_by.json").write_text(json.dumps(to_plain(record)))
    rows = [{"patient": "T1", "fold": None, "mae_hu": 55.0}]
    (model.parent / "evaluation" / "metrics_cyclegan_test.json").write_text(json.dumps(rows))
    for folds, counted in ((None, rows), (["0"], [])):
        path = export_model(model, tmp_path / "model.zip", folds, overwrite=True).path
        assert json.loads(read_members(path)["metrics.json"])["test"] == counted


def test_an_evaluation_older_than_the_training_is_not_this_models(model, tmp_path, caplog):
    write_evaluation(tmp_path / "theirs" / "synthct_results", age_s=60)
    card = export_model(model, tmp_path / "model.zip").card
    assert "There are no results" in card and "80.0" not in card
    assert "older than a training" in caplog.text


def test_a_model_that_was_not_evaluated_says_so(tmp_path, here, run):
    model = write_trained_model(tmp_path / "theirs", evaluated=False)
    for command in (("export_model", "-m", model, "-o", "model.zip"), ("install_model", "model.zip")):
        assert "There are no results" in run(*command)
    assert "metrics.json" not in read_members(here / "model.zip")


def test_an_installed_model_keeps_its_results_when_it_is_handed_on_again(shared_file, here, run):
    run("install_model", shared_file)
    run("export_model", "-o", "again.zip")
    first, again = read_members(shared_file), read_members(here / "again.zip")
    assert json.loads(again["metrics.json"]) == json.loads(first["metrics.json"])
    for name in ("plans.json", "fold_0/weights.safetensors", "fold_1/split.json", "dataset_fingerprint.json"):
        assert again[name] == first[name]


def test_anonymous_renames_every_case_id_alike(model, here, run):
    assert "Case ids were replaced" in run("export_model", "-m", model, "--anonymous", "-o", "model.zip")
    members = read_members(here / "model.zip")
    everything = b"".join(members.values()).decode("utf-8", "replace")
    assert not any(f'"{patient}"' in everything for patient in ("P1", "P2", "P3", "P4"))
    assert "Heads of X" not in everything and "contact" not in everything
    fingerprint = json.loads(members["dataset_fingerprint.json"])["cases"]
    assert sorted(fingerprint) == ["CASE_001", "CASE_002", "CASE_003", "CASE_004"]
    assert {case["files_key"] for case in fingerprint.values()} == {""}
    (held_out,) = json.loads(members["fold_0/split.json"])["val"]
    scored = {row["patient"]: row["mae_hu"] for row in json.loads(members["metrics.json"])["held_out"]}
    assert scored[held_out] == 90.0  # P3's
    (only_mr,) = json.loads(members["qa_reference.json"])["patients"]
    assert fingerprint[only_mr]["ct"] is None  # P4
    assert json.loads(members["manifest.json"])["anonymous"] and b"cannot be noticed" in members["model_card.md"]
    run("install_model", "model.zip")
    np.testing.assert_array_equal(predict(here / "synthct_results" / MODEL), predict(model))


def test_anonymous_is_refused_where_a_text_names_a_patient(model, refused):
    fingerprint = json.loads((model / "dataset_fingerprint.json").read_text())
    fingerprint["cases"]["MUELLER"] = fingerprint["cases"].pop("P4")
    (model / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    plan = json.loads((model / "plans.json").read_text())
    plan["reasons"] = {"n_folds": {"rule": "one, as MUELLER has no CT", "measured": 1}}
    (model / "plans.json").write_text(json.dumps(plan))
    reported = refused("export_model", "-m", model, "--anonymous")
    assert "plans.json" in reported and "'MUELLER'" in reported
