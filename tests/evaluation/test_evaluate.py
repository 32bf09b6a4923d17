import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from made_up import SHAPE, distance, head_ct, head_mr, image, make_model, make_raw, make_tested
from synthetic_datasets import keep_registration, small_plan

from synthct.dataset.raw import RawDataset
from synthct.dataset.registration_record import REGISTRATIONS
from synthct.errors import DatasetError, ModelError
from synthct.evaluation.evaluate import evaluate_dataset, evaluate_folders
from synthct.evaluation.metrics import METRICS, metrics_of
from synthct.imaging.io import write_image
from synthct.parallel import CaseRunner
from synthct.planning.plan import Plan
from synthct.preprocessing.cache import cache_folder, cached_path, refined_folder
from synthct.preprocessing.refined_pairs import INFO, RefinementFacts
from synthct.preprocessing.slice_stack import SliceStack

PATIENTS = ["P1", "P2", "P3", "MR_ONLY"]
CT_MEANS = {"P1": (100.0, 1.0), "P2": (40.0, 3.0), "P3": (30.0, 1.0, 38.0), "MR_ONLY": (0.0, 0.0)}


@pytest.fixture
def raw(tmp_path):
    return make_raw(tmp_path / "raw" / "Dataset001_Spheres", PATIENTS, without_ct=("MR_ONLY",))


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results" / "Dataset001_Spheres"
    first, second = {"train": ["P3", "MR_ONLY"], "val": ["P1", "P2"]}, {"train": ["P1", "P2"], "val": ["P3", "MR_ONLY"]}
    for trainer, factor in (("cyclegan", 1.0), ("pix2pix", 2.0)):
        model = folder / f"{trainer}__plans__2d"
        make_model(model, {"P1": 10 * factor, "P2": 20 * factor}, split=first, fold=0, ct_means=CT_MEANS)
        make_model(model, {"P3": 60 * factor, "MR_ONLY": 5.0}, split=second, fold=1, ct_means=CT_MEANS)
    return folder


def test_a_dataset_is_evaluated_on_held_out_pairs(raw, results):
    folder = results / "evaluation"
    folder.mkdir()
    for name in ("figure4_cyclegan_GONE.png", "metrics_gone.csv", "notes.txt"):
        (folder / name).touch()
    evaluation = evaluate_dataset(raw, results)

    assert list(evaluation.rows) == ["cyclegan", "pix2pix", "mean_ct", "median_ct"]
    cyclegan = pd.read_csv(folder / "metrics_cyclegan.csv")
    assert list(cyclegan["patient"]) == ["P1", "P2", "P3"] and list(cyclegan["fold"]) == [0, 0, 1]
    # The mask's border may hold a little air, which is equal in both.
    np.testing.assert_allclose(cyclegan["mae_hu"], [10, 20, 60], rtol=0.1)
    assert set(cyclegan["mask"]) == {"ct_and_mr"}

    mean_ct = pd.read_csv(folder / "metrics_mean_ct.csv")
    assert list(mean_ct["voxels"]) == list(cyclegan["voxels"])

    comparison = pd.read_csv(folder / "comparison.csv")
    assert list(zip(comparison["model_a"], comparison["model_b"])) == [("cyclegan", "pix2pix")] * len(METRICS)
    assert list(pd.read_csv(folder / "summary.csv")["model"]) == ["cyclegan", "pix2pix", "mean_ct", "median_ct"]
    assert "mean ± SD" in evaluation.terminal_table

    tables = {f"metrics_{label}" for label in ("cyclegan", "pix2pix", "mean_ct", "median_ct")} | {
        "summary",
        "comparison",
        "columns",
    }
    figures = {f"figure4_{model}_{p}.png" for model in ("cyclegan", "pix2pix") for p in ("P1", "P2", "P3")}
    figures |= {f"figure5_{patient}.png" for patient in ("P1", "P2", "P3")}
    assert {path.name for path in evaluation.tables} == {f"{t}.{kind}" for t in tables for kind in ("csv", "json")}
    drawn = {path.name for path in evaluation.figures}
    assert {name for name in drawn if name[6].isdigit()} == figures  # no checkpoint, so no figure 6
    written = {path.name for path in folder.iterdir()}
    assert written == {"notes.txt", "report.html"} | drawn | {path.name for path in evaluation.tables}


