"""What is particular to the trainer ``nie2017``: its losses, computed by hand, and what it does not learn from."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from tiny_training import make_trainer

from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.training.nie2017 import Nie2017, Nie2017Settings, cross_entropy, gradient_difference

EVERYWHERE = torch.ones(1, 1, 2, 3)


def test_the_gradient_difference_is_that_of_a_computation_by_hand():
    ct = torch.tensor([[[[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]]]])
    sct = torch.tensor([[[[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]]]])
    # down: |ct| 0 1 3, |sct| 2 0 1; across: |ct| 1 2 and 0 0, |sct| 0 1 and 2 0
    expected = (4 + 1 + 4) / 3 + (1 + 1 + 4 + 0) / 4
    assert gradient_difference(sct, ct, EVERYWHERE).item() == pytest.approx(expected)


def test_the_gradient_difference_knows_no_sign_and_no_offset():
    ct = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    everywhere = torch.ones_like(ct)
    torch.testing.assert_close(gradient_difference(5 - ct, ct, everywhere), torch.tensor(0.0))
    assert gradient_difference(2 * ct, ct, everywhere) > 0


def test_the_gradient_difference_leaves_out_pixels_with_an_unknown_neighbour():
    ct, sct = torch.zeros(1, 1, 2, 3), torch.tensor([[[[0.0, 0.0, 7.0], [0.0, 2.0, 9.0]]]])
    known = torch.tensor([[[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]]])
    # known: down 0 and 2, across 0 and 2
    assert gradient_difference(sct, ct, known).item() == pytest.approx((0 + 4) / 2 + (0 + 4) / 2)
    assert gradient_difference(sct, ct, 0 * known) == 0


def test_cross_entropy_is_of_the_sigmoid():
    logits = torch.tensor([0.3, -1.2])
    real = torch.sigmoid(logits)
    torch.testing.assert_close(cross_entropy(logits, 1.0), -real.log().mean())
    torch.testing.assert_close(cross_entropy(logits, 0.0), -(1 - real).log().mean())
    assert cross_entropy(torch.zeros(5), 1.0).item() == pytest.approx(math.log(2))


def test_a_step_is_that_of_the_three_weighted_losses(batch):
    trainer = make_trainer("nie2017", lambda_adversarial=0.7, lambda_voxel=0.2, lambda_gradient=0.3)
    trainer.optimisers["synthesis"].step = trainer.optimisers["discrimination"].step = lambda: None
    syn_ct, dis_ct = (copy.deepcopy(network) for network in trainer.networks.values())
    losses = trainer.training_step(batch)
    sct, ct = syn_ct(batch["mr"]), batch["ct"]
    real, synthetic = dis_ct(ct).sigmoid(), dis_ct(sct).sigmoid()
    torch.testing.assert_close(losses["dis_ct"], -real.log().mean() - (1 - synthetic).log().mean())
    voxel = (sct - ct).square().mean()
    gradient = gradient_difference(sct, ct, batch["known"])
    torch.testing.assert_close(losses["voxel"], voxel.detach())
    (-0.7 * synthetic.log().mean() + 48 * 48 * (0.2 * voxel + 0.3 * gradient)).backward()
    for found, expected in zip(trainer.syn_ct.parameters(), syn_ct.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=3e-4)


def test_nothing_is_learnt_where_the_ct_is_unknown(batch):
    known = torch.ones_like(batch["ct"])
    known[..., 16:] = 0
    losses = []
    for unknown in (-1.0, 1.0):  # whatever stands there in the reference
        ct = torch.where(known > 0, batch["ct"], torch.tensor(unknown))
        losses.append(make_trainer("nie2017").training_step(batch | {"ct": ct, "known": known}))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in ("voxel", "gradient"))
    trainer = make_trainer("nie2017")
    trainer.training_step(batch | {"known": torch.zeros_like(known)})
    assert all(p.grad.abs().max() == 0 for p in trainer.syn_ct.parameters())


def test_the_full_size_is_the_papers_and_the_small_one_narrower():
    full = reference_configuration(1)
    small, _ = low_resolution(full)
    planned = Nie2017.plan_settings(full, None).settings
    assert (planned.base_channels, planned.discriminator_base_channels) == (32, 32)
    weights = planned.lambda_adversarial, planned.lambda_voxel, planned.lambda_gradient
    assert weights == (0.5, 1.0, 1.0)
    assert Nie2017.plan_settings(small, None).settings.base_channels == round(32 * small.network_width)


@pytest.mark.parametrize("key", ["lambda_adversarial", "lambda_voxel", "lambda_gradient", "base_channels"])
def test_a_setting_out_of_range_names_itself(key):
    with pytest.raises(ValueError, match=key):
        Nie2017Settings(**{key: -1})
