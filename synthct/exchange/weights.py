"""Weights <-> safetensors: numbers and their names, and nothing that could be executed.

The library refuses tensors that overlap, leave gaps or lie outside the file; here they are compared with the network of
the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load, save
from torch import nn

from synthct.errors import ModelError

Networks = dict[str, dict[str, torch.Tensor]]

_MAX_HEADER_BYTES = 1 << 20  # names, types, shapes and places of the tensors
_TYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_TYPES |= {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}


def expected_weights(build: Callable[[], Mapping[str, nn.Module]]) -> dict[str, torch.Tensor]:
    """Every weight of a plan's networks, without its numbers, by its name in the file (``syn_ct.layers.1.weight``).

    Args:
        build: makes the networks by name; called such that they take no memory.
    """
    with torch.device("meta"):
        return _flat({name: network.state_dict() for name, network in build().items()})


def max_bytes(expected: Mapping[str, torch.Tensor]) -> int:
    """The greatest size of a file of these weights."""
    return _MAX_HEADER_BYTES + sum(weight.nbytes for weight in expected.values())


def to_safetensors(networks: Networks, expected: Mapping[str, torch.Tensor], where: str) -> bytes:
    """The weights of one fold.

    Args:
        networks: state dicts by name.
        expected: of the networks of the plan.
        where: the checkpoint, for messages.

    Raises:
        ModelError: weights do not fit the plan, are not finite numbers, or of a type that the format cannot hold.
    """
    tensors = {name: weight.detach().cpu().contiguous().clone() for name, weight in _flat(networks).items()}
    _check(tensors, expected, where, "restore the plans.json that it was trained with, or train again")
    return save(tensors)


def from_safetensors(data: bytes, expected: Mapping[str, torch.Tensor], where: str, remedy: str) -> Networks:
    """State dicts by name, on the CPU.

    Args:
        data: a whole safetensors file.
        expected: of the networks that the weights must fit, shape by shape and type by type.
        where: the file, for messages.
        remedy: ends them.

    Raises:
        ModelError: the file is malformed, or its tensors do not fit the plan or are not finite.
    """
    try:
        tensors = load(data)
    except Exception as fault:  # the library documents none of what malformed bytes make it raise
        raise ModelError(f"{where} is not a whole safetensors file ({str(fault)[:120]}); {remedy}.") from None
    _check(tensors, expected, where, remedy)
    networks: Networks = {}
    for name in expected:  # in the networks' own order
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = tensors[name]
    return networks


def _flat(networks: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": weight for name, states in networks.items() for key, weight in states.items()}


def _check(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], where: str, remedy: str) -> None:
    for name in sorted(tensors.keys() | expected.keys()):
        found, wanted = (_described(weights.get(name)) for weights in (tensors, expected))
        if found != wanted:
            raise ModelError(
                f"{where}: the weights {name[:80]!r} are {found} and not {wanted}, as the network of plans.json has "
                f"them; {remedy}."
            )
    for name, weight in tensors.items():
        if weight.dtype not in _TYPES:
            raise ModelError(f"{where}: {name} is of {weight.dtype}, which a model file cannot hold; {remedy}.")
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise ModelError(f"{where}: {name} holds NaN or infinite values, so it can predict nothing; {remedy}.")


def _described(weight: torch.Tensor | None) -> str:
    return "missing" if weight is None else f"{str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"
