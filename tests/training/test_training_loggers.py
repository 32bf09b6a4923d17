"""Loggers that follow a training beside its own: chosen by name, called at every epoch, and without an effect on it."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch
from same_training import assert_same_result, rows
from tiny_training import interrupted_at

from synthct import plugins
from synthct.errors import TrainingError
from synthct.training.logger import TrainingLogger

pytestmark = pytest.mark.usefixtures("no_figures")


class Recorder(TrainingLogger):
    """Keeps what is reported to it, and draws random numbers as a careless package might."""

    message: list = []

    def start(self, training):
        self.training = training
        self.calls.append(("start", training.epoch, training.step, training.epochs))
        torch.rand(5)

    def epoch(self, row):
        self.calls.append(("epoch", row["epoch"], row["step"]))
        self.last = row
        example = self.training.example()
        assert example.sct_hu.shape == example.mr.shape == example.ct_hu.shape
        torch.rand(5)

    def finish(self):
        self.calls.append(("finish",))
        Recorder.kept = self


class Failing(TrainingLogger):
    def epoch(self, row):
        raise ConnectionError("no server answers")


class Unmade(TrainingLogger):
    def __init__(self):
        raise OSError("no account")


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    Recorder.calls = []
    loaded = {"recorder": Recorder, "failing": Failing, "unmade": Unmade, "number": 3}
    points = [
        SimpleNamespace(name=name, value=f"package:{name}", load=lambda value=value: value, dist=None)
        for name, value in loaded.items()
    ]
    in_force = {"synthct.training_loggers": points}
    monkeypatch.setattr(plugins, "entry_points", lambda group: in_force.get(group, []))


def test_a_logger_of_another_package_is_reported_of_every_epoch(run, tmp_path, plan):
    run("pix2pix", loggers=("recorder", "recorder"))
    assert Recorder.calls == [("start", 0, 0, 2), ("epoch", 1, 4), ("epoch", 2, 8), ("finish",)]
    logger, written = Recorder.kept, rows(tmp_path / "fold_0")[-1]
    assert [name for name in logger.last if name not in ("seconds", "ms_per_step")] == list(written)
    assert logger.last["val_mae_hu"] == pytest.approx(float(written["val_mae_hu"]), rel=1e-5)
    assert logger.training.folder == tmp_path / "fold_0" and logger.training.has_pairs
    assert logger.training.facts["settings"] == plan.configurations["tiny"].methods["pix2pix"]
    assert not {"split", "plan"} & logger.training.facts.keys()


@pytest.mark.parametrize(("step", "epochs_done"), [(4, 0), (6, 1)])  # the last step of an epoch does not finish it
def test_a_resumed_training_says_where_it_goes_on(run, step, epochs_done):
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", progress=interrupted_at(step), loggers=("recorder",))
    assert Recorder.calls == [("start", 0, 0, 2), ("epoch", 1, 4)][: 1 + epochs_done]
    Recorder.calls.clear()
    run("pix2pix", resume=True, loggers=("recorder",))
    assert Recorder.calls[0] == ("start", epochs_done, 4 * epochs_done, 2)
    assert Recorder.calls[-2:] == [("epoch", 2, 8), ("finish",)]


def test_a_training_with_loggers_is_the_training_without(run, tmp_path):
    run("cyclegan", "without")
    random.seed(3)
    with pytest.raises(KeyboardInterrupt):
        run("cyclegan", "with", progress=interrupted_at(6), loggers=("recorder", "failing"))
    run("cyclegan", "with", resume=True, loggers=("recorder",))
    assert_same_result(tmp_path / "without", tmp_path / "with")


def test_a_logger_that_fails_is_reported_once_and_the_training_goes_on(run, tmp_path, caplog):
    run("pix2pix", loggers=("failing",))
    assert len(rows(tmp_path / "fold_0")) == 2
    assert (tmp_path / "fold_0" / "checkpoint_final.pth").exists()
    assert caplog.text.count("no server answers") == 1 and "'failing'" in caplog.text


@pytest.mark.parametrize(
    ("name", "named"), [("nothing", "recorder"), ("number", "package:number"), ("unmade", "no acc")]
)
def test_a_logger_that_cannot_be_used_is_refused_before_anything_is_written(run, tmp_path, name, named):
    with pytest.raises(TrainingError, match=named) as fault:
        run("pix2pix", loggers=("recorder", name))
    assert f"'{name}'" in str(fault.value) and "\n" not in str(fault.value)
    assert not (tmp_path / "fold_0").exists()
