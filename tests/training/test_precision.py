from __future__ import annotations

import pytest
import torch

from synthct.networks import ResnetGenerator
from synthct.networks.generator import initialise
from synthct.training import precision
from synthct.training.precision import choose_precision, choose_prediction_precision, forward_passes

CPU = torch.device("cpu")


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_what_is_asked_for_is_done(wanted):
    assert choose_precision(wanted, CPU) == (wanted, "as the plan asks")
    assert choose_prediction_precision(wanted, CPU) == (wanted, "as asked for")


def test_a_cpu_trains_in_float32_and_predicts_in_what_it_is_fast_in(monkeypatch):
    assert choose_precision("auto", CPU)[0] == "float32"
    for fast, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(precision, "has_bfloat16", lambda device, fast=fast: fast)
        chosen, reason = choose_prediction_precision("auto", CPU)
        assert chosen == expected
        assert reason


def test_a_torch_without_the_tests_for_instructions_has_no_bfloat16(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not precision.has_bfloat16(CPU)


def test_bfloat16_passes_stay_near_float32_and_leave_the_output_float32():
    network = ResnetGenerator(base_channels=8, n_blocks=2)
    initialise(network, torch.Generator().manual_seed(0))
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        exact = network(image)
        with forward_passes("bfloat16", CPU):
            all_layers = network(image)
        inner_layers = network.mostly_in_bfloat16(image)
        with forward_passes("float32", CPU):
            assert torch.equal(network(image), exact)
    errors = [((found - exact).abs().mean() / exact.std()).item() for found in (inner_layers, all_layers)]
    assert inner_layers.dtype == all_layers.dtype == torch.float32
    assert 0 < errors[0] < errors[1] < 0.05
