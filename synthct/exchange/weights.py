"""Weights <-> safetensors: numbers and their names, and nothing that could be executed.

The library refuses tensors that overlap, leave gaps or lie outside the file; here they are compared with the network of
the plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load, save

from synthct.errors import ModelError
from synthct.inference.read_model import Model, States, predicting_networks

MAX_HEADER_BYTES = 1 << 20  # names, types, shapes and places of the tensors


def expected_weights(model: Model) -> dict[str, torch.Tensor]:
    """Every weight of a plan's networks, without its numbers, by its name in the file (``syn_ct.layers.1.weight``)."""
    settings = model.settings  # they are checked before anything is built by them
    with torch.device("meta"):  # takes no memory
        networks = predicting_networks(model.method, model.configuration, settings)
        return _flat({name: network.state_dict() for name, network in networks.items()})


def to_safetensors(networks: States, expected: Mapping[str, torch.Tensor], where: str) -> bytes:
    """The state dicts of one fold, by name; ``where`` is the checkpoint, for messages.

    Raises:
        ModelError: they do not fit the plan, are not finite numbers, or are of a type that the format cannot hold.
    """
    tensors = {name: weight.detach().cpu().contiguous().clone() for name, weight in _flat(networks).items()}
    try:
        _check(tensors, expected, where, "restore the plans.json that it was trained with, or train again")
        return save(tensors)
    except (KeyError, NotImplementedError) as fault:
        raise ModelError(f"{where} holds weights of a type that a model file cannot hold: {fault}.") from None


def from_safetensors(data: bytes, expected: Mapping[str, torch.Tensor], where: str, remedy: str) -> States:
    """State dicts by name, on the CPU; ``where`` is the file, for messages, which end in ``remedy``.

    Raises:
        ModelError: the file is malformed, or its tensors do not fit the plan, shape by shape and type by type, or are
            not finite.
    """
    try:
        tensors = load(data)
    except Exception as fault:  # the library documents none of what malformed bytes make it raise
        raise ModelError(f"{where} is not a whole safetensors file ({str(fault)[:120]}); {remedy}.") from None
    _check(tensors, expected, where, remedy)
    networks: States = {}
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
                f"{where}: the weights {name[:80]!r} are {found} and not {wanted}, as plans.json; {remedy}."
            )
        if not torch.isfinite(tensors[name]).all():
            raise ModelError(f"{where}: {name} holds NaN or infinite values, so it can predict nothing; {remedy}.")


def _described(weight: torch.Tensor | None) -> str:
    return "missing" if weight is None else f"{str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"
