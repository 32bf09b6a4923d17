"""What `cyclegan` can do beyond the paper, and what `cyclegan_nce` adds to it."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_training import make_trainer
from torch import nn

from synthct.networks.generator import ResnetGenerator
from synthct.networks.patch_features import PlaceFeatures, feature_layers, patch_nce_loss
from synthct.training.cyclegan_nce import places_in
from synthct.training.losses import gradient_correlation


def rates(trainer) -> dict[str, float]:
    return {name: optimiser.param_groups[0]["lr"] for name, optimiser in trainer.optimisers.items()}


def test_the_discriminators_may_learn_at_a_rate_of_their_own():
    trainer = make_trainer("cyclegan", learning_rate=2e-4, discriminator_learning_rate=4e-4)
    trainer.set_learning_rate(1e-4)
    assert rates(trainer) == {"synthesis": 1e-4, "discrimination": 2e-4}


def test_the_cycle_weighs_more_in_the_first_steps():
    trainer = make_trainer("cyclegan", early_lambda_cycle=30.0, early_share=0.25)
    weights = []
    for step in range(8):
        trainer.before_step(step, 8)
        weights.append(float(trainer.lambda_cycle))
    assert weights == [30.0] * 2 + [10.0] * 6


@pytest.mark.parametrize("name", ["cyclegan", "cyclegan_nce"])
def test_a_heavier_cycle_changes_the_synthesis_networks(name, batch):
    plain, heavy = make_trainer(name), make_trainer(name, early_lambda_cycle=100.0)
    for trainer in (plain, heavy):
        trainer.before_step(0, 10)
        trainer.training_step(dict(batch))
    weights = [torch.cat([p.flatten() for p in trainer.syn_ct.parameters()]) for trainer in (plain, heavy)]
    assert not torch.equal(*weights)


def test_fewer_strided_layers_are_those_of_the_discriminators():
    networks = make_trainer("cyclegan", discriminator_layers=1).networks
    strides = [layer.stride[0] for layer in networks["dis_ct"].modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 1, 1]


def test_patch_nce_is_small_for_the_same_places_and_large_for_others():
    vectors = nn.functional.normalize(torch.randn(2, 50, 32, generator=torch.Generator().manual_seed(0)), dim=2)
    assert patch_nce_loss([vectors], [vectors]) < 0.01
    assert patch_nce_loss([vectors], [vectors.flip(1)]) > math.log(50)


def test_patch_nce_gives_the_real_image_no_gradient():
    query, key = (torch.rand(1, 5, 4, requires_grad=True) for _ in range(2))
    patch_nce_loss([query], [key]).backward()
    assert query.grad is not None
    assert key.grad is None


def test_features_of_a_place_are_those_at_its_pixel():
    layer = nn.Identity()
    head = PlaceFeatures([3], width=8)
    head.heads[0] = layer
    features = torch.rand(2, 3, 4, 8)
    places = torch.tensor([[[0.3, 0.9]], [[0.99, 0.0]]])
    (vectors,) = head([features], places)
    expected = torch.stack((features[0, :, 1, 7], features[1, :, 3, 0]))[:, None]
    torch.testing.assert_close(vectors, nn.functional.normalize(expected, dim=2))


def test_compared_layers_are_of_the_widths_that_the_heads_expect():
    network = ResnetGenerator(1, 1, 4, n_blocks=2)
    widths = []
    for layer in feature_layers(network):
        layer.register_forward_hook(lambda *passed: widths.append(passed[2].shape[1]))
    network(torch.zeros(1, 1, 16, 16))
    assert widths == [4, 8, 16, 16]


def test_places_lie_in_the_head_evenly():
    head = torch.zeros(1, 1, 10, 20, dtype=torch.bool)
    head[0, 0, 2:4, 5:15] = True
    draws = torch.linspace(0, 0.999, 200)[None]
    rows, cols = (places_in(head, draws)[0] * torch.tensor([10, 20])).long().T
    counts = torch.bincount(rows * 20 + cols, minlength=200).view(10, 20)
    assert (counts[2:4, 5:15] == 10).all()
    assert counts.sum() == 200


def test_without_a_head_there_is_a_place_all_the_same():
    places = places_in(torch.zeros(1, 1, 8, 8, dtype=torch.bool), torch.rand(1, 5))
    assert ((places >= 0) & (places < 1)).all()


def test_gradients_correlate_whichever_side_of_an_edge_is_brighter():
    image = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    other = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gradient_correlation(image, 1 - 2 * image), torch.ones(2))
    assert (gradient_correlation(image, other).abs() < 0.3).all()
    assert gradient_correlation(image, torch.zeros_like(image)).abs().max() < 1e-3


def test_nothing_of_a_validation_is_kept_for_the_next_step(batch):
    trainer = make_trainer("cyclegan_nce")
    trainer.sct_of(batch["mr"])
    assert trainer.seen_by_syn_ct() == []
    losses = trainer.training_step(dict(batch))
    assert {"nce", "gradient"} <= set(losses)