@pytest.fixture
def tested(raw, results):
    """T1 and T2 are test patients, and the cyclegan has predicted them with both folds."""
    for patient in ("T1", "T2"):
        write_image(image(head_mr()), raw.folder / "imagesTs" / f"{patient}_0000.nii.gz")
        write_image(image(head_ct()), raw.folder / "targetsTs" / f"{patient}.nii.gz")
    make_tested(results / "cyclegan__plans__2d", {"T1": 5.0, "T2": 15.0}, folds=(0, 1))
    return RawDataset.open(raw.folder)


def test_the_test_set_is_scored_apart_from_the_cross_validation(tested, results):
    make_tested(results / "pix2pix__plans__2d", {"T1": 50.0, "T2": 70.0}, folds=(0, 1))
    evaluation = evaluate_dataset(tested, results, protocol="seed")
    folder = results / "evaluation"
    assert list(pd.read_csv(folder / "metrics_cyclegan.csv")["patient"]) == ["P1", "P2", "P3"]
    test_scores = pd.read_csv(folder / "metrics_cyclegan_test.csv")
    assert list(test_scores["patient"]) == ["T1", "T2"] and test_scores["fold"].isna().all()
    np.testing.assert_allclose(test_scores["mae_hu"], [5, 15], rtol=0.1)
    summary = pd.read_csv(folder / "summary.csv")
    assert list(zip(summary["model"], summary["set"], summary["n"])) == [
        *((label, "cross_validation", 3) for label in ("cyclegan", "pix2pix", "mean_ct", "median_ct")),
        *((label, "test", 2) for label in ("cyclegan", "pix2pix", "mean_ct", "median_ct")),
    ]
    # All folds together trained on P1 and P2 (100 * 1 + 40 * 3) / 4 and P3 of 30 HU: (220 + 30) / 5 = 50 HU.
    np.testing.assert_allclose(pd.read_csv(folder / "metrics_mean_ct_test.csv")["mae_hu"], [10, 10], rtol=0.1)
    assert [comparison.set for comparison in evaluation.test_comparisons] == ["test"] * 4
    assert list(evaluation.test_rows) == ["cyclegan", "pix2pix", "mean_ct", "median_ct"]
    assert "\n\nTest set\n" in evaluation.terminal_table
    report = evaluation.report.read_text(encoding="utf-8")
    assert '<th scope="row">T1</th><td>cyclegan, test set</td>' in report and '"patient": "P3"' in report


def test_a_model_of_all_patients_is_evaluated_on_the_test_set_alone(tested, tmp_path):
    results = tmp_path / "of_all" / "Dataset001_Spheres"
    model = make_model(results / "cyclegan__plans__2d", {}, split={"train": PATIENTS, "val": []}, fold="all")
    make_tested(model, {"T1": 5.0}, folds=("all",))
    evaluation = evaluate_dataset(tested, results, protocol="seed")
    assert evaluation.rows == evaluation.test_rows and [row.patient for row in evaluation.rows["cyclegan"]] == ["T1"]
    assert (results / "evaluation" / "metrics_cyclegan_test.csv").is_file()
    assert not (results / "evaluation" / "metrics_cyclegan.csv").exists()


def test_a_protocol_chooses_the_columns(raw, results):
    evaluate_dataset(raw, results, protocol="synthrad2023")
    columns = list(pd.read_csv(results / "evaluation" / "metrics_cyclegan.csv").columns)
    assert columns[2:-6] == [metric.column for metric in metrics_of("synthrad2023")]
    assert list(pd.read_csv(results / "evaluation" / "columns.csv")["column"]) == columns[2:-6]


def test_the_baseline_is_exact_inside_a_given_mask(raw, results):
    for patient in ("P1", "P2", "P3"):
        given = np.zeros(SHAPE, np.uint8)
        given[18:22, 20:24, 19:23] = 1
        write_image(image(given), raw.folder / "masksTr" / f"{patient}.nii.gz")
    evaluation = evaluate_dataset(RawDataset.open(raw.folder), results, protocol="seed")
    # Fold 0 trained on P3 (30 HU); fold 1 on P1 and P2: (100 * 1 + 40 * 3) / 4 = 55 HU; all heads are 40 HU.
    assert [row.metrics["mae_hu"] for row in evaluation.rows["mean_ct"]] == [10, 10, 15]
    # The medians: P3's 38 HU in fold 0, and (100 + 40) / 2 = 70 HU of P1 and P2 in fold 1.
    assert [row.metrics["mae_hu"] for row in evaluation.rows["median_ct"]] == [2, 2, 30]
    # The least mean MAE of a constant is (2 + 2 + 30) / 3 of the median.
    assert evaluation.warnings == (
        "cyclegan (MAE 30.0 HU) is not better than a constant CT of 38 to 70 HU (MAE 11.3 HU): "
        "it has learnt nothing useful yet.",
        "pix2pix (MAE 60.0 HU) is not better than a constant CT of 38 to 70 HU (MAE 11.3 HU): "
        "it has learnt nothing useful yet.",
    )
    assert [row.metrics["mae_hu"] for row in evaluation.rows["pix2pix"]] == [20, 40, 120]
    assert {row.mask for row in evaluation.rows["pix2pix"]} == {"given"}


