"""What a training step of a network takes, without computing it: memory and multiplications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

COPIES_OF_WEIGHTS = 5  # weights, gradient, two moments of Adam, their running average
BACKWARD = 2  # times the multiplications of the forward pass


@dataclass(frozen=True)
class TrainingCost:
    """Estimated for float32, not measured.

    Attributes:
        bytes: of weights, their copies and all that the backward pass keeps of the forward pass.
        flop: additions and multiplications of all 3-D convolutions, forwards and backwards.
    """

    bytes: int
    flop: float

    @property
    def gib(self) -> float:
        return self.bytes / 2**30


def training_cost(make_network: Callable[[], nn.Module], shape: Sequence[int]) -> TrainingCost:
    """Of a step on images of that shape; the network is made and run on torch's device without memory, ``meta``."""
    with torch.device("meta"):
        network, image = make_network(), torch.empty(tuple(shape))
    weights = {id(parameter.untyped_storage()): parameter.untyped_storage() for parameter in network.parameters()}
    kept = dict(weights)  # holds the storages, so that no id is used twice
    multiplications = 0.0

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(id(tensor.untyped_storage()), tensor.untyped_storage())
        return tensor

    def count(layer: nn.Conv3d, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal multiplications
        multiplications += output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.register_forward_hook(count)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(image)
    n_bytes = sum(storage.nbytes() for storage in kept.values())
    weight_bytes = sum(storage.nbytes() for storage in weights.values())
    return TrainingCost(n_bytes + (COPIES_OF_WEIGHTS - 1) * weight_bytes, 2 * (1 + BACKWARD) * multiplications)
