"""Steps that become ten times slower are reported once, with the likely reason."""

from __future__ import annotations

import pytest

from synthct.training.slow_steps import SlowSteps


def noted(*seconds: float) -> None:
    slow_steps = SlowSteps()
    for step_seconds in seconds:
        slow_steps.note(step_seconds)


def test_steps_that_take_ten_times_what_the_first_ones_took_are_reported_once_with_the_reason(caplog):
    noted(5.0, *[0.032] * 15, *[2.0] * 50)
    (record,) = caplog.records
    assert "takes 2000 ms now; the first ones took 32 ms" in record.getMessage()
    assert "other programs" in record.getMessage() and "--threads N" in record.getMessage()


@pytest.mark.parametrize("later", [[0.3] * 50, [2.0, 0.032] * 25], ids=["not so slow", "now and then"])
def test_other_steps_are_not_reported(later, caplog):
    noted(*[5.0] * 3, *[0.032] * 15, *later)
    assert not caplog.records


def test_the_training_loop_watches_its_steps(run, monkeypatch):
    seen = []
    monkeypatch.setattr(SlowSteps, "note", lambda _, seconds: seen.append(seconds))
    monkeypatch.setattr("synthct.training.run.ProgressFigure.draw", lambda *_: None)
    run("pix2pix")
    assert len(seen) == 8 and min(seen) > 0