def test_a_dataset_without_pairs_is_an_error(tmp_path):
    raw = make_raw(tmp_path / "Dataset002_MrOnly", ["P1"], without_ct=("P1",))
    with pytest.raises(DatasetError, match="Dataset002_MrOnly"):
        evaluate_dataset(raw, tmp_path)


def test_registered_pairs_are_scored_where_they_were_registered_and_failed_ones_not_at_all(raw, results, tmp_path):
    preprocessed = tmp_path / "preprocessed"
    replace(small_plan(), register="auto").save(preprocessed / "plans.json")
    unregistered = evaluate_dataset(raw, results, protocol="seed")
    keep_registration(raw.training["P1"], preprocessed / REGISTRATIONS, shift_mm=(10.0, 0.0, 0.0))
    keep_registration(raw.training["P2"], preprocessed / REGISTRATIONS, status="failed")
    evaluation = evaluate_dataset(raw, results, preprocessed, protocol="seed")
    assert [row.patient for row in evaluation.rows["pix2pix"]] == ["P1", "P3"]
    assert any("P2" in warning and "registration" in warning for warning in evaluation.warnings)
    assert any(warning.startswith("P3: ") for warning in evaluation.warnings)
    moved, before = (one.rows["pix2pix"][0].voxels for one in (evaluation, unregistered))
    assert moved < 0.95 * before  # the head of the CT has left that of the MR by 10 mm


def test_models_of_registered_pairs_ask_for_the_registrations(raw, results):
    plan = results / "pix2pix__plans__2d" / "plans.json"
    replace(Plan.load(plan), register="always").save(plan)
    with pytest.raises(DatasetError, match="pix2pix.*synthct_preprocessed"):
        evaluate_dataset(raw, results)


def test_models_of_refined_pairs_are_scored_against_the_rigid_ct_with_the_floor_beside(raw, results, tmp_path):
    as_they_lie = evaluate_dataset(raw, results, protocol="seed")
    preprocessed, model = tmp_path / "preprocessed", results / "pix2pix__plans__2d" / "plans.json"
    plan = replace(Plan.load(model), register="refine")
    for path in (model, preprocessed / "plans.json"):
        plan.save(path)
    cache = cache_folder(preprocessed, plan.configuration("2d").preprocessing)
    stack = SliceStack("P1", None, None, np.zeros((1, 4, 4), np.uint8), info={INFO: asdict(RefinementFacts(9, 5, 7.5))})
    stack.save(cached_path(refined_folder(cache), "P1"))
    evaluation = evaluate_dataset(raw, results, preprocessed, protocol="seed")
    assert evaluation.rows == as_they_lie.rows
    assert "7.5 HU" in evaluation.terminal_table and "7.5 HU" not in as_they_lie.terminal_table
    assert "7.5 HU" in evaluation.report.read_text(encoding="utf-8")


def test_results_without_predictions_name_the_command(raw, tmp_path):
    with pytest.raises(ModelError, match="synthct_train 1 cyclegan"):
        evaluate_dataset(raw, tmp_path / "nothing")


@pytest.fixture
def folders(tmp_path):
    write_image(image(head_ct(60)), tmp_path / "cts" / "P1.mha")
    write_image(image(head_ct(60)), tmp_path / "cts" / "ONLY_HERE.mha")
    write_image(image(head_ct(40)), tmp_path / "references" / "P1.nii.gz")
    return tmp_path / "cts", tmp_path / "references"


