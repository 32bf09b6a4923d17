"""Weights <-> safetensors: numbers and their names, and nothing that could be executed.

The format: 8 bytes with the length of the header; the header, JSON with type, shape and place of every tensor; the
numbers. The header is compared with the network of the plan before a single number is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from synthct.errors import ModelError
from synthct.exchange.checked_json import read_checked_json

Networks = dict[str, dict[str, torch.Tensor]]

MAX_HEADER_BYTES = 1 << 20
_LENGTH = 8  # bytes that tell the header's length
_NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}  # in a header


@dataclass(frozen=True)
class Expected:
    """What a network wants as one of its weights."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def expected_weights(build: Callable[[], Mapping[str, nn.Module]]) -> dict[str, Expected]:
    """Every weight that the networks of a plan have, by its name in the file, such as ``syn_ct.layers.1.weight``.

    Args:
        build: makes the networks by name; called such that they take no memory.
    """
    with torch.device("meta"):
        networks = build()
    return {
        f"{name}.{key}": Expected(tuple(weight.shape), weight.dtype)
        for name, network in networks.items()
        for key, weight in network.state_dict().items()
    }


def max_bytes(expected: Mapping[str, Expected]) -> int:
    """The greatest size of a file of these weights."""
    return _LENGTH + MAX_HEADER_BYTES + sum(one.bytes for one in expected.values())


def to_safetensors(networks: Networks, expected: Mapping[str, Expected], where: str) -> bytes:
    """The weights of one fold.

    Args:
        networks: state dicts by name.
        expected: of the networks of the plan.
        where: the checkpoint, for messages.

    Raises:
        ModelError: weights do not fit the plan, are not finite numbers, or of a type that the format cannot hold.
    """
    if unknown := [f"{name} is of {one.dtype}" for name, one in expected.items() if one.dtype not in _NAMES]:
        raise ModelError(f"{where}: {unknown[0]}, of which a model file cannot hold weights; train with another type.")
    tensors = {
        f"{name}.{key}": weight.detach().cpu().contiguous().clone()
        for name, states in networks.items()
        for key, weight in states.items()
    }
    found = {name: Expected(tuple(weight.shape), weight.dtype) for name, weight in tensors.items()}
    if found != dict(expected):
        raise ModelError(f"{where}: the weights are not those of the network in plans.json; restore the plans.json.")
    _check_finite(tensors, where, "train again")
    return save(tensors)


def from_safetensors(data: bytes, expected: Mapping[str, Expected], where: str, remedy: str) -> Networks:
    """State dicts by name, on the CPU.

    Args:
        data: a whole safetensors file.
        expected: of the networks that the weights must fit, shape by shape and type by type.
        where: the file, for messages.
        remedy: ends them.

    Raises:
        ModelError: the header is malformed, tensors do not fit the plan or lie outside the file, or are not finite.
    """
    header, length = _read_header(data, where, remedy)
    problem = _problem_of_header(header, expected, len(data) - _LENGTH - length)
    if problem:
        raise ModelError(f"{where} {problem}; {remedy}.")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as fault:
        raise ModelError(f"{where} is damaged ({str(fault)[:120]}); {remedy}.") from None
    _check_finite(tensors, where, remedy)
    networks: Networks = {}
    for name in expected:  # in the networks' own order
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = tensors[name]
    return networks


def _read_header(data: bytes, where: str, remedy: str) -> tuple[dict[str, Any], int]:
    """The tensors that a file lists, and the header's length."""
    length = int.from_bytes(data[:_LENGTH], "little")
    if len(data) < _LENGTH or length > min(MAX_HEADER_BYTES, len(data) - _LENGTH):
        raise ModelError(f"{where} is no safetensors file (its header does not fit into it); {remedy}.")
    header = read_checked_json(data[_LENGTH : _LENGTH + length], f"{where}, its header,", remedy)
    if not isinstance(header, dict):
        raise ModelError(f"{where} is no safetensors file (its header is no table); {remedy}.")
    header.pop("__metadata__", None)  # not read, and not needed
    return header, length


def _problem_of_header(header: dict[str, Any], expected: Mapping[str, Expected], size: int) -> str | None:
    """What is wrong with the tensors that a header lists for ``size`` bytes of numbers, or None."""
    if header.keys() != expected.keys():
        name = sorted(header.keys() ^ expected.keys())[0]
        return f"{'lacks' if name in expected else 'has'} the tensor {name[:80]!r}, against the network of plans.json"
    places = []
    for name, tensor in header.items():
        wanted = expected[name]
        if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
            return f"does not say what {name} is"
        if tensor["dtype"] != _NAMES.get(wanted.dtype):
            return f"has {name} of type {str(tensor['dtype'])[:20]!r} and not {_NAMES.get(wanted.dtype)}"
        shape, place = tensor["shape"], tensor["data_offsets"]
        if not _are_counts(shape) or tuple(shape) != wanted.shape:
            return f"has {name} of shape {str(shape)[:60]} and not {list(wanted.shape)}, as plans.json has it"
        if not _are_counts(place) or len(place) != 2 or place[1] - place[0] != wanted.bytes:
            return f"has {name} at bytes {str(place)[:60]}, which do not hold its shape"
        places.append((place[0], place[1], name))
    end = 0
    for start, stop, name in sorted(places):
        if start != end:
            return f"has {name} at byte {start:,}, where another tensor lies or none ends"
        end = stop
    if end != size:
        return f"has {size:,} bytes of numbers and not the {end:,} that its header tells"
    return None


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_finite(tensors: Mapping[str, torch.Tensor], where: str, remedy: str) -> None:
    for name, weight in tensors.items():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise ModelError(f"{where}: {name} holds NaN or infinite values, so it can predict nothing; {remedy}.")
