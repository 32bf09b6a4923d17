"""The loop: what it writes, and that a resumed training is the uninterrupted one, bit for bit."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import signal
import weakref
from pathlib import Path

import pytest
import torch
from same_training import equal, rows
from tiny_training import PAIRED, what_to_train

import synthct
from synthct.errors import SynthctError, TrainingError
from synthct.files import read_json
from synthct.parallel import quiet
from synthct.plugins import TRAINERS
from synthct.training import run as run_module
from synthct.training.checkpoint import load_checkpoint, save_checkpoint
from synthct.training.cyclegan import CycleGAN
from synthct.training.loop import train
from synthct.training.what_to_train import TrainingOptions

trainers = pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])


@pytest.fixture
def figures():
    """Ask for them."""


@pytest.fixture(autouse=True)
def no_figures(request, monkeypatch):
    """Figures take longer than the tiny trainings; only the tests that ask for them draw them."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(run_module.ProgressFigure, "draw", lambda *_: None)


@pytest.fixture
def run(plan, preprocessed_folder, split, tmp_path):
    """``train`` on the tiny plan, into a folder of that name, in this process; changes of what, or of the options."""

    def go(name: str, folder: str = "fold_0", *, progress=quiet, **changes) -> Path:
        what = what_to_train(name, plan, preprocessed_folder, tmp_path / folder, split)
        of_what = {field.name for field in dataclasses.fields(what)} & changes.keys()
        what = dataclasses.replace(what, **{one: changes.pop(one) for one in of_what})
        options = TrainingOptions(**{"device": torch.device("cpu"), "loaders": 0} | changes)
        return train(what, options, progress=progress)

    return go


def interrupted_at(step: int):
    """A progress display that sends Ctrl-C while this step is under way."""

    def progress(iterable, total=None, desc="", unit=""):
        for i, one in enumerate(iterable, 1):
            if unit == "step" and i == step:
                os.kill(os.getpid(), signal.SIGINT)
            yield one

    return progress


def assert_same_training(one: Path, other: Path) -> None:
    first, second = load_checkpoint(one / "checkpoint_final.pth"), load_checkpoint(other / "checkpoint_final.pth")
    for part in ("networks", "optimisers", "pools", "epoch", "step", "rng", "training", "split"):
        assert equal(first[part], second[part]), part
    assert rows(one) == rows(other)


@trainers
def test_training_writes_what_its_folder_promises(figures, run, name, tmp_path, split, plan, caplog):
    caplog.set_level(logging.INFO, "synthct")
    path = run(name, loaders=1)
    folder = tmp_path / "fold_0"
    assert path == folder / "checkpoint_final.pth"
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoint_final.pth",
        "checkpoint_latest.pth",
        "progress.png",
        "split.json",
        "training_log.csv",
    ]
    assert read_json(folder / "split.json") == split
    checkpoint = load_checkpoint(path)
    assert (checkpoint["trainer"], checkpoint["configuration"]) == (name, "tiny")
    assert checkpoint["trainer_package"] == f"synthct {synthct.__version__}"
    assert checkpoint["settings"] == plan.configurations["tiny"].methods[name]
    assert (checkpoint["epoch"], checkpoint["step"]) == (2, 8)
    assert set(checkpoint["networks"]) == (
        {"syn_ct", "dis_ct"} if name == "pix2pix" else {"syn_ct", "syn_mr", "dis_ct", "dis_mr"}
    )
    assert checkpoint["plan"]["dataset_name"] == plan.dataset_name
    written = rows(folder)
    assert [(row["epoch"], row["step"], float(row["learning_rate"])) for row in written] == [
        ("1", "4", 2e-4),
        ("2", "8", 1e-4),
    ]
    assert all(float(row["val_mae_hu"]) > 0 and float(row["dis_ct"]) > 0 for row in written)
    for line in ("cpu", "precision: float32", "slices: ", "2 epochs of 4", f"torch {torch.__version__}"):
        assert line in caplog.text
    assert not multiprocessing.active_children()


