"""Optimisers: Adam and AdamW, a clipped step down a loss, rates, states, and networks that a loss leaves alone."""

import copy

import pytest
import torch
from torch import nn

from synthct.training.distributed import ALONE
from synthct.training.optimisers import adam, descend, frozen, load_optimiser, set_learning_rate

CPU = torch.device("cpu")


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


@pytest.mark.parametrize(("weight_decay", "kind"), [(None, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_adam_is_torchs_for_all_weights_of_the_networks(weight_decay, kind):
    first, second = network(), network()
    optimiser = adam([first, second], 1e-3, (0.5, 0.999), CPU, weight_decay=weight_decay)
    assert type(optimiser) is kind and optimiser.defaults["betas"] == (0.5, 0.999)
    assert len(optimiser.param_groups[0]["params"]) == 4
    assert optimiser.param_groups[0]["weight_decay"] == (weight_decay or 0)


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_a_step_goes_down_the_loss_with_a_gradient_of_at_most_the_clip(clip):
    layer, image = network(), torch.ones(1, 3)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.01)
    before = layer(image).square().mean()
    weights = [weight.detach().clone() for weight in layer.parameters()]
    descend(optimiser, before, ALONE, clip=clip)
    moved = torch.cat([(new - old).flatten() for new, old in zip(layer.parameters(), weights)]).norm()
    assert layer(image).square().mean() < before
    assert clip is None or moved <= 0.01 * clip * 1.02  # rounding of the weights


@pytest.mark.parametrize("rate", [1e-3, torch.tensor(1e-3)])
def test_a_rate_is_set_as_a_number_or_within_its_tensor(rate):
    optimiser = torch.optim.Adam(network().parameters(), lr=rate, capturable=False)
    set_learning_rate(optimiser, 0.25)
    found = optimiser.param_groups[0]["lr"]
    assert float(found) == 0.25 and (found is rate or not isinstance(rate, torch.Tensor))


def test_a_loaded_state_is_computed_as_on_this_device():
    layer = network()
    optimiser = adam([layer], 1e-3, (0.5, 0.999), CPU)
    descend(optimiser, layer(torch.ones(1, 3)).sum(), ALONE)
    state = copy.deepcopy(optimiser.state_dict())
    elsewhere = {"lr": torch.tensor(5e-4), "fused": False, "capturable": True}  # as a GPU writes them
    state["param_groups"] = [group | elsewhere for group in state["param_groups"]]
    again = adam([network()], 1e-3, (0.5, 0.999), CPU)
    load_optimiser(again, state)
    (group,) = again.param_groups
    assert group["lr"] == pytest.approx(5e-4) and group["fused"] is True and group["capturable"] is False
    assert torch.equal(again.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"])


def test_gradients_go_through_frozen_networks_but_not_into_them():
    judge, maker = network(), network()
    with frozen(judge):
        judge(maker(torch.ones(1, 3)).expand(1, 3)).sum().backward()
    assert judge.weight.grad is None and maker.weight.grad is not None
    assert all(weight.requires_grad for weight in judge.parameters())