def test_two_folders_are_matched_by_name_whatever_the_ending(folders, tmp_path):
    evaluation = evaluate_folders(*folders, tmp_path / "out")
    (row,) = evaluation.rows["cts"]
    assert (row.patient, row.fold, row.mask) == ("P1", None, "ct")
    assert row.metrics["mae_hu"] == pytest.approx(20, rel=0.1)
    assert {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith("figure_")} == {
        "report.html",
        "metrics_cts.csv",
        "metrics_cts.json",
        "columns.csv",
        "columns.json",
        "summary.csv",
        "summary.json",
        "figure4_cts_P1.png",
    }
    assert json.loads((tmp_path / "out" / "metrics_cts.json").read_text())[0]["fold"] is None
    assert len(evaluation.warnings) == 1 and "ONLY_HERE.mha" in evaluation.warnings[0]


def test_given_masks_are_used_and_must_be_complete(folders, tmp_path):
    masks = tmp_path / "masks"
    given = np.zeros(SHAPE, np.uint8)
    given[20, 22, 21] = 1
    write_image(image(given), masks / "P1.nrrd")
    evaluation = evaluate_folders(*folders, tmp_path / "out", masks=masks, protocol="seed")
    (row,) = evaluation.rows["cts"]
    assert (row.mask, row.voxels, row.metrics["mae_hu"]) == ("given", 1, 20)
    (masks / "P1.nrrd").rename(masks / "P9.nrrd")
    with pytest.raises(DatasetError, match=f"{masks}.*P1"):
        evaluate_folders(*folders, tmp_path / "out", masks=masks, protocol="seed")


@pytest.mark.parametrize("name", ["P1.nii.gz", "P1_0000.mha"])
def test_with_the_mrs_the_mask_is_the_head_in_both(folders, tmp_path, name):
    write_image(image(head_mr()), tmp_path / "mrs" / name)
    write_image(image(head_mr()), tmp_path / "mrs" / "P1_0001.nii.gz")  # a further channel
    evaluation = evaluate_folders(*folders, tmp_path / "out", mrs=tmp_path / "mrs")
    (row,) = evaluation.rows["cts"]
    assert row.mask == "ct_and_mr"
    assert "both CT and MR" in evaluation.terminal_table


def test_a_missing_or_double_mr_is_named(folders, tmp_path):
    write_image(image(head_mr()), tmp_path / "mrs" / "P2_0000.nii.gz")
    with pytest.raises(DatasetError, match="mrs.*P1"):
        evaluate_folders(*folders, tmp_path / "out", mrs=tmp_path / "mrs")
    for name in ("P1", "P1_0000"):
        write_image(image(head_mr()), tmp_path / "mrs" / f"{name}.nii.gz")
    with pytest.raises(DatasetError, match="P1"):
        evaluate_folders(*folders, tmp_path / "out", mrs=tmp_path / "mrs")


def test_folders_without_a_common_name_say_what_was_looked_for(folders, tmp_path):
    (folders[1] / "P1.nii.gz").rename(folders[1] / "PATIENT1.nii.gz")
    with pytest.raises(DatasetError, match=r"ONLY_HERE, P1\).*PATIENT1"):
        evaluate_folders(*folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_folders_and_double_names_are_errors(folders, tmp_path):
    with pytest.raises(DatasetError, match="missing"):
        evaluate_folders(tmp_path / "missing", folders[1], tmp_path / "out")
    write_image(image(head_ct()), folders[0] / "P1.nii")
    with pytest.raises(DatasetError, match="P1"):
        evaluate_folders(*folders, tmp_path / "out")


@pytest.mark.long  # pools are tested in tests/test_parallel.py
def test_a_pool_of_processes_gives_the_same_rows(folders, tmp_path):
    write_image(image(head_ct(90)), folders[0] / "P2.mha")
    write_image(image(head_ct(40)), folders[1] / "P2.nii.gz")
    alone = evaluate_folders(*folders, tmp_path / "alone", protocol="seed")
    pooled = evaluate_folders(*folders, tmp_path / "pooled", protocol="seed", runner=CaseRunner(workers=2))
    assert alone.rows == pooled.rows and alone.terminal_table == pooled.terminal_table


@pytest.mark.parametrize(("masked", "warned"), [((), False), (("P1",), True), (("P1", "P2", "P3"), False)])
def test_given_masks_beside_found_heads_are_warned_of(raw, results, masked, warned):
    for patient in masked:
        write_image(image((distance() <= 20).astype(np.uint8)), raw.folder / "masksTr" / f"{patient}.nii.gz")
    warnings = evaluate_dataset(RawDataset.open(raw.folder), results).warnings
    assert any("their numbers cannot be compared" in warning for warning in warnings) == warned
