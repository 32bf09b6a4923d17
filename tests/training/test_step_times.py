from __future__ import annotations

import pytest
import torch

from synthct.errors import TrainingError
from synthct.training.step_times import measure_steps


@pytest.mark.parametrize("workers", [0, 1])
def test_steps_are_timed_on_the_real_slices_and_nothing_is_kept(workers, plan, preprocessed_folder, split, tmp_path):
    before = sorted(preprocessed_folder.rglob("*"))
    times = measure_steps(
        "cyclegan",
        plan,
        "tiny",
        preprocessed_folder=preprocessed_folder,
        split=split,
        steps=12,
        device=torch.device("cpu"),
        workers=workers,
    )
    assert times.ms_per_step > 0
    assert times.images_per_s == pytest.approx(1000 / times.ms_per_step)
    assert 0 <= times.waiting < 1
    assert 0.05 < times.memory_gib < 24
    assert "ms a step in float32" in str(times)
    assert "GiB of the process's memory" in str(times)
    assert sorted(preprocessed_folder.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def test_no_steps_are_no_measurement(plan, preprocessed_folder, split):
    with pytest.raises(TrainingError, match="at least 1, not 0"):
        measure_steps(
            "cyclegan",
            plan,
            "tiny",
            preprocessed_folder=preprocessed_folder,
            split=split,
            steps=0,
            device=torch.device("cpu"),
        )
