import json
import math

import pandas as pd
import pytest

from synthct.evaluation.score import Row
from synthct.evaluation.statistics import compare_models, summarise
from synthct.evaluation.tables import terminal_table, write_comparison, write_patient_table, write_summary


def rows_of(mae, n=3, fold=0, psnr=30.0):
    metrics = {"psnr_db": psnr, "psnr_db_windowed": psnr}
    return tuple(
        Row(f"P{i}", fold, {"mae_hu": mae + i, "mae_hu_windowed": mae, **metrics}, 1000, "ct_and_mr") for i in range(n)
    )


def test_patient_table_has_the_columns_and_its_twin_the_same_numbers(tmp_path):
    metrics = {"mae_hu": 70.123456789, "psnr_db": math.inf, "mae_hu_windowed": 60.0, "psnr_db_windowed": 33.0}
    rows = [Row("P1", 3, metrics, 1234567, "given"), Row("P2", None, metrics, 5, "ct")]
    csv, twin = write_patient_table(rows, "cyclegan__2d", tmp_path)
    assert (csv.name, twin.name) == ("metrics_cyclegan__2d.csv", "metrics_cyclegan__2d.json")
    assert csv.read_text() == (
        "patient,fold,mae_hu,psnr_db,mae_hu_windowed,psnr_db_windowed,voxels,mask\n"
        "P1,3,70.1235,inf,60,33,1234567,given\n"
        "P2,,70.1235,inf,60,33,5,ct\n"
    )
    records = json.loads(twin.read_text())
    assert records[0]["mae_hu"] == 70.123456789 and records[0]["psnr_db"] is None
    assert records[0]["fold"] == 3 and records[1]["fold"] is None
    assert list(records[0]) == list(pd.read_csv(csv).columns)


def test_summary_and_comparison_have_the_columns(tmp_path):
    rows = {"a": rows_of(70.0), "b": rows_of(90.0, n=1)}
    csv, twin = write_summary([summarise(label, of_label) for label, of_label in rows.items()], tmp_path)
    lines = csv.read_text().splitlines()
    assert lines[0] == (
        "model,n,mae_hu_mean,mae_hu_sd,psnr_db_mean,psnr_db_sd,"
        "mae_hu_windowed_mean,mae_hu_windowed_sd,psnr_db_windowed_mean,psnr_db_windowed_sd"
    )
    assert lines[1:] == ["a,3,71,1,30,0,70,0,30,0", "b,1,90,,30,,90,,30,"]
    assert json.loads(twin.read_text())[1]["mae_hu_sd"] is None

    csv, twin = write_comparison(compare_models(rows), tmp_path)
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["metric", "model_a", "model_b", "n", "mean_difference", "t", "p", "sentence"]
    assert list(frame["metric"]) == ["mae_hu", "psnr_db"] and list(frame["mean_difference"]) == [-20, 0]
    assert json.loads(twin.read_text())[0]["t"] is None


def test_a_single_model_leaves_a_comparison_of_the_header_alone(tmp_path):
    csv, twin = write_comparison(compare_models({"a": rows_of(70.0)}), tmp_path)
    assert csv.read_text() == "metric,model_a,model_b,n,mean_difference,t,p,sentence\n"
    assert json.loads(twin.read_text()) == []


def table_of(rows, **options):
    return terminal_table(rows, [summarise(label, of_label) for label, of_label in rows.items()], **options)


def test_the_terminal_table_looks_like_the_seeds():
    lines = table_of({"cyclegan": rows_of(70.0), "pix2pix": rows_of(88.0, n=2)}).splitlines()
    assert lines[0].split() == ["cyclegan", "pix2pix"]
    assert lines[2].split("   ")[0].strip() == "P0" and "70.0 / 30.0" in lines[2] and "88.0 / 30.0" in lines[2]
    assert lines[4].rstrip().endswith("-")  # pix2pix has no P2
    assert set(lines[5]) == {"-"}
    assert "mean ± SD" in lines[6] and "71.0 ± 1.0 / 30.0 ± 0.0" in lines[6]
    assert lines[7].split() == ["patients", "3", "2"]
    assert "both CT and MR" in lines[-1]


@pytest.mark.parametrize("n_models", [1, 2, 5, 9])
def test_the_terminal_table_fits_its_width_with_any_number_of_models(n_models):
    rows = {f"a_trainer_with_a_long_name_{i}__2d_lowres": rows_of(100.0 + i, n=60) for i in range(n_models)}
    text = table_of(rows, width=100, max_patients=10)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("MAE HU / PSNR dB") == n_models
    assert "50 more patients" in text