@trainers
@pytest.mark.parametrize("step", [3, 4, 6])
@pytest.mark.parametrize("loaders", [0, 1])
def test_stopped_and_resumed_is_the_uninterrupted_training(run, name, step, loaders, tmp_path):
    run(name, "whole")
    with pytest.raises(KeyboardInterrupt):
        run(name, "stopped", progress=interrupted_at(step), loaders=loaders)
    assert not multiprocessing.active_children()
    assert not (tmp_path / "stopped" / "checkpoint_final.pth").exists()
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint_latest.pth")["step"] == step
    run(name, "stopped", resume=True, loaders=loaders)
    assert_same_training(tmp_path / "whole", tmp_path / "stopped")


def test_handlers_of_signals_are_put_back(run):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", progress=interrupted_at(2))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_stop_that_is_asked_for_after_the_last_step_comes_once_the_model_is_written(run, monkeypatch, tmp_path):
    draw = run_module.ProgressFigure.draw
    monkeypatch.setattr(run_module.ProgressFigure, "draw", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", epochs=1)
    monkeypatch.setattr(run_module.ProgressFigure, "draw", draw)
    assert load_checkpoint(tmp_path / "fold_0" / "checkpoint_final.pth")["step"] == 4
    assert (tmp_path / "fold_0" / "split.json").exists()


def test_a_training_stopped_within_an_epoch_can_be_ended_there_by_asking_for_fewer_epochs(run):
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", progress=interrupted_at(6))
    assert load_checkpoint(run("pix2pix", resume=True, epochs=1))["step"] == 6


def test_the_callers_random_numbers_are_left_alone(run):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    run("pix2pix")
    assert torch.equal(torch.rand(3), expected)


def test_two_trainings_with_one_seed_are_the_same_and_another_seed_differs(run, tmp_path, with_training):
    run("cyclegan", "one")
    run("cyclegan", "two", loaders=1)
    run("cyclegan", "other", plan=with_training(seed=8))
    assert_same_training(tmp_path / "one", tmp_path / "two")
    assert rows(tmp_path / "one") != rows(tmp_path / "other")


def test_a_finished_training_goes_on_when_epochs_are_added(run, tmp_path, with_training):
    constant = with_training(epochs_constant=1, epochs_decay=0)
    run("cyclegan", "grown", plan=constant)
    assert len(rows(tmp_path / "grown")) == 1
    run("cyclegan", "grown", plan=constant, epochs=3, resume=True)
    run("cyclegan", "whole", plan=constant, epochs=3)
    assert_same_training(tmp_path / "whole", tmp_path / "grown")


def test_a_finished_training_is_left_when_there_is_nothing_to_add(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "synthct")
    path = run("pix2pix")
    before = load_checkpoint(path)
    assert run("pix2pix", resume=True) == path
    assert equal(before["networks"], load_checkpoint(path)["networks"])
    assert len(rows(tmp_path / "fold_0")) == 2
    assert "done already" in caplog.text


def test_resume_keeps_the_training_plan_of_the_checkpoint(run):
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", epochs=3, iterations=2, progress=interrupted_at(3))
    assert load_checkpoint(run("pix2pix", resume=True))["step"] == 6


def test_resume_goes_on_from_the_final_checkpoint_where_it_is_the_only_one(run, tmp_path):
    run("pix2pix")
    (tmp_path / "fold_0" / "checkpoint_latest.pth").unlink()
    assert load_checkpoint(run("pix2pix", resume=True, epochs=4))["epoch"] == 4


def test_resume_without_a_checkpoint_starts_with_a_warning(run, caplog):
    assert run("pix2pix", resume=True).exists()
    assert "no checkpoint" in caplog.text


def test_an_interrupted_new_training_leaves_the_earlier_final_checkpoint(run, tmp_path, with_training):
    before = run("pix2pix").read_bytes()
    other = with_training(seed=8)
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", plan=other, progress=interrupted_at(2))
    assert (tmp_path / "fold_0" / "checkpoint_final.pth").read_bytes() == before
    # and --continue goes on with the new one
    assert load_checkpoint(run("pix2pix", plan=other, resume=True))["training"]["seed"] == 8


def test_resume_refuses_another_training_in_one_sentence(run, plan, split, tmp_path):
    run("pix2pix")
    tiny = plan.configurations["tiny"]

    def with_tiny(**changes):
        return dataclasses.replace(plan, configurations={"tiny": dataclasses.replace(tiny, **changes)})

    coarser = dataclasses.replace(tiny.preprocessing, slice_scale=2.0)
    deeper = dataclasses.replace(tiny.input, neighbours=1)
    wider, faster = ({**tiny.methods["pix2pix"], **one} for one in ({"base_channels": 8}, {"learning_rate": 1e-3}))
    windows = {**tiny.methods["pix2pix"]["coding"], "ct_window_hu": [-1000.0, 1000.0]}
    recoded = {**tiny.methods["pix2pix"], "coding": windows}
    twice = dataclasses.replace(plan, configurations=plan.configurations | {"twice": tiny})
    cases = [
        ("cyclegan", {}, "its trainer is 'pix2pix', not 'cyclegan'"),
        ("pix2pix", {"plan": twice, "configuration": "twice"}, "its configuration is 'tiny'"),
        ("pix2pix", {"plan": with_tiny(preprocessing=coarser)}, "preprocessing.slice_scale of the plan has changed"),
        ("pix2pix", {"plan": with_tiny(input=deeper)}, "input.neighbours of the plan has changed"),
        ("pix2pix", {"plan": with_tiny(methods={"pix2pix": wider})}, "methods.pix2pix.base_channels of the plan"),
        ("pix2pix", {"plan": with_tiny(methods={"pix2pix": faster})}, "methods.pix2pix.learning_rate of the plan"),
        ("pix2pix", {"plan": with_tiny(methods={"pix2pix": recoded})}, "methods.pix2pix.coding of the plan"),
        ("pix2pix", {"split": split | {"train": PAIRED[:2]}}, "its train patients are not those"),
        ("pix2pix", {"disjoint": True}, "started without --disjoint"),
    ]
    for name, changes, message in cases:
        with pytest.raises(TrainingError, match=message) as fault:
            run(name, resume=True, **changes)
        assert "\n" not in str(fault.value)
        assert str(tmp_path / "fold_0") in str(fault.value)


def test_a_model_without_the_state_of_its_training_cannot_be_resumed(run, tmp_path):
    path = run("pix2pix")
    (tmp_path / "fold_0" / "checkpoint_latest.pth").unlink()
    content = load_checkpoint(path)
    del content["optimisers"], content["pools"]
    save_checkpoint(path, content)
    with pytest.raises(TrainingError, match="to predict with only"):
        run("pix2pix", resume=True)


def test_settings_of_the_other_methods_may_change_before_a_training_goes_on(run, plan):
    run("pix2pix", epochs=1)
    tiny = plan.configurations["tiny"]
    methods = tiny.methods | {"cyclegan": tiny.methods["cyclegan"] | {"lambda_cycle": 5.0}}
    changed = dataclasses.replace(plan, configurations={"tiny": dataclasses.replace(tiny, methods=methods)})
    assert load_checkpoint(run("pix2pix", plan=changed, epochs=2, resume=True))["epoch"] == 2


def test_changed_training_values_are_named_on_resume(run, caplog):
    run("pix2pix", epochs=2)
    run("pix2pix", epochs=4, resume=True)
    assert "another epochs_constant: 2 instead of 1" in caplog.text


class _Diverging(CycleGAN):
    """Its loss is NaN from step 6 on."""

    steps = 0

    def training_step(self, batch):
        self.steps += 1
        losses = super().training_step(batch)
        if self.steps >= 6:
            self.syn_ct.layers[1].weight.data.fill_(float("nan"))
            losses["cycle_mr"] = losses["cycle_mr"] * float("nan")
        return losses


def test_a_loss_that_is_not_finite_stops_with_its_step_and_slices_and_keeps_the_good_checkpoint(
    run, monkeypatch, tmp_path
):
    monkeypatch.setitem(TRAINERS.ours, "cyclegan", f"{__name__}:_Diverging")
    with pytest.raises(
        TrainingError, match=r"loss cycle_mr is not finite at step 6 \(MR \w+ slice \d; CT \w+ slice"
    ) as fault:
        run("cyclegan")
    assert "checkpoint_latest.pth (step 4)" in str(fault.value)
    latest = load_checkpoint(tmp_path / "fold_0" / "checkpoint_latest.pth")
    assert latest["step"] == 4
    assert all(w.isfinite().all() for network in latest["networks"].values() for w in network.values())
    assert not (tmp_path / "fold_0" / "checkpoint_final.pth").exists()


class _PoisonedAtTheEnd(CycleGAN):
    def training_step(self, batch):
        losses = super().training_step(batch)
        self.syn_mr.layers[1].weight.data.fill_(float("inf"))
        return losses


def test_a_weight_that_is_not_finite_is_never_saved(run, monkeypatch):
    monkeypatch.setitem(TRAINERS.ours, "cyclegan", f"{__name__}:_PoisonedAtTheEnd")
    with pytest.raises(TrainingError, match="weight is not finite after step 1"):
        run("cyclegan", epochs=1, iterations=1)


def test_checkpoints_are_also_written_within_an_epoch(run, monkeypatch):
    saved = []
    original = run_module.save_checkpoint
    monkeypatch.setattr(
        run_module, "save_checkpoint", lambda path, content: (saved.append(content["step"]), original(path, content))
    )
    run("pix2pix", checkpoint_minutes=0.0)
    assert set(saved) == set(range(9))


@pytest.mark.parametrize("loaders", [0, 1])
def test_the_images_of_past_steps_are_not_kept(run, monkeypatch, loaders):
    """They lie in shared memory, of which there may be little."""
    alive = []
    to_device = run_module.to_device

    def watched(batch, device):
        alive.append(weakref.ref(batch["mr"]))
        return to_device(batch, device)

    monkeypatch.setattr(run_module, "to_device", watched)

    def progress(iterable, unit="", **_):
        for one in iterable:
            assert unit != "step" or sum(reference() is not None for reference in alive) <= 2
            yield one

    run("pix2pix", loaders=loaders, progress=progress, epochs=1, iterations=20)
    assert len(alive) == 20


def test_an_epoch_is_as_long_as_the_larger_domain(run, with_training, tmp_path):
    plan = with_training(iterations_per_epoch=None, epochs_decay=0)
    run("cyclegan", plan=plan)
    assert [row["step"] for row in rows(tmp_path / "fold_0")] == ["24"]  # 4 patients with 6 slices


def test_without_held_out_pairs_the_validation_column_is_empty(figures, run, tmp_path):
    run("cyclegan", split={"train": PAIRED[:2], "val": []})
    assert [row["val_mae_hu"] for row in rows(tmp_path / "fold_0")] == ["", ""]
    assert (tmp_path / "fold_0" / "progress.png").stat().st_size > 10_000


def test_disjoint_training_runs_and_says_how_many_patients_give_what(run, caplog):
    caplog.set_level(logging.INFO, "synthct")
    run("cyclegan", disjoint=True)
    assert "slices: 12 MR of 2 patients, 18 CT of 3 patients" in caplog.text or (
        "slices: 18 MR of 3 patients, 12 CT of 2 patients" in caplog.text
    )


def test_errors_at_the_start_write_nothing(run, split, with_training, tmp_path):
    for name, changes in (
        ("nothing", {}),
        ("cyclegan", {"configuration": "3d"}),
        ("cyclegan", {"split": split | {"train": ["NOBODY"]}}),
        ("pix2pix", {"disjoint": True}),
        ("cyclegan", {"plan": with_training(crop_size=(16, 16))}),
    ):
        with pytest.raises(SynthctError):
            run(name, **changes)
    assert not (tmp_path / "fold_0").exists()


def test_a_stopped_training_leaves_the_earlier_model_its_own_split(run, split, tmp_path):
    run("cyclegan", epochs=1, iterations=2)
    other = {"train": split["train"][1:], "val": split["train"][:1]}
    with pytest.raises(KeyboardInterrupt):
        run("cyclegan", split=other, epochs=1, iterations=5, progress=interrupted_at(2))
    assert read_json(tmp_path / "fold_0" / "split.json") == split
    assert load_checkpoint(tmp_path / "fold_0" / "checkpoint_final.pth")["split"] == split


def test_continuing_with_another_number_of_epochs_keeps_the_iterations_it_was_started_with(run):
    run("pix2pix", epochs=1, iterations=3)
    path = run("pix2pix", resume=True, epochs=2)
    assert load_checkpoint(path)["step"] == 6


def test_continuing_with_fewer_epochs_than_are_done_changes_nothing(run):
    path = run("pix2pix", epochs=2, iterations=2)
    before = path.read_bytes()
    assert run("pix2pix", resume=True, epochs=1) == path
    assert path.read_bytes() == before
