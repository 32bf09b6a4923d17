from __future__ import annotations

import pytest
import torch

from synthct.training import precision
from synthct.training.precision import choose_precision, choose_prediction_precision

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
        assert choose_prediction_precision("auto", CPU, measured=False)[0] == "float32"


def test_a_torch_without_the_tests_for_instructions_has_no_bfloat16(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not precision.has_bfloat16(CPU)
