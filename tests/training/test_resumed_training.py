"""A training that was stopped goes on as if it had not been, bit for bit; another one is refused."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing

import pytest
from same_training import assert_same_result, equal, rows
from tiny_training import PAIRED, interrupted_at

from synthct.errors import TrainingError
from synthct.files import read_json
from synthct.plugins import TRAINERS
from synthct.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("no_figures")
trainers = pytest.mark.parametrize("name", list(TRAINERS.ours))


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
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


def test_a_training_stopped_within_an_epoch_can_be_ended_there_by_asking_for_fewer_epochs(run):
    with pytest.raises(KeyboardInterrupt):
        run("pix2pix", progress=interrupted_at(6))
    assert load_checkpoint(run("pix2pix", resume=True, epochs=1))["step"] == 6


def test_a_finished_training_goes_on_when_epochs_are_added(run, tmp_path, with_training):
    constant = with_training(epochs_constant=1, epochs_decay=0)
    run("cyclegan", "grown", plan=constant)
    assert len(rows(tmp_path / "grown")) == 1
    run("cyclegan", "grown", plan=constant, epochs=3, resume=True)
    run("cyclegan", "whole", plan=constant, epochs=3)
    assert_same_result(tmp_path / "whole", tmp_path / "grown")


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
    wider, faster = (
        {**tiny.methods["pix2pix"], **changed} for changed in ({"base_channels": 8}, {"learning_rate": 1e-3})
    )
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
    ]
    for name, changes, message in cases:
        with pytest.raises(TrainingError, match=message) as fault:
            run(name, resume=True, **changes)
        assert "\n" not in str(fault.value)
        assert str(tmp_path / "fold_0") in str(fault.value)


def test_a_training_is_not_resumed_on_other_pairs_of_patients(run, tmp_path):
    run("cyclegan")
    with pytest.raises(TrainingError, match="started without --disjoint") as fault:
        run("cyclegan", resume=True, disjoint=True)
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
