import json
import math
from dataclasses import replace

import pandas as pd
import pytest

from synthct.evaluation.csv_tables import (
    COMPARISON_COLUMNS,
    terminal_table,
    write_columns,
    write_comparison,
    write_patient_table,
    write_summary,
    write_tables,
)
from synthct.evaluation.metrics import METRICS, metrics_of
from synthct.evaluation.score import Row
from synthct.evaluation.scored_set import ScoredSet
from synthct.evaluation.statistics import compare_models, summarise

CLIPPING = "mae_hu_windowed: -600 to 1400 HU; psnr_db_windowed: -600 to 1400 HU; others: none"


def rows_of(mae, n=3, fold=0, psnr=30.0):
    metrics = {"psnr_db": psnr, "mae_hu_windowed": mae, "psnr_db_windowed": psnr}
    return tuple(Row(f"P{i}", fold, {"mae_hu": mae + i} | metrics, 1000, "ct_and_mr", "sCT grid") for i in range(n))


def scored(rows, patients="cross_validation"):
    summaries = tuple(summarise(label, label_rows, patients) for label, label_rows in rows.items())
    return ScoredSet(patients, {}, {}, {}, dict(rows), tuple(rows), summaries, compare_models(rows, patients))


def test_patient_table_has_the_columns_and_its_twin_the_same_numbers(tmp_path):
    metrics = {"mae_hu": 70.123456789, "psnr_db": math.inf, "mae_hu_windowed": 60.0, "psnr_db_windowed": math.nan}
    rows = [Row("P1", 3, metrics, 1234567, "given", "grid 1"), Row("P2", None, metrics, 5, "ct", "grid 2")]
    csv, twin = write_patient_table(rows, "cyclegan__2d", tmp_path)
    assert (csv.name, twin.name) == ("metrics_cyclegan__2d.csv", "metrics_cyclegan__2d.json")
    assert csv.read_text() == (
        "patient,fold,mae_hu,psnr_db,mae_hu_windowed,psnr_db_windowed,voxels,scored_head_percent,mask,clipping,grid,notes\n"
        f"P1,3,70.1235,inf,60,,1234567,,given,{CLIPPING},grid 1,\n"
        f"P2,,70.1235,inf,60,,5,,ct,{CLIPPING},grid 2,\n"
    )
    records = json.loads(twin.read_text())
    assert records[0]["mae_hu"] == 70.123456789 and records[0]["psnr_db"] is None
    assert records[0]["fold"] == 3 and records[1]["fold"] is None
    assert list(records[0]) == list(pd.read_csv(csv).columns)


def test_all_metrics_follow_the_seeds_columns(tmp_path):
    row = Row("P1", 0, {metric.column: 1.0 for metric in METRICS}, 10, "ct_and_mr", "grid")
    csv, _ = write_patient_table([row], "a", tmp_path)
    columns = list(pd.read_csv(csv).columns)
    assert columns[:6] == ["patient", "fold", "mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed"]
    assert columns[2:-6] == [metric.column for metric in METRICS]


def test_the_summary_says_of_whom_and_of_how_many(tmp_path):
    sets = [scored({"a": rows_of(70.0), "b": rows_of(90.0, n=1)}), scored({"a": rows_of(80.0, fold=None)}, "test")]
    csv, twin = write_summary(sets, tmp_path)
    frame = pd.read_csv(csv)
    assert list(frame.columns[:9]) == [
        *("model", "set", "n", "mae_hu_mean", "mae_hu_sd", "mae_hu_median"),
        *("mae_hu_ci95_low", "mae_hu_ci95_high", "mae_hu_n"),
    ]
    assert list(zip(frame["model"], frame["set"], frame["n"])) == [
        ("a", "cross_validation", 3),
        ("b", "cross_validation", 1),
        ("a", "test", 3),
    ]
    assert list(frame["mae_hu_mean"]) == [71, 90, 81] and list(frame["mae_hu_median"]) == [71, 90, 81]
    assert 70 <= frame["mae_hu_ci95_low"][0] < 71 < frame["mae_hu_ci95_high"][0] <= 72
    assert set(frame["mask"]) == {"ct_and_mr"} and set(frame["clipping"]) == {CLIPPING}
    single = json.loads(twin.read_text())[1]
    assert single["mae_hu_sd"] is None and single["mae_hu_ci95_low"] is None and single["mae_hu_n"] == 1


