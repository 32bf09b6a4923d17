"""What is particular to the trainer ``dualgan``: its losses, its critics' weights and its noise."""

from __future__ import annotations

import copy

import pytest
import torch
from same_training import assert_same_result
from tiny_training import interrupted_at, make_configuration, make_plan, make_settings, make_trainer

from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.training.distributed import Ranks
from synthct.training.dualgan import DualGAN, DualGANSettings

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def trainer() -> DualGAN:
    return make_trainer("dualgan")


def without_noise(trainer: DualGAN) -> DualGAN:
    """The generators as in a prediction."""
    for network in (trainer.syn_ct, trainer.syn_mr):
        network.eval()
    return trainer


def test_the_critics_weights_are_clipped_after_each_of_their_updates(batch, monkeypatch):
    trainer = make_trainer("dualgan", n_critic=4, weight_clip=0.015)
    order = []
    clip = trainer.clip_weights

    def clipped() -> None:
        clip()
        weights = [weight for critic in (trainer.dis_ct, trainer.dis_mr) for weight in critic.parameters()]
        assert all(weight.abs().max() <= 0.015 for weight in weights)
        order.append("clip")

    monkeypatch.setattr(trainer, "clip_weights", clipped)
    for name, optimiser in trainer.optimisers.items():
        monkeypatch.setattr(optimiser, "step", lambda name=name: order.append(name))
    trainer.training_step(batch)
    assert order == ["discrimination", "clip"] * 4 + ["synthesis"]


def test_the_generators_weights_are_not_clipped(trainer, batch):
    trainer.training_step(batch)
    assert max(weight.abs().max() for weight in trainer.syn_ct.parameters()) > 0.05


def test_the_losses_are_those_of_equations_1_to_3(batch):
    trainer = without_noise(make_trainer("dualgan", n_critic=1, lambda_mr=200.0, lambda_ct=300.0))
    for optimiser in trainer.optimisers.values():
        optimiser.step = lambda: None
    syn_ct, syn_mr, dis_ct, dis_mr = (copy.deepcopy(network) for network in trainer.networks.values())
    losses = trainer.training_step(batch)
    for critic, clipped in ((dis_ct, trainer.dis_ct), (dis_mr, trainer.dis_mr)):
        before = critic.state_dict()
        assert all(torch.equal(w.clamp(-0.01, 0.01), clipped.state_dict()[name]) for name, w in before.items())
    mr, ct = batch["mr"], batch["ct"]
    sct, smr = syn_ct(mr), syn_mr(ct)
    torch.testing.assert_close(losses["dis_ct"], (dis_ct(sct).mean() - dis_ct(ct).mean()).detach())  # eq. 1
    torch.testing.assert_close(losses["dis_mr"], (dis_mr(smr).mean() - dis_mr(mr).mean()).detach())  # eq. 2
    dis_ct, dis_mr = trainer.dis_ct, trainer.dis_mr
    loss = 200 * (syn_mr(sct) - mr).abs().mean() + 300 * (syn_ct(smr) - ct).abs().mean()
    (loss - dis_ct(sct).mean() - dis_mr(smr).mean()).backward()  # eq. 3
    for network, expected in (("syn_ct", syn_ct), ("syn_mr", syn_mr)):
        for p, q in zip(trainer.networks[network].parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-4)


def test_critics_and_generators_each_learn_alone(trainer, batch):
    trainer.optimisers["synthesis"].step = lambda: None
    before = {name: copy.deepcopy(network.state_dict()) for name, network in trainer.networks.items()}
    trainer.training_step(batch)
    for name, network in trainer.networks.items():
        unchanged = all(torch.equal(weight, before[name][key]) for key, weight in network.state_dict().items())
        assert unchanged == name.startswith("syn")
    assert all(critic.weight.requires_grad for critic in (trainer.dis_ct.layers[0], trainer.dis_mr.layers[0]))


def test_a_prediction_has_no_noise_and_a_training_has(trainer, batch):
    noisy = [trainer.syn_ct(batch["mr"]) for _ in range(2)]
    assert not torch.equal(*noisy)
    noise = trainer.generators["noise"].get_state()
    assert torch.equal(trainer.sct_of(batch["mr"]), trainer.sct_of(batch["mr"]))
    assert torch.equal(trainer.generators["noise"].get_state(), noise)


def test_ranks_have_noise_of_their_own():
    trainers = [DualGAN(make_configuration(), make_settings("dualgan"), "cpu", ranks=Ranks(n, 2)) for n in range(2)]
    assert len({trainer.generators["noise"].initial_seed() for trainer in trainers}) == 2


def test_the_way_back_to_mr_is_syn_mr(trainer, batch):
    networks = {name: network.eval() for name, network in trainer.networks.items() if name in DualGAN.to_predict}
    sct = trainer.sct_of(batch["mr"]).clone()
    assert torch.equal(DualGAN.reconstruct(networks, sct), trainer.syn_mr(sct))


def test_with_another_number_of_critic_updates_a_stopped_training_goes_on_exactly(run, tmp_path):
    plan = make_plan(make_configuration(settings={"n_critic": 2}))
    run("dualgan", "whole", plan=plan)
    with pytest.raises(KeyboardInterrupt):
        run("dualgan", "stopped", plan=plan, progress=interrupted_at(3))
    run("dualgan", "stopped", plan=plan, resume=True)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


def test_slices_are_halved_down_to_one_pixel_but_not_more_often_than_in_the_paper():
    full = reference_configuration(1)
    small, _ = low_resolution(full)
    planned = DualGAN.plan_settings(full, None)
    assert (planned.settings.n_levels, planned.settings.base_channels) == (8, 64)
    assert "n_levels" in planned.reasons
    side = min(small.training.crop_size)
    assert 2 ** DualGAN.plan_settings(small, None).settings.n_levels <= side < 256


@pytest.mark.parametrize(
    ("key", "value"), [("n_critic", 0), ("weight_clip", 0.0), ("lambda_mr", -1.0), ("lambda_ct", -1.0), ("n_levels", 1)]
)
def test_a_setting_out_of_range_names_itself(key, value):
    with pytest.raises(ValueError, match=key):
        DualGANSettings(**{key: value})
