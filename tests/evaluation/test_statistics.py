import math

import numpy as np
import pytest
from scipy import stats

from synthct.evaluation.metrics import METRICS
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import compare_models, summarise

# Table 1 of Wolterink et al. 2017.
SEED_MAE = {"unpaired": (70.3, 76.2, 75.5, 75.2, 72.0, 73.0), "paired": (86.2, 98.8, 96.9, 86.0, 81.7, 87.0)}
SEED_PSNR = {"unpaired": (31.1, 32.1, 32.9, 32.9, 32.3, 32.5), "paired": (29.3, 30.1, 30.1, 31.7, 31.2, 30.9)}


def rows_of(mae, psnr, first=1):
    return [
        Row(f"P{i}", 0, {m.column: (a if "mae" in m.column else b) for m in METRICS}, 1000, "ct_and_mr")
        for i, (a, b) in enumerate(zip(mae, psnr), start=first)
    ]


@pytest.fixture
def seed():
    return {model: rows_of(SEED_MAE[model], SEED_PSNR[model]) for model in ("unpaired", "paired")}


def test_mean_and_sd_are_those_of_the_seeds_table(seed):
    unpaired, paired = (summarise(model, seed[model]) for model in ("unpaired", "paired"))
    assert (round(unpaired.mean["mae_hu"], 1), round(unpaired.sd["mae_hu"], 1)) == (73.7, 2.3)
    assert (round(paired.mean["mae_hu"], 1), round(paired.sd["mae_hu"], 1)) == (89.4, 6.8)
    assert (round(unpaired.mean["psnr_db"], 1), round(unpaired.sd["psnr_db"], 1)) == (32.3, 0.7)
    # The seed prints 30.6 +- 0.9 of unrounded numbers.
    assert paired.mean["psnr_db"] == pytest.approx(30.6, abs=0.06)
    assert paired.sd["psnr_db"] == pytest.approx(0.9, abs=0.06)


def test_the_seeds_difference_is_significant(seed):
    by_mae, by_psnr = compare_models(seed)
    assert (by_mae.metric, by_psnr.metric) == ("mae_hu", "psnr_db")
    assert by_mae.n == 6 and by_mae.p < 0.05 and by_psnr.p < 0.05
    assert by_mae.mean_difference == pytest.approx(-15.73, abs=0.01)
    assert "15.7 HU lower (better) than with paired on average over 6 patients; significant" in by_mae.sentence
    assert "dB higher (better)" in by_psnr.sentence
    assert "little" not in by_mae.sentence


def test_t_is_that_of_the_formula_and_of_scipy(seed):
    result = compare_models(seed)[0]
    d = np.subtract(SEED_MAE["unpaired"], SEED_MAE["paired"])
    assert result.t == pytest.approx(d.mean() / (d.std(ddof=1) / math.sqrt(len(d))))
    reference = stats.ttest_rel(SEED_MAE["unpaired"], SEED_MAE["paired"])
    assert (result.t, result.p) == pytest.approx((reference.statistic, reference.pvalue))


def test_only_common_patients_are_compared():
    rows = {"a": rows_of((70, 80, 90), (30, 31, 32)), "b": rows_of((81, 92, 500), (30, 30, 30), first=2)}
    result = compare_models(rows)[0]
    assert result.n == 2
    assert result.mean_difference == pytest.approx(((80 - 81) + (90 - 92)) / 2)


def test_too_few_patients_are_said_to_be_too_few(seed):
    two = compare_models({model: rows[:2] for model, rows in seed.items()})[0]
    assert "With only 2 patients little can be concluded" in two.sentence
    one = compare_models({model: rows[:1] for model, rows in seed.items()})[0]
    assert one.n == 1 and math.isnan(one.t) and math.isnan(one.p)
    assert "needs at least 2 patients" in one.sentence
    none = compare_models({"a": rows_of((1.0,), (2.0,)), "b": rows_of((1.0,), (2.0,), first=9)})[0]
    assert none.n == 0 and math.isnan(none.mean_difference)
    assert "cannot be compared" in none.sentence


def test_equal_models_give_no_test_and_no_warning(recwarn):
    rows = {"a": rows_of((70, 80), (math.inf, 31)), "b": rows_of((70, 80), (30, 30))}
    by_mae, by_psnr = compare_models(rows)
    assert math.isnan(by_mae.p) and "the same" in by_mae.sentence
    assert by_psnr.n == 1  # an infinite PSNR has no difference
    assert not recwarn.list


def test_three_models_are_compared_two_by_two(seed):
    results = compare_models({**seed, "third": seed["paired"]})
    assert [(r.metric, r.model_a, r.model_b) for r in results[:3]] == [
        ("mae_hu", "unpaired", "paired"),
        ("mae_hu", "unpaired", "third"),
        ("mae_hu", "paired", "third"),
    ]
    assert len(results) == 6


def test_a_single_patient_has_no_sd():
    summary = summarise("a", rows_of((70,), (30,)))
    assert summary.n == 1 and summary.mean["mae_hu"] == 70 and math.isnan(summary.sd["mae_hu"])
