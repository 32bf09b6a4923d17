"""What is particular to the trainer ``han2017``: its plan, its loss, and its batch norm."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_training import make_configuration, make_settings, make_trainer
from torch import distributed

from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.training.checkpoint import load_checkpoint
from synthct.training.distributed import Ranks
from synthct.training.han2017 import Han2017, Han2017Settings

pytestmark = pytest.mark.usefixtures("no_figures")


def test_the_full_size_is_hans_and_the_small_one_narrower():
    full = reference_configuration(1)
    small, _ = low_resolution(full)
    assert Han2017.plan_settings(full, None).settings.base_channels == 64
    assert Han2017.plan_settings(small, None).settings.base_channels == round(64 * small.network_width) < 64


def test_the_loss_is_the_mean_absolute_difference_where_the_ct_is_known(batch):
    known = torch.ones_like(batch["ct"])
    known[..., 20:, :] = 0
    twin = make_trainer("han2017").networks["syn_ct"]
    expected = (twin(batch["mr"]) - batch["ct"]).abs()[known > 0].mean()
    for unknown in (-1.0, 3.0):  # whatever stands there in the reference
        ct = torch.where(known > 0, batch["ct"], torch.tensor(unknown))
        l1 = make_trainer("han2017").training_step(batch | {"ct": ct, "known": known})["l1"]
        torch.testing.assert_close(l1, expected.detach())


def test_a_prediction_takes_the_running_statistics_and_leaves_them(batch):
    trainer = make_trainer("han2017")
    for _ in range(3):
        trainer.training_step(batch)
    network = trainer.networks["syn_ct"]
    before = {name: value.clone() for name, value in network.named_buffers()}
    alone = trainer.sct_of(batch["mr"])
    together = trainer.sct_of(torch.cat((batch["mr"], 3 * batch["mr"])))
    torch.testing.assert_close(together[:1], alone)  # statistics of the batch would differ
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert network.training


def test_running_statistics_are_part_of_a_model(run):
    weights = load_checkpoint(run("han2017"))["networks"]["syn_ct"]
    means = [value for name, value in weights.items() if name.endswith("running_mean")]
    assert len(means) == 26
    assert all(mean.abs().max() > 0 for mean in means)


def test_running_statistics_are_the_mean_of_those_of_all_ranks(batch, monkeypatch):
    alone, together = make_trainer("han2017"), make_trainer("han2017")
    together.ranks = Ranks(0, 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda message: None)  # the other rank's are all 0
    for trainer in (alone, together):
        trainer.training_step(batch)
    for expected, found in zip(alone.syn_ct.buffers(), together.syn_ct.buffers(), strict=True):
        assert torch.equal(found, expected / 2 if expected.is_floating_point() else expected)


def test_its_batches_are_those_of_its_settings():
    training = make_configuration().training
    settings = dataclasses.replace(make_settings("han2017"), batch_size=3)
    assert Han2017.training_plan(training, settings) == dataclasses.replace(training, batch_size=3)


@pytest.mark.parametrize(("key", "value"), [("base_channels", 0), ("batch_size", 0), ("learning_rate", 0.0)])
def test_a_setting_out_of_range_names_itself(key, value):
    with pytest.raises(ValueError, match=key):
        Han2017Settings(**{key: value})
