"""The study of misalignment: levels, scoring against truth and misaligned CT, crossings, tests, and a run resumed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import equal_time, misaligned_phantoms
from benchmarks.displacement import shift_mm
from benchmarks.equal_time import results_with
from benchmarks.misaligned_phantoms import ALIGNED, RESIDUAL, Level, make_slices
from benchmarks.misalignment import ALL_LEVELS, LEVELS, Study, misaligned_themselves, report, score_both, worst_levels
from benchmarks.misalignment_report import along, by_patient, comparisons, crossing_mm, crossings
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.patient import rigid_offset
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

SCALE = 5.0
RIGID = Level("rigid", "common", 6.0)
PAIRED = {"paired": True, "unpaired": False}


def tiny_configuration():
    lowres, _ = low_resolution(reference_configuration(1))
    return replace(
        lowres,
        preprocessing=replace(lowres.preprocessing, spacing_mm=(8.0, 5.0, 5.0), slice_size=(48, 48)),
        training=replace(lowres.training, padded_size=(52, 52), crop_size=(48, 48), epochs_constant=1, epochs_decay=1),
    )


@pytest.fixture(scope="module")
def slices(tmp_path_factory) -> Path:
    """Of a phantom, aligned and shifted."""
    folder = tmp_path_factory.mktemp("slices")
    make_slices(folder, 1, (ALIGNED, RIGID), tiny_configuration().preprocessing, SCALE)
    return folder


def stack(slices: Path, level: Level) -> SliceStack:
    return SliceStack.load(cached_path(slices / level.name, "HEAD_001"))


@pytest.mark.parametrize("name", [*LEVELS, *ALL_LEVELS])
def test_levels_are_read_by_their_names(name: str):
    assert Level.of(name).name == name


@pytest.mark.parametrize("name", ["rigid-2", "rigid-common-0", "local-random-x", "shifted-random-2"])
def test_unknown_levels_are_refused(name: str):
    with pytest.raises(SystemExit, match=name):
        Level.of(name)


def test_levels_say_how_the_phantom_is_scanned():
    local, rigid = (Level.of(name).options(2.0) for name in ("local-common-9", "rigid-random-4"))
    assert (local.misalignment_mm, local.rigid_offset_mm, local.misalignment_common) == (9.0, 0.0, True)
    assert (rigid.misalignment_mm, rigid.rigid_offset_mm, rigid.misalignment_common) == (0.0, 4.0, False)
    assert Level.of("registered").options(2.0).rigid_offset_deg == 5.0


def test_unpaired_methods_are_trained_at_the_worst_level_of_each_curve():
    names = [level.name for level in worst_levels([Level.of(name) for name in LEVELS])]
    assert set(names) == {"aligned", "rigid-random-6", "rigid-common-4", "local-random-12"}


def test_stacks_of_all_levels_lie_on_the_grid_of_the_same_mr(slices: Path):
    aligned, moved = stack(slices, ALIGNED), stack(slices, RIGID)
    both = (aligned.mr != OUTSIDE) & (moved.mr != OUTSIDE)
    assert aligned.info["grid"] == moved.info["grid"]
    assert np.array_equal(aligned.mr[both], moved.mr[both])
    assert moved.info[RESIDUAL] == pytest.approx(6.0)


def test_registered_pairs_are_as_far_apart_as_the_registration_left_them(tmp_path, monkeypatch):
    registered = Level("registered")
    offset = rigid_offset(PatientParameters.draw(0, 0), registered.options(SCALE))
    monkeypatch.setattr(misaligned_phantoms, "register_ct_to_mr", lambda pair: offset)
    make_slices(tmp_path, 1, (ALIGNED, registered), tiny_configuration().preprocessing, SCALE)
    aligned, found = stack(tmp_path, ALIGNED), stack(tmp_path, registered)
    assert found.info[RESIDUAL] == pytest.approx(0.0, abs=1e-6)
    assert found.info["grid"] == aligned.info["grid"]
    both = (aligned.ct != OUTSIDE) & (found.ct != OUTSIDE)
    assert both.sum() > 0.9 * (aligned.ct != OUTSIDE).sum()
    assert np.median(np.abs(aligned.ct[both] - found.ct[both].astype(float))) < 30


def test_the_true_ct_is_right_against_the_truth_and_wrong_against_the_misaligned_ct(slices: Path):
    truth, moved = stack(slices, ALIGNED), stack(slices, RIGID)
    as_truth = score_both(truth.ct.astype(np.float32), truth, slices / RIGID.name)
    as_moved = score_both(moved.ct.astype(np.float32), truth, slices / RIGID.name)
    assert as_truth["mae_windowed_hu"] == 0 < 50 < as_truth["measured_mae_windowed_hu"]
    assert as_moved["measured_mae_windowed_hu"] == 0
    assert as_truth["bone_dice"] == 1 > as_moved["bone_dice"]


def test_a_reproduced_shift_is_measured(slices: Path):
    truth, moved = stack(slices, ALIGNED), stack(slices, RIGID)
    assert np.linalg.norm(shift_mm(truth.ct.astype(np.float32), truth)) < 0.2
    found = shift_mm(np.where(moved.ct == OUTSIDE, -1000, moved.ct), truth)
    assert found == pytest.approx([0, -6 / math.sqrt(2), 6 / math.sqrt(2)], abs=0.8)  # superior and posterior


def test_curves_cross_where_their_lines_do():
    assert crossing_mm([0, 2, 4], [60, 80, 120], [100, 100, 100]) == pytest.approx(3.0)
    assert crossing_mm([0, 2, 4], [60, 80, 120], [70, 75, 80]) == pytest.approx(4 / 3)
    assert crossing_mm([0, 2], [60, 80], [50, 50]) == 0
    assert math.isnan(crossing_mm([0, 2, 4], [60, 80, 90], [100, 100, 100]))


def made_up_results(n_patients: int = 8, seeds: tuple[int, ...] = (0, 1)) -> pd.DataFrame:
    """Paired: 60 HU and 20 HU more each mm; unpaired: 100 HU; seeds lie 4 HU apart, patients 1 HU."""
    errors = {("paired", mm): 60 + 20 * mm for mm in (0, 1, 4)} | {("unpaired", mm): 100 for mm in (0, 4)}
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "level": "aligned" if mm == 0 else f"rigid-random-{mm}", "patient": patient, "seed": seed}
        | {column: hu + patient + 4 * seed + rng.normal() for column in ("mae_windowed_hu", "measured_mae_windowed_hu")}
        for (method, mm), hu in errors.items()
        for patient in range(n_patients)
        for seed in seeds
    ]
    return pd.DataFrame(rows)


MADE_UP_LEVELS = tuple(map(Level.of, ("aligned", "rigid-random-1", "rigid-random-4")))


def test_unpaired_values_are_interpolated_between_the_levels_that_were_trained():
    values = along(by_patient(made_up_results(), "unpaired", "mae_windowed_hu"), MADE_UP_LEVELS)
    expected = 0.75 * values["aligned"] + 0.25 * values["rigid-random-4"]
    assert list(values.columns) == [level.name for level in MADE_UP_LEVELS]
    assert np.allclose(values["rigid-random-1"], expected)


def test_methods_are_compared_by_patients_after_the_mean_over_seeds():
    tests = comparisons(made_up_results(), MADE_UP_LEVELS, PAIRED)
    assert [level.name for level, _ in tests] == [level.name for level in MADE_UP_LEVELS]
    assert all(test.n == 8 for _, test in tests)
    assert [round(test.mean_difference / 10) for _, test in tests] == [4, 2, -4]
    assert all(test.p <= test.holm_p <= 3 * test.p for _, test in tests)
    (crossing,) = crossings(made_up_results(), MADE_UP_LEVELS, PAIRED)
    assert crossing.mm == pytest.approx(2.0, abs=0.1)


def test_what_is_measured_is_not_measured_again_and_levels_are_reported_apart(tmp_path):
    def measure() -> pd.DataFrame:
        measured.append(1)
        return pd.DataFrame([{"patient": "A", "mae_hu": 1.0, "steps": "7"}])

    measured: list[int] = []
    for level in ("aligned", "rigid-random-2", "aligned"):
        results = results_with(tmp_path / "results.csv", "unet", 0, 0, measure, level=level)
    assert len(measured) == 2
    assert list(results.level) == ["aligned", "rigid-random-2"]


@pytest.mark.filterwarnings("ignore")  # of two patients there is little to test
def test_a_study_runs_and_goes_on_where_it_was(tmp_path, monkeypatch):
    study = Study(
        tmp_path / "study", 2, 2, 8.0, (ALIGNED, RIGID), (ALIGNED,), ("unet", "cyclegan"), (0,), 0.01,
        tiny_configuration(),
    )  # fmt: skip
    monkeypatch.setattr(equal_time, "STEPS_TO_TIME", 1)
    results = study.run()
    trained = results[results.steps != "0"]
    assert sorted(set(zip(trained.method, trained.level))) == [
        ("cyclegan", "aligned"),
        ("unet", "aligned"),
        ("unet", RIGID.name),
    ]
    assert trained.groupby("method").steps.nunique().max() == 1
    floors = [misaligned_themselves(study.task(level, 0)).mae_hu for level in (ALIGNED, RIGID)]
    assert floors[0].max() == 0 < 50 < floors[1].min()
    report(study, results)
    assert "rigid common" in (study.folder / "misalignment.md").read_text(encoding="utf-8")
    assert (study.folder / "misalignment.png").stat().st_size > 10_000
    monkeypatch.setattr(equal_time, "_train", None)
    assert len(study.run()) == len(results)
    with pytest.raises(SystemExit, match="another study"):
        replace(study, n_folds=3).run()
