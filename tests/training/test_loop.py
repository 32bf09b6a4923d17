"""The loop: what it writes, and when it stops."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import weakref

import pytest
import torch
from same_training import assert_same_result, rows
from tiny_training import PAIRED, interrupted_at

import synthct
from synthct.errors import SynthctError, TrainingError
from synthct.files import read_json
from synthct.plugins import TRAINERS
from synthct.training import run as run_module
from synthct.training.checkpoint import load_checkpoint
from synthct.training.cyclegan import CycleGAN

pytestmark = pytest.mark.usefixtures("no_figures")
trainers = pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])


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
    assert_same_result(tmp_path / "one", tmp_path / "two")
    assert rows(tmp_path / "one") != rows(tmp_path / "other")


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
    """Fifty batches of them would be kept."""
    alive = []
    to_device = run_module.to_device

    def watched(batch, device):
        alive.append(weakref.ref(batch["mr"]))
        return to_device(batch, device)

    monkeypatch.setattr(run_module, "to_device", watched)

    def progress(iterable, unit="", **_):
        for item in iterable:
            assert unit != "step" or sum(reference() is not None for reference in alive) <= 2
            yield item

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
        ("cyclegan", {"configuration": "4d"}),
        ("cyclegan", {"split": split | {"train": ["ABSENT"]}}),
        ("pix2pix", {"disjoint": True}),
        ("cyclegan", {"plan": with_training(crop_size=(16, 16))}),
    ):
        with pytest.raises(SynthctError):
            run(name, **changes)
    assert not (tmp_path / "fold_0").exists()
