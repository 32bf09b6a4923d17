import math

import numpy as np
import pytest
from scipy import stats

from synthct.evaluation.metrics import METRICS, metrics_of
from synthct.evaluation.score import Row
from synthct.evaluation.statistics import compare_models, holm, summarise

# Table 1 of Wolterink et al. 2017.
SEED_MAE = {"unpaired": (70.3, 76.2, 75.5, 75.2, 72.0, 73.0), "paired": (86.2, 98.8, 96.9, 86.0, 81.7, 87.0)}
SEED_PSNR = {"unpaired": (31.1, 32.1, 32.9, 32.9, 32.3, 32.5), "paired": (29.3, 30.1, 30.1, 31.7, 31.2, 30.9)}


def rows_of(mae, psnr, first=1, metrics=METRICS[:2]):
    return [
        Row(f"P{i}", 0, {m.column: (a if "mae" in m.column else b) for m in metrics}, 1000, "ct_and_mr")
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
    # The paper prints 30.6 +- 0.9 of unrounded numbers.
    assert paired.mean["psnr_db"] == pytest.approx(30.6, abs=0.06)
    assert paired.sd["psnr_db"] == pytest.approx(0.9, abs=0.06)


def test_the_seeds_difference_is_significant(seed):
    by_mae, by_psnr = compare_models(seed)
    assert (by_mae.metric, by_psnr.metric) == ("mae_hu", "psnr_db")
    assert by_mae.n == 6 and by_mae.p < 0.05 and by_psnr.p < 0.05
    assert by_mae.main and by_psnr.main
    assert by_mae.mean_difference == pytest.approx(-15.73, abs=0.01)
    assert (
        "15.7 HU lower (better) than with paired on average over 6 patients (95% interval -21.3 to -10.1 HU"
        in by_mae.sentence
    )
    assert "); significant at the 5% level (paired t-test, p < 0.001; Wilcoxon, p = 0.031)." in by_mae.sentence
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
    of_one_patient = compare_models({model: rows[:1] for model, rows in seed.items()})[0]
    assert of_one_patient.n == 1 and math.isnan(of_one_patient.t) and math.isnan(of_one_patient.p)
    assert "needs at least 2 patients" in of_one_patient.sentence
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


def test_every_metric_is_compared_and_the_seeds_two_are_the_main_ones():
    rows = {name: rows_of((70 + i, 80, 93), (30, 31 + i, 33), metrics=METRICS) for i, name in enumerate("ab")}
    results = compare_models(rows)
    assert [result.metric for result in results] == [metric.column for metric in METRICS]
    assert [result.metric for result in results if result.main] == ["mae_hu", "psnr_db"]


def test_wilcoxons_p_is_that_of_all_signs_counted_by_hand(seed):
    # All six differences have one sign: 2 of the 2^6 ways to give them signs are as extreme.
    assert compare_models(seed)[0].wilcoxon_p == pytest.approx(2 / 2**6)
    differences = np.array([3.0, -1.0, 2.0, 5.0, 4.0, 4.0, 0.0])  # with a tie and a zero, which is left out
    rows = {"a": rows_of(80 + differences, [30] * 7), "b": rows_of([80.0] * 7, [30] * 7)}
    ranks = stats.rankdata(np.abs(differences[:-1]))
    sums = [sum(r for r, positive in zip(ranks, signs) if positive) for signs in np.ndindex(*[2] * 6)]
    observed = sum(r for r, d in zip(ranks, differences) if d > 0)
    extreme = sum(abs(total - ranks.sum() / 2) >= abs(observed - ranks.sum() / 2) for total in sums)
    assert compare_models(rows)[0].wilcoxon_p == pytest.approx(extreme / 2**6)


def test_wilcoxon_of_many_patients_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(80, 5, 40), rng.normal(78, 5, 40)
    result = compare_models({"a": rows_of(a, a), "b": rows_of(b, b)})[0]
    assert result.wilcoxon_p == pytest.approx(stats.wilcoxon(a, b).pvalue)


def test_the_interval_of_the_difference_is_students(seed):
    result = compare_models(seed)[0]
    expected = stats.ttest_rel(SEED_MAE["unpaired"], SEED_MAE["paired"]).confidence_interval(0.95)
    assert result.interval == pytest.approx((expected.low, expected.high))


def test_few_patients_are_warned_of_with_the_smallest_p_that_there_could_be(seed):
    four = compare_models({model: rows[:4] for model, rows in seed.items()})[0]
    assert four.sentence.endswith("With only 4 patients little can be concluded: Wilcoxon's p cannot fall below 0.125.")


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02] and holm([]) == []
    corrected = holm([0.02, math.nan, 0.01])
    assert corrected[::2] == pytest.approx([0.02, 0.02]) and math.isnan(corrected[1])


def test_of_several_pairs_the_corrected_p_decides():
    # p = 0.030 of a against b is no longer significant as one of three.
    a, b, c = (70.0, 72, 71, 75, 73, 70), (71.5, 72.2, 74, 76.1, 73.2, 72.4), (70.3, 72.5, 71.9, 74.2, 73.4, 70.1)
    two = compare_models({"a": rows_of(a, a), "b": rows_of(b, b)})[0]
    three = compare_models({"a": rows_of(a, a), "b": rows_of(b, b), "c": rows_of(c, c)})[0]
    assert two.p == three.p < 0.05 < three.holm_p and two.holm_p == two.p
    assert "; significant" in two.sentence and "Holm" not in two.sentence
    assert "; not significant" in three.sentence and "after Holm's correction for 3 pairs of models" in three.sentence


def test_a_bias_is_neither_better_nor_worse_for_being_higher():
    (bias,) = (metric for metric in METRICS if metric.column == "me_hu")
    rows = {"a": rows_of((0, 0), (5, 7), metrics=[bias]), "b": rows_of((0, 0), (-9, -8), metrics=[bias])}
    (result,) = compare_models(rows)
    assert "Mean error with a is 14.5 HU higher than with b" in result.sentence
    assert not result.main


def test_a_metric_that_a_patient_lacks_leaves_him_out_of_it_alone():
    rows = rows_of((70, 80, math.nan, 90), (30, 31, 32, 33))
    summary = summarise("a", rows)
    assert summary.n == 4 and summary.counted == {"mae_hu": 3, "psnr_db": 4}
    assert (summary.mean["mae_hu"], summary.sd["mae_hu"], summary.median["mae_hu"]) == (80, 10, 80)
    none = summarise("a", rows_of((math.nan, math.nan), (30, 31)))
    assert none.counted["mae_hu"] == 0 and math.isnan(none.mean["mae_hu"]) and math.isnan(none.median["mae_hu"])
    by_mae, by_psnr = compare_models({"a": rows, "b": rows_of((71, 82, 83, 95), (30, 30, 30, 30))})
    assert (by_mae.n, by_psnr.n) == (3, 4)


def test_the_set_of_patients_is_kept_and_said(seed):
    assert summarise("unpaired", seed["unpaired"], "test").labelled().model == "unpaired, test set"
    assert summarise("unpaired", seed["unpaired"]).labelled().model == "unpaired"
    (result, _) = compare_models(seed, "test")
    assert result.set == "test" and "over 6 patients in the test set" in result.sentence


def test_a_protocol_of_few_metrics_has_few_columns():
    rows = rows_of((70, 80), (30, 31), metrics=metrics_of("synthrad2023"))
    assert list(summarise("a", rows).mean) == [metric.column for metric in metrics_of("synthrad2023")]
