"""The fast layers, swapped into networks: what they may change (time) and what they may not (anything else)."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from synthetic_datasets import small_plan
from tiny_models import tiny_model
from tiny_training import make_configuration, make_trainer
from torch import nn

from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.accelerate.few_channels_out import FewChannelsOut
from synthct.accelerate.winograd import MIN_CHANNELS, WinogradConv2d
from synthct.inference import Predictor
from synthct.networks import PatchDiscriminator, ResnetGenerator
from synthct.networks.generator import initialise
from synthct.plugins import TRAINERS
from synthct.training.trainer import Trainer

WIDE = MIN_CHANNELS
BASE_CHANNELS = WIDE // 4  # of the narrowest generator whose blocks go Winograd's way


def a_generator(seed: int = 0) -> ResnetGenerator:
    network = ResnetGenerator(base_channels=BASE_CHANNELS, n_blocks=2)
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def an_image() -> torch.Tensor:
    return torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def classes(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def built_with_fast_layers(network: nn.Module) -> nn.Module:
    """A generator whose layers were fast from the start: new ones, in the place of the plain ones, of their weights."""

    def rebuilt(plain: nn.Conv2d, fast: nn.Conv2d) -> nn.Conv2d:
        fast.load_state_dict(plain.state_dict())
        return fast

    if isinstance(network, ResnetGenerator):
        for block in network.layers[10:-9]:
            for place in (1, 5):
                plain = block.layers[place]
                block.layers[place] = rebuilt(plain, WinogradConv2d(plain.in_channels, plain.out_channels))
        last = network.layers[-2]
        network.layers[-2] = rebuilt(last, FewChannelsOut(last.in_channels, last.out_channels, 7))
    return network


def wide_trainer(name: str, precision: str) -> Trainer:
    configuration = make_configuration(mr_channels=2, precision=precision)
    return make_trainer(name, configuration, base_channels=BASE_CHANNELS, n_blocks=2)


@pytest.mark.parametrize("name", list(TRAINERS.ours))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_gives_the_weights_of_layers_that_were_fast_from_the_start(name, precision, monkeypatch):
    swapped = wide_trainer(name, precision)
    monkeypatch.setattr("synthct.training.trainer.with_fast_convolutions", built_with_fast_layers)
    built = wide_trainer(name, precision)
    assert classes(swapped.networks["syn_ct"]) == classes(built.networks["syn_ct"])
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        mr, ct = (torch.rand(1, n, 32, 32, generator=generator) * 2 - 1 for n in (2, 1))
        batch = {"mr": mr, "ct": ct, "known": torch.ones_like(ct), "head": torch.ones_like(ct)}
        losses = [trainer.training_step(batch) for trainer in (swapped, built)]
        assert all(torch.equal(losses[0][loss], losses[1][loss]) for loss in losses[0])
    for network, fast_network in swapped.networks.items():
        expected = built.networks[network].state_dict()
        assert list(expected) == list(fast_network.state_dict())
        assert all(torch.equal(weight, expected[key]) for key, weight in fast_network.state_dict().items())


def test_parameters_hooks_and_layers_stay_the_same_objects():
    network = a_generator()
    layers, parameters = dict(network.named_modules()), dict(network.named_parameters())
    seen = []
    network.layers[-2].register_forward_hook(lambda *_: seen.append("last"))
    assert with_fast_convolutions(network) is network
    assert list(network.named_parameters()) == list(parameters.items())
    assert all(parameter is parameters[name] for name, parameter in network.named_parameters())
    assert all(module is layers[name] for name, module in network.named_modules())
    network(an_image())
    assert seen == ["last"]


def test_outputs_are_those_of_the_plain_network_but_for_rounding():
    plain = a_generator()
    fast = with_fast_convolutions(copy.deepcopy(plain))
    assert "WinogradConv2d" in classes(fast) and "FewChannelsOut" in classes(fast)
    with torch.no_grad():
        torch.testing.assert_close(fast(an_image()), plain(an_image()), rtol=1e-4, atol=1e-5)


def test_twice_is_as_once():
    network = with_fast_convolutions(a_generator())
    once, output = classes(network), network(an_image())
    assert classes(with_fast_convolutions(network)) == once
    assert torch.equal(network(an_image()), output)


def test_state_dicts_fit_both_ways_and_can_be_pickled():
    plain, fast = a_generator(1), with_fast_convolutions(a_generator(2))
    for source, target in ((fast, a_generator(3)), (plain, fast)):
        state = pickle.loads(pickle.dumps(source.state_dict()))
        assert list(state) == list(target.state_dict())
        target.load_state_dict(state)
        assert all(torch.equal(weight, source.state_dict()[key]) for key, weight in target.state_dict().items())


def test_copies_and_saved_networks_are_fast_and_go_on_by_themselves():
    network, image = with_fast_convolutions(a_generator()), an_image()
    with torch.no_grad():
        expected = network(image)  # the layers now keep filters, which belong to these weights
        file = io.BytesIO()
        torch.save(network, file)
        file.seek(0)
        for other in (copy.deepcopy(network), torch.load(file, weights_only=False)):
            assert classes(other) == classes(network)
            assert torch.equal(other(image), expected)
            other.load_state_dict(a_generator(5).state_dict())
            assert torch.equal(other(image), with_fast_convolutions(a_generator(5))(image))
        assert torch.equal(network(image), expected)


def test_a_network_may_be_made_under_inference_mode():
    with torch.inference_mode():
        network = with_fast_convolutions(a_generator())
        expected = with_fast_convolutions(a_generator(4))(an_image())
        network(an_image())
        network.load_state_dict(a_generator(4).state_dict())
        assert torch.equal(network(an_image()), expected)


def test_networks_can_be_moved():
    network = with_fast_convolutions(a_generator()).to("meta")
    assert network(torch.empty(1, 1, 32, 32, device="meta")).shape == (1, 1, 32, 32)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(WIDE, WIDE, 3), WinogradConv2d),
        (nn.Conv2d(WIDE - 1, WIDE, 3), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, padding=1), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, stride=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, dilation=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, groups=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, bias=False), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, (3, 1)), nn.Conv2d),
        (nn.Conv2d(64, 1, 7), FewChannelsOut),
        (nn.Conv2d(64, 3, 5), FewChannelsOut),
        (nn.Conv2d(64, 1, 3), nn.Conv2d),
        (nn.Conv2d(64, 64, 7), nn.Conv2d),
        (nn.Conv2d(1, 4, 7), nn.Conv2d),
        (nn.Conv2d(64, 1, 7, padding=3), nn.Conv2d),
        (nn.Conv2d(64, 1, 7, bias=False), nn.Conv2d),
        (nn.utils.parametrizations.spectral_norm(nn.Conv2d(64, 1, 7)), None),
        (nn.ConvTranspose2d(WIDE, WIDE, 3), nn.ConvTranspose2d),
    ],
)
def test_a_layer_is_swapped_only_where_the_fast_one_computes_the_same(layer, expected):
    expected = expected or type(layer)
    assert type(with_fast_convolutions(layer)) is expected


def test_prediction_goes_through_fast_layers():
    predictor = Predictor(tiny_model(small_plan(), seeds=(0, 1)), "cpu")
    for networks in predictor._networks:
        assert set(networks) == {"syn_ct", "syn_mr"}
        assert all("FewChannelsOut" in classes(network) for network in networks.values())


def test_the_discriminator_has_no_layer_to_swap():
    assert set(classes(with_fast_convolutions(PatchDiscriminator()))) == {"Conv2d"}


@pytest.mark.parametrize("layer", [nn.Conv2d(WIDE, WIDE, 3), nn.Conv2d(64, 1, 7)])
def test_images_without_a_batch_and_images_that_are_too_small_are_treated_as_by_torch(layer):
    fast = with_fast_convolutions(copy.deepcopy(layer))
    image = torch.rand(layer.in_channels, 9, 9)
    assert torch.equal(fast(image), layer(image))
    for module in (layer, fast):
        with pytest.raises(RuntimeError, match="[Kk]ernel size"):
            module(torch.rand(1, layer.in_channels, 2, 2))
