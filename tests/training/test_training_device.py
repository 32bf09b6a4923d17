from __future__ import annotations

import pytest
import torch

from synthct.errors import TrainingError
from synthct.training.device import select_device


def test_the_best_device_comes_with_a_reason():
    device, reason = select_device()
    assert isinstance(device, torch.device)
    assert reason


def test_cpu_can_be_asked_for():
    assert select_device("cpu") == (torch.device("cpu"), "as asked for")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "meta"])
def test_devices_that_are_not_there_are_one_sentence(name):
    with pytest.raises(TrainingError):
        select_device(name)
