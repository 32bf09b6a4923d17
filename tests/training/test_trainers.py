"""One check-suite over every trainer, and what is particular to each."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from tiny_training import make_configuration, make_trainer

import synthct
from synthct import plugins
from synthct.errors import TrainingError
from synthct.plugins import TRAINERS
from synthct.training.cyclegan import CycleGAN
from synthct.training.losses import cycle_loss, synthesis_loss
from synthct.training.optimisers import frozen
from synthct.training.pix2pix import Pix2Pix
from synthct.training.trainer import Trainer

every_trainer = pytest.mark.parametrize("name", list(TRAINERS.ours))
# Losses that say how far a method is; "l1" where none are named.
FALLING = {
    "cyclegan": ("cycle_mr", "cycle_ct"),
    "cyclegan_nce": ("cycle_mr", "cycle_ct"),
    "nie2017": ("voxel", "gradient"),
    "dualgan": ("reconstruction_mr", "reconstruction_ct"),
}
LINEAR = ("unet", "unet_unpaired", "unet3d", "han2017", "nie2017")  # their output has no bounds
every_gan = pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])


def weights(trainer: Trainer) -> dict[str, list[torch.Tensor]]:
    return {name: [p.detach().clone() for p in network.parameters()] for name, network in trainer.networks.items()}


def moved(before, after) -> dict[str, bool]:
    return {name: any(not torch.equal(a, b) for a, b in zip(before[name], after[name])) for name in before}


@every_trainer
def test_step_updates_every_network_and_returns_detached_finite_losses(name, batch):
    trainer = make_trainer(name)
    before = weights(trainer)
    losses = trainer.training_step(batch)
    assert all(moved(before, weights(trainer)).values())
    assert all(loss.ndim == 0 and loss.isfinite() and not loss.requires_grad for loss in losses.values())
    learning = [network for name, network in trainer.networks.items() if name not in trainer.averages]
    assert all(p.requires_grad for network in learning for p in network.parameters())


@every_trainer
def test_same_seed_same_weights_other_seed_others(name):
    first, same, other = (make_trainer(name, seed=seed) for seed in (3, 3, 4))
    assert not any(moved(weights(first), weights(same)).values())
    assert all(moved(weights(first), weights(other)).values())


@every_gan
@pytest.mark.parametrize("optimiser", ["synthesis", "discrimination"])
def test_each_optimiser_moves_only_its_networks_and_no_gradient_leaks(name, optimiser, batch):
    trainer = make_trainer(name)
    trainer.optimisers[optimiser].step = lambda: None
    before = weights(trainer)
    trainer.training_step(batch)
    still = "syn" if optimiser == "synthesis" else "dis"
    assert moved(before, weights(trainer)) == {network: not network.startswith(still) for network in trainer.networks}


@every_gan
def test_discriminators_get_no_gradient_from_the_generator_step_and_vice_versa(name, batch):
    trainer = make_trainer(name)
    seen: dict[str, dict[str, list]] = {}  # gradients of all networks at each update, in the order of updates
    for update, optimiser in trainer.optimisers.items():

        def look(update=update):
            seen[update] = {
                network_name: [None if p.grad is None else p.grad.clone() for p in network.parameters()]
                for network_name, network in trainer.networks.items()
            }

        optimiser.step = look
    trainer.training_step(batch)
    first, second = seen
    # pix2pix in the order of Isola et al. 2017, CycleGAN in that of Zhu et al. 2017.
    assert first == {"pix2pix": "discrimination", "cyclegan": "synthesis"}[name]
    learns_first = {"synthesis": "syn", "discrimination": "dis"}[first]
    for network in trainer.networks:
        if network.startswith(learns_first):  # what the first update left is untouched by the second
            pairs = zip(seen[first][network], seen[second][network], strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
        else:
            assert all(gradient is None for gradient in seen[first][network])
            assert any(gradient.abs().max() > 0 for gradient in seen[second][network])


@every_trainer
def test_all_air_slices_give_no_nan(name):
    trainer = make_trainer(name)
    air = torch.full((1, 1, 32, 32), -1.0)
    for _ in range(6):
        losses = trainer.training_step(
            {"mr": air, "ct": air, "known": torch.ones_like(air), "head": torch.ones_like(air)}
        )
        assert all(loss.isfinite() for loss in losses.values())
    assert trainer.is_finite()


@every_trainer
def test_training_lowers_the_loss_on_a_toy_problem(name, batch):
    trainer = make_trainer(name, learning_rate=4e-3)
    losses = FALLING.get(name, ("l1",))
    history = [sum(trainer.training_step(batch)[loss].item() for loss in losses) for _ in range(60)]
    assert sum(history[-5:]) < 0.5 * sum(history[:5])


@every_trainer
def test_the_sct_is_the_generators_without_gradient(name, batch):
    trainer = make_trainer(name)
    sct = trainer.sct_of(batch["mr"])
    assert sct.shape == (1, 1, 32, 32)
    assert sct.dtype == torch.float32
    assert not sct.requires_grad
    assert name in LINEAR or sct.abs().max() <= 1
    torch.testing.assert_close(sct.clone(), trainer.networks["syn_ct"].eval()(batch["mr"]).detach())


@every_trainer
def test_state_round_trip_goes_on_identically(name, batch):
    trainer = make_trainer(name)
    for _ in range(5):
        trainer.training_step(batch)
    other = make_trainer(name, seed=99)
    other.load_state_dict(copy.deepcopy(trainer.state_dict()))
    for _ in range(4):
        expected, found = trainer.training_step(batch), other.training_step(batch)
        assert all(torch.equal(expected[loss], found[loss]) for loss in expected)
    assert not any(moved(weights(trainer), weights(other)).values())
    assert torch.equal(trainer.sct_of(batch["mr"]), other.sct_of(batch["mr"]))


@every_trainer
def test_several_mr_channels_make_one_ct(name):
    trainer = make_trainer(name, make_configuration(mr_channels=2))
    mr, ct = torch.rand(1, 2, 32, 32), torch.rand(1, 1, 32, 32)
    losses = trainer.training_step({"mr": mr, "ct": ct, "known": torch.ones_like(ct), "head": torch.ones_like(ct)})
    assert all(loss.isfinite() for loss in losses.values())
    assert trainer.sct_of(mr).shape == (1, 1, 32, 32)


def test_cyclegan_losses_are_those_of_section_3(batch):
    trainer = make_trainer("cyclegan")
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
    trainer = make_trainer("cyclegan", lambda_cycle=3.0, lambda_identity=0.5)
    trainer.optimisers["synthesis"].step = lambda: None
    twin = make_trainer("cyclegan")
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
        make_trainer("cyclegan", make_configuration(mr_channels=2), lambda_identity=0.5)


def test_pix2pix_learns_nothing_where_the_ct_is_unknown(batch):
    left = torch.ones_like(batch["ct"])
    left[..., 16:] = 0
    step = []
    for unknown in (-1.0, 1.0):  # whatever stands there in the reference
        trainer = make_trainer("pix2pix")
        ct = torch.where(left > 0, batch["ct"], torch.tensor(unknown))
        step.append(trainer.training_step({"mr": batch["mr"], "ct": ct, "known": left})["l1"])
    assert torch.equal(*step)
    trainer = make_trainer("pix2pix")
    losses = trainer.training_step(batch | {"known": torch.zeros_like(left)})
    assert losses["l1"] == 0
    assert all(p.grad.abs().max() == 0 for p in trainer.syn_ct.parameters())


def test_precision_is_the_plans_or_chosen_with_a_reason():
    assert make_trainer("cyclegan", make_configuration(precision="bfloat16")).precision == "bfloat16"
    chosen = make_trainer("cyclegan", make_configuration(precision="auto"))
    assert chosen.precision == "float32"
    assert chosen.precision_reason


def test_registry_finds_ours_and_names_all_when_it_does_not():
    assert TRAINERS.load("cyclegan") is CycleGAN
    assert TRAINERS.load("pix2pix") is Pix2Pix
    assert TRAINERS.package_of("pix2pix") == f"synthct {synthct.__version__}"
    with pytest.raises(TrainingError, match="'cyclegam'.*cyclegan, pix2pix"):
        TRAINERS.load("cyclegam")


class _Elsewhere(Pix2Pix):
    """A trainer of another package."""


def test_registry_reads_entry_points_of_other_packages(monkeypatch):
    class Point:
        def __init__(self, name, value, loaded):
            self.name, self.value, self.loaded = name, value, loaded
            self.dist = SimpleNamespace(name="package", version="0.1")

        def load(self):
            if isinstance(self.loaded, Exception):
                raise self.loaded
            return self.loaded

    points = [
        Point("elsewhere", "package:Elsewhere", _Elsewhere),
        Point("broken", "package:Broken", ImportError("no such module")),
        Point("function", "package:function", print),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "synthct.trainers" else [])
    assert TRAINERS.load("elsewhere") is _Elsewhere
    assert TRAINERS.package_of("elsewhere") == "package 0.1"
    assert TRAINERS.names() == [*TRAINERS.ours, "broken", "elsewhere", "function"]
    with pytest.raises(TrainingError, match="'broken'.*package:Broken.*no such module"):
        TRAINERS.load("broken")
    with pytest.raises(TrainingError, match="'function'.*package:function.*synthct.training.trainer.Trainer"):
        TRAINERS.load("function")