def test_the_comparison_has_its_columns(tmp_path):
    csv, twin = write_comparison([scored({"a": rows_of(70.0), "b": rows_of(90.0, n=1)})], tmp_path)
    frame = pd.read_csv(csv)
    assert tuple(frame.columns) == COMPARISON_COLUMNS
    assert list(frame.columns[:8]) == ["metric", "model_a", "model_b", "n", "mean_difference", "t", "p", "sentence"]
    assert list(frame["metric"]) == ["mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed"]
    assert list(frame["mean_difference"]) == [-20, 0, -20, 0]
    assert list(frame["clipping"]) == ["none", "none", "-600 to 1400 HU", "-600 to 1400 HU"]
    assert json.loads(twin.read_text())[0]["t"] is None


def test_a_single_model_leaves_a_comparison_of_the_header_alone(tmp_path):
    csv, twin = write_comparison([scored({"a": rows_of(70.0)})], tmp_path)
    assert csv.read_text() == ",".join(COMPARISON_COLUMNS) + "\n"
    assert json.loads(twin.read_text()) == []


def test_every_column_is_described_with_mask_clipping_and_grid(tmp_path):
    csv, twin = write_columns(metrics_of("all"), {"ct", "given"}, tmp_path)
    frame = pd.read_csv(csv).set_index("column")
    assert list(frame.index) == [metric.column for metric in METRICS] and not frame.isna().any(axis=None)
    assert frame["mask"]["mae_hu"] == (
        "the head determined in the reference CT or the given head mask, where the reference CT is known"
    )
    assert frame["clipping"]["mae_hu"] == "none" and frame["clipping"]["psnr_db_windowed"] == "-600 to 1400 HU"
    assert frame["clipping"]["ssim_synthrad2023"] == "-1024 to 3000 HU"
    assert frame["better"]["mae_hu"] == "lower" and frame["better"]["me_bone_hu"] == "nearer 0"
    assert "interpolated linearly" in frame["grid"]["mae_hu"]
    assert len(json.loads(twin.read_text())) == len(METRICS)


def test_the_test_set_has_tables_of_its_own(tmp_path):
    sets = [scored({"a": rows_of(70.0)}), scored({"a": rows_of(80.0, fold=None)}, "test")]
    names = {path.stem for path in write_tables(sets, tmp_path)}
    assert names == {"metrics_a", "metrics_a_test", "summary", "comparison", "columns"}
    assert list(pd.read_csv(tmp_path / "metrics_a_test.csv")["mae_hu"]) == [80, 81, 82]
    assert {path.stem for path in write_tables([scored({"a": rows_of(70.0)}, "folders")], tmp_path / "f")} == {
        *("metrics_a", "summary", "columns")
    }


def test_the_terminal_table_looks_like_the_seeds():
    lines = terminal_table(scored({"cyclegan": rows_of(70.0), "pix2pix": rows_of(88.0, n=2)})).splitlines()
    assert lines[0].split() == ["cyclegan", "pix2pix"]
    assert lines[2].split("   ")[0].strip() == "P0" and "70.0 / 30.0" in lines[2] and "88.0 / 30.0" in lines[2]
    assert lines[4].rstrip().endswith("-")  # pix2pix has no P2
    assert set(lines[5]) == {"-"}
    assert "mean ± SD" in lines[6] and "71.0 ± 1.0 / 30.0 ± 0.0" in lines[6]
    assert lines[7].split() == ["patients", "3", "2"]
    assert "both CT and MR" in lines[-1]
    assert terminal_table(scored({"a": rows_of(70.0)}, "test")).startswith("Test set\n")


@pytest.mark.parametrize("n_models", [1, 2, 5, 9])
def test_the_terminal_table_fits_its_width_with_any_number_of_models(n_models):
    rows = {f"a_trainer_with_a_long_name_{i}__2d_lowres": rows_of(100.0 + i, n=60) for i in range(n_models)}
    text = terminal_table(scored(rows), width=100, max_patients=10)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("MAE HU / PSNR dB") == n_models
    assert "50 more patients" in text


def test_the_registration_floor_stands_below_the_errors_where_pairs_were_refined():
    without = scored({"unet": rows_of(70.0)})
    lines = terminal_table(replace(without, registration_floor_hu={"P0": 4.0, "P1": 8.0})).splitlines()
    assert "6.0 HU" in lines[-1] and "8.0 (P1)" in lines[-1]
    assert lines[:-1] == terminal_table(without).splitlines()
