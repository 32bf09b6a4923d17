"""What is particular to the trainer ``unet_unpaired``: its rounds, and that each goes on exactly after a stop."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from same_training import assert_same_result, rows
from tiny_training import TRAIN, interrupted_at, make_configuration, make_stack, make_trainer

from synthct.planning.plan import InputPlan
from synthct.preprocessing.slice_reader import SliceReader
from synthct.preprocessing.slice_stack import OUTSIDE
from synthct.training import pseudo_pairs as pseudo_pairs_module
from synthct.training import run as run_module
from synthct.training.checkpoint import load_checkpoint
from synthct.training.unet import LATER_ROUNDS
from synthct.training.unet_unpaired import UNetUnpaired

pytestmark = pytest.mark.usefixtures("no_figures")
ROUND_2_MADE = "Deforming CTs"  # the display that shows it


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """Names of the folders in which pseudo-pairs are made, not taken as they are."""
    folders = []
    for name in ("_write_group", "_write_deformed"):
        original = getattr(pseudo_pairs_module, name)

        def noted(what, second, folder, *others, original=original):
            folders.append(folder.name)
            return original(what, second, folder, *others)

        monkeypatch.setattr(pseudo_pairs_module, name, noted)
    return folders


def stopped_while(shown: str):
    """A progress display that sends Ctrl-C before the second item of a work of that name."""

    def progress(iterable, desc="", **_):
        for i, item in enumerate(iterable):
            if desc == shown and i == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield item

    return progress


@pytest.mark.parametrize(
    ("rounds", "epochs", "first"), [(1, 9, [0]), (2, 9, [0, 4]), (3, 9, [0, 3, 6]), (3, 2, [0, 1]), (2, 1, [0])]
)
def test_rounds_are_of_equal_length_and_at_least_an_epoch(rounds, epochs, first):
    assert make_trainer("unet_unpaired", rounds=rounds).rounds(epochs) == first


def test_a_later_round_begins_with_a_lower_rate_and_falls_to_zero_as_the_first():
    trainer = make_trainer("unet_unpaired", make_configuration(epochs_constant=4, epochs_decay=0), rounds=2)
    factors = [trainer.learning_rate_factor(step // 25, step, 100) for step in range(100)]
    assert factors[50:] == pytest.approx([LATER_ROUNDS * factor for factor in factors[:50]])
    assert 0 < factors[49] < 0.01 and max(factors) > 0.99
    # a training that goes on with fewer steps an epoch may be beyond their end
    assert trainer.learning_rate_factor(4, 120, 100) >= 0


def test_one_round_has_the_rate_of_unet():
    one_round, unet = make_trainer("unet_unpaired", rounds=1), make_trainer("unet")
    for step in (0, 3, 50, 99):
        assert one_round.learning_rate_factor(0, step, 100) == unet.learning_rate_factor(0, step, 100)


def test_each_round_draws_from_its_own_pseudo_pairs(run, monkeypatch, tmp_path):
    drawn = []
    slices = SliceReader.ct_slice

    def noted(self, i):
        drawn.append(self.path.parent.relative_to(tmp_path).as_posix())
        return slices(self, i)

    monkeypatch.setattr(SliceReader, "ct_slice", noted)
    monkeypatch.setattr(run_module.Validation, "read", lambda *_: run_module.Validation([], None, None))
    run("unet_unpaired", epochs=2, split={"train": TRAIN, "val": []})
    assert [folder for folder, _ in itertools.groupby(drawn)] == [
        "fold_0/pseudo_pairs/0",
        "fold_0/pseudo_pairs/1",
    ]


def test_nothing_is_left_of_the_pseudo_pairs(run, tmp_path):
    run("unet_unpaired", epochs=2)
    assert not (tmp_path / "fold_0" / "pseudo_pairs").exists()


def test_a_complete_training_makes_none_when_it_is_resumed(run, made, tmp_path):
    path = run("unet_unpaired", epochs=2)
    before = list(made)
    assert run("unet_unpaired", epochs=2, resume=True) == path
    assert made == before and not (tmp_path / "fold_0" / "pseudo_pairs").exists()


def test_stopped_within_a_later_round_takes_its_pseudo_pairs_as_they_are(run, made, tmp_path):
    run("unet_unpaired", "whole")
    with pytest.raises(KeyboardInterrupt):
        run("unet_unpaired", "stopped", progress=interrupted_at(6))
    before = list(made)
    run("unet_unpaired", "stopped", resume=True)
    assert made == before
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("lost", [False, True])
def test_stopped_between_rounds_the_next_is_made_by_the_weights_of_then(run, lost, tmp_path, caplog):
    caplog.set_level(logging.INFO, "synthct")
    run("unet_unpaired", "whole")
    with pytest.raises(KeyboardInterrupt):
        run("unet_unpaired", "stopped", progress=stopped_while(ROUND_2_MADE))
    assert "Stopped between two rounds" in caplog.text
    folder = tmp_path / "stopped"
    checkpoint = load_checkpoint(folder / "checkpoint_latest.pth")
    assert (checkpoint["epoch"], checkpoint["step"], len(rows(folder))) == (1, 4, 1)
    assert not (folder / "pseudo_pairs" / "1" / "made_slices.json").exists()
    assert len(list((folder / "pseudo_pairs" / "1").glob("*.npz"))) > 0
    if lost:
        shutil.rmtree(folder / "pseudo_pairs")  # all are made again
    run("unet_unpaired", "stopped", resume=True)
    assert_same_result(tmp_path / "whole", folder)


def test_the_first_rounds_number_of_steps_holds_in_every_round_and_when_it_is_resumed(
    run, with_training, monkeypatch, tmp_path
):
    plan = with_training(iterations_per_epoch=None)
    run("unet_unpaired", "whole", plan=plan)
    steps = [int(row["step"]) for row in rows(tmp_path / "whole")]
    assert steps[1] == 2 * steps[0]
    with pytest.raises(KeyboardInterrupt):
        run("unet_unpaired", "stopped", plan=plan, progress=interrupted_at(steps[0] + 2))
    original = UNetUnpaired.training_slices

    def fewer(self, *arguments):
        """As where a later round's slices show less of a head that is known in both."""
        folder, names = original(self, *arguments)
        return folder, names[:-1]

    monkeypatch.setattr(UNetUnpaired, "training_slices", fewer)
    run("unet_unpaired", "stopped", plan=plan, resume=True)
    assert [int(row["step"]) for row in rows(tmp_path / "stopped")] == steps


def test_a_new_training_takes_no_later_round_of_an_earlier_one(run, made, with_training, tmp_path):
    """Which other weights have made; those of the first round are the same."""
    with pytest.raises(KeyboardInterrupt):
        run("unet_unpaired", progress=interrupted_at(6))
    del made[:]
    run("unet_unpaired")
    assert made == ["1"]


def test_the_sct_lies_on_its_stack_in_whatever_plane_slices_are_seen():
    stack = make_stack("PAIR", 0)
    inside = stack.mr[0] != OUTSIDE
    scts = []
    for plane in ("sagittal", "axial"):
        configuration = replace(make_configuration(), input=InputPlan(plane, neighbours=0, mr_channels=1))
        trainer = make_trainer("unet_unpaired", configuration)
        for network in trainer.networks.values():
            network.forward = lambda mr: (mr > 0.5).float()  # what is bright in the MR
        scts.append(trainer.stack_sct_hu(stack))
        assert scts[-1].shape == inside.shape
    assert np.array_equal(scts[0][:, 2:-2][inside[:, 2:-2]], scts[1][:, 2:-2][inside[:, 2:-2]])
