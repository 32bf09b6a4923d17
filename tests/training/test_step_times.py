from __future__ import annotations

import pytest
import torch
from tiny_training import what_to_train

from synthct.errors import TrainingError
from synthct.training.step_times import StepTimes, measure_steps
from synthct.training.what_to_train import TrainingOptions


@pytest.fixture
def measured(plan, preprocessed_folder, split, tmp_path):
    """``measure_steps`` on the tiny plan."""

    def measure(steps: int, loaders: int = 0, **options) -> StepTimes:
        what = what_to_train("cyclegan", plan, preprocessed_folder, tmp_path / "fold_0", split)
        return measure_steps(what, steps, TrainingOptions(loaders=loaders, device=torch.device("cpu"), **options))

    return measure


@pytest.mark.parametrize("loaders", [0, 1])
def test_steps_are_timed_on_the_real_slices_and_nothing_is_kept(loaders, measured, preprocessed_folder, tmp_path):
    before = sorted(preprocessed_folder.rglob("*"))
    times = measured(12, loaders)
    assert times.ms_per_step > 0
    assert times.images_per_s == pytest.approx(1000 / times.ms_per_step)
    assert 0 <= times.waiting < 1
    assert 0.05 < times.memory_gib < 24
    assert "ms a step in float32" in str(times)
    assert "GiB of the process's memory" in str(times)
    assert sorted(preprocessed_folder.rglob("*")) == before
    assert not (tmp_path / "fold_0").exists()


def test_no_steps_are_no_measurement(measured):
    with pytest.raises(TrainingError, match="at least 1, not 0"):
        measured(0)
