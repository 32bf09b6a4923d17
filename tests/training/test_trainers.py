"""One check-suite over every trainer, and what is particular to each."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_training import make_configuration

from synthct.errors import TrainingError
from synthct.training import registry
from synthct.training.cyclegan import CycleGAN
from synthct.training.losses import cycle_loss, synthesis_loss
from synthct.training.pix2pix import Pix2Pix
from synthct.training.registry import TRAINERS, find_trainer, trainer_names
from synthct.training.trainer import Trainer, frozen

every_trainer = pytest.mark.parametrize("trainer_class", list(TRAINERS.values()))


def weights(trainer: Trainer) -> dict[str, list[torch.Tensor]]:
    return {name: [p.detach().clone() for p in network.parameters()] for name, network in trainer.networks.items()}


def moved(before, after) -> dict[str, bool]:
    return {name: any(not torch.equal(a, b) for a, b in zip(before[name], after[name])) for name in before}


@every_trainer
def test_step_updates_every_network_and_returns_detached_finite_losses(trainer_class, batch):
    trainer = trainer_class(make_configuration(), "cpu")
    before = weights(trainer)
    losses = trainer.training_step(batch)
    assert all(moved(before, weights(trainer)).values())
    assert all(loss.ndim == 0 and loss.isfinite() and not loss.requires_grad for loss in losses.values())
    assert all(p.requires_grad for network in trainer.networks.values() for p in network.parameters())


@every_trainer
def test_same_seed_same_weights_other_seed_others(trainer_class):
    one, same, other = (trainer_class(make_configuration(), "cpu", seed) for seed in (3, 3, 4))
    assert not any(moved(weights(one), weights(same)).values())
    assert all(moved(weights(one), weights(other)).values())


@every_trainer
@pytest.mark.parametrize("optimiser", ["synthesis", "discrimination"])
def test_each_optimiser_moves_only_its_networks_and_no_gradient_leaks(trainer_class, optimiser, batch):
    trainer = trainer_class(make_configuration(), "cpu")
    trainer.optimisers[optimiser].step = lambda: None
    before = weights(trainer)
    trainer.training_step(batch)
    still = "syn" if optimiser == "synthesis" else "dis"
    assert moved(before, weights(trainer)) == {name: not name.startswith(still) for name in trainer.networks}


@every_trainer
def test_discriminators_get_no_gradient_from_the_generator_step_and_vice_versa(trainer_class, batch):
    trainer = trainer_class(make_configuration(), "cpu")
    seen: dict[str, dict[str, list]] = {}
    for name, optimiser in trainer.optimisers.items():

        def look(name=name):
            seen[name] = {
                network_name: [None if p.grad is None else p.grad.clone() for p in network.parameters()]
                for network_name, network in trainer.networks.items()
            }

        optimiser.step = look
    trainer.training_step(batch)
    for network in trainer.networks:
        if network.startswith("dis"):
            assert all(g is None for g in seen["synthesis"][network])
        else:  # what the generator step left is untouched by the discriminators' step
            pairs = zip(seen["synthesis"][network], seen["discrimination"][network])
            assert all(torch.equal(a, b) for a, b in pairs)


@every_trainer
def test_all_air_slices_give_no_nan(trainer_class):
    trainer = trainer_class(make_configuration(), "cpu")
    air = torch.full((1, 1, 32, 32), -1.0)
    for _ in range(6):
        losses = trainer.training_step({"mr": air, "ct": air, "known": torch.ones_like(air)})
        assert all(loss.isfinite() for loss in losses.values())
    assert trainer.is_finite()


@every_trainer
def test_training_lowers_the_loss_on_a_toy_problem(trainer_class, batch):
    trainer = trainer_class(make_configuration(learning_rate=4e-3), "cpu")
    names = ("cycle_mr", "cycle_ct") if trainer_class is CycleGAN else ("l1",)
    history = [sum(trainer.training_step(batch)[name].item() for name in names) for _ in range(60)]
    assert sum(history[-5:]) < 0.5 * sum(history[:5])


@every_trainer
def test_synthesize_is_the_generator_without_gradient(trainer_class, batch):
    trainer = trainer_class(make_configuration(), "cpu")
    sct = trainer.synthesize(batch["mr"])
    assert sct.shape == (1, 1, 32, 32)
    assert sct.dtype == torch.float32
    assert not sct.requires_grad
    assert sct.abs().max() <= 1
    torch.testing.assert_close(sct.clone(), trainer.networks["syn_ct"](batch["mr"]).detach())


@every_trainer
def test_state_round_trip_goes_on_identically(trainer_class, batch):
    trainer = trainer_class(make_configuration(), "cpu")
    for _ in range(5):
        trainer.training_step(batch)
    other = trainer_class(make_configuration(), "cpu", seed=99)
    other.load_state_dict(copy.deepcopy(trainer.state_dict()))
    for _ in range(4):
        expected, found = trainer.training_step(batch), other.training_step(batch)
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert not any(moved(weights(trainer), weights(other)).values())


@every_trainer
def test_several_mr_channels_make_one_ct(trainer_class):
    trainer = trainer_class(make_configuration(mr_channels=2), "cpu")
    mr, ct = torch.rand(1, 2, 32, 32), torch.rand(1, 1, 32, 32)
    losses = trainer.training_step({"mr": mr, "ct": ct, "known": torch.ones_like(ct)})
    assert all(loss.isfinite() for loss in losses.values())
    assert trainer.synthesize(mr).shape == (1, 1, 32, 32)


def test_cyclegan_losses_are_those_of_section_3(batch):
    trainer = CycleGAN(make_configuration(), "cpu")
    syn_ct, syn_mr, dis_ct = (copy.deepcopy(trainer.networks[name]) for name in ("syn_ct", "syn_mr", "dis_ct"))
    losses = trainer.training_step(batch)
    with torch.no_grad():
        mr, ct = batch["mr"], batch["ct"]
        torch.testing.assert_close(losses["syn_ct"], ((1 - dis_ct(syn_ct(mr))) ** 2).mean())
        torch.testing.assert_close(losses["cycle_mr"], (syn_mr(syn_ct(mr)) - mr).abs().mean())
        torch.testing.assert_close(losses["cycle_ct"], (syn_ct(syn_mr(ct)) - ct).abs().mean())
        # the pool is new, so DisCT saw the sCT of this step
        expected = 0.5 * (((1 - dis_ct(ct)) ** 2).mean() + (dis_ct(syn_ct(mr)) ** 2).mean())
        torch.testing.assert_close(losses["dis_ct"], expected)


def test_cyclegan_gradient_is_that_of_the_weighted_sum(batch):
    trainer = CycleGAN(make_configuration(lambda_cycle=3.0, lambda_identity=0.5), "cpu")
    trainer.optimisers["synthesis"].step = lambda: None
    twin = CycleGAN(make_configuration(), "cpu")
    losses = trainer.training_step(batch)
    mr, ct = batch["mr"], batch["ct"]
    with frozen(twin.dis_ct, twin.dis_mr):
        sct, smr = twin.syn_ct(mr), twin.syn_mr(ct)
        loss = synthesis_loss(twin.dis_ct(sct)) + synthesis_loss(twin.dis_mr(smr))
        loss = loss + 3.0 * (cycle_loss(twin.syn_mr(sct), mr) + cycle_loss(twin.syn_ct(smr), ct))
        loss = loss + 1.5 * (cycle_loss(twin.syn_ct(ct), ct) + cycle_loss(twin.syn_mr(mr), mr))
        loss.backward()
    assert "identity" in losses
    for name in ("syn_ct", "syn_mr"):
        for p, q in zip(trainer.networks[name].parameters(), twin.networks[name].parameters()):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-6)


def test_identity_needs_equal_channels():
    with pytest.raises(TrainingError, match="one MR channel, not 2.*lambda_identity"):
        CycleGAN(make_configuration(mr_channels=2, lambda_identity=0.5), "cpu")


def test_pix2pix_learns_nothing_where_the_ct_is_unknown(batch):
    left = torch.ones_like(batch["ct"])
    left[..., 16:] = 0
    step = []
    for unknown in (-1.0, 1.0):  # whatever stands there in the reference
        trainer = Pix2Pix(make_configuration(), "cpu")
        ct = torch.where(left > 0, batch["ct"], torch.tensor(unknown))
        step.append(trainer.training_step({"mr": batch["mr"], "ct": ct, "known": left})["l1"])
    assert torch.equal(*step)
    trainer = Pix2Pix(make_configuration(), "cpu")
    losses = trainer.training_step(batch | {"known": torch.zeros_like(left)})
    assert losses["l1"] == 0
    assert all(p.grad.abs().max() == 0 for p in trainer.syn_ct.parameters())


def test_precision_is_the_plans_or_chosen_with_a_reason():
    assert CycleGAN(make_configuration(precision="bfloat16"), "cpu").precision == "bfloat16"
    chosen = CycleGAN(make_configuration(precision="auto"), "cpu")
    assert chosen.precision == "float32"
    assert chosen.precision_reason


def test_registry_finds_ours_and_names_all_when_it_does_not():
    assert find_trainer("cyclegan") is CycleGAN
    assert find_trainer("pix2pix") is Pix2Pix
    with pytest.raises(TrainingError, match="no trainer 'cyclegam'; there are cyclegan, pix2pix"):
        find_trainer("cyclegam")


class _Elsewhere(Pix2Pix):
    """A trainer of another package."""


def test_registry_reads_entry_points_of_other_packages(monkeypatch):
    class Point:
        def __init__(self, name, value, loaded):
            self.name, self.value, self.loaded = name, value, loaded

        def load(self):
            if isinstance(self.loaded, Exception):
                raise self.loaded
            return self.loaded

    points = [
        Point("elsewhere", "package:Elsewhere", _Elsewhere),
        Point("broken", "package:Broken", ImportError("no such module")),
        Point("function", "package:function", print),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "synthct.trainers" else [])
    assert find_trainer("elsewhere") is _Elsewhere
    assert trainer_names() == ["cyclegan", "pix2pix", "broken", "elsewhere", "function"]
    with pytest.raises(TrainingError, match="'broken'.*cannot be imported: no such module"):
        find_trainer("broken")
    with pytest.raises(TrainingError, match="'function'.*is no synthct"):
        find_trainer("function")
