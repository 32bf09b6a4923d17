"""Weights <-> safetensors: numbers and their names, and nothing that could be executed.

The format: 8 bytes with the length of the header; the header, JSON with type, shape and place of every tensor; the
numbers. The header is compared with the network of the plan before a single number is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from synthct.errors import ModelError
from synthct.exchange.checked_json import read_checked_json
from synthct.networks import ResnetGenerator
from synthct.planning.plan import NetworkPlan

Networks = dict[str, dict[str, torch.Tensor]]

TO_PREDICT = ("syn_ct", "syn_mr")  # MR -> CT, and back where the model has it; the discriminators stay behind
MOST_HEADER_BYTES = 1 << 20
_BYTES = 4  # of a float32
_LENGTH = 8  # bytes that tell the header's length


def to_safetensors(networks: Mapping[str, Mapping[str, torch.Tensor]], plan: NetworkPlan, where: str) -> bytes:
    """The weights of the generators of one fold; those of discriminators are left out.

    Args:
        networks: state dicts by name, with ``syn_ct`` and perhaps ``syn_mr``.
        plan: of these networks.
        where: the checkpoint, for messages.

    Raises:
        ModelError: weights do not fit the plan, or are not finite numbers of float32.
    """
    tensors = {
        f"{name}.{key}": weight.detach().cpu().contiguous().clone()
        for name in TO_PREDICT
        for key, weight in networks.get(name, {}).items()
    }
    shapes = {name: tuple(weight.shape) for name, weight in tensors.items()}
    if shapes != expected_shapes(plan, with_mr="syn_mr" in networks):
        raise ModelError(f"{where}: the weights are not those of the network in plans.json; restore the plans.json.")
    if any(weight.dtype != torch.float32 for weight in tensors.values()):
        raise ModelError(f"{where}: the weights are not float32; train again.")
    _check_finite(tensors, where, "train again")
    return save(tensors)


def from_safetensors(data: bytes, plan: NetworkPlan, where: str, remedy: str) -> Networks:
    """State dicts by name, float32 on the CPU.

    Args:
        data: a whole safetensors file.
        plan: of the networks that the weights must fit, shape by shape.
        where: the file, for messages.
        remedy: ends them.

    Raises:
        ModelError: the header is malformed, tensors do not fit the plan or lie outside the file, or are not finite.
    """
    header, length = _read_header(data, where, remedy)
    with_mr = any(name.startswith("syn_mr.") for name in header)
    shapes = expected_shapes(plan, with_mr=with_mr)
    problem = _problem_of_header(header, shapes, len(data) - _LENGTH - length)
    if problem:
        raise ModelError(f"{where} {problem}; {remedy}.")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as fault:
        raise ModelError(f"{where} is damaged ({str(fault)[:120]}); {remedy}.") from None
    _check_finite(tensors, where, remedy)
    networks: Networks = {}
    for name in shapes:  # in the networks' own order
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = tensors[name]
    return networks


def most_bytes(plan: NetworkPlan) -> int:
    """The greatest size of a file of both generators."""
    shapes = expected_shapes(plan, with_mr=True)
    return _LENGTH + MOST_HEADER_BYTES + _BYTES * sum(map(math.prod, shapes.values()))


def expected_shapes(plan: NetworkPlan, *, with_mr: bool) -> dict[str, tuple[int, ...]]:
    """The shape of every weight by its name in the file, such as ``syn_ct.layers.1.weight``; takes no memory."""
    channels = {"syn_ct": (plan.mr_channels, 1), "syn_mr": (1, plan.mr_channels)}
    shapes = {}
    with torch.device("meta"):
        for name in TO_PREDICT if with_mr else TO_PREDICT[:1]:
            network = ResnetGenerator(*channels[name], plan.base_channels, plan.n_blocks)
            shapes |= {f"{name}.{key}": tuple(weight.shape) for key, weight in network.state_dict().items()}
    return shapes


def _read_header(data: bytes, where: str, remedy: str) -> tuple[dict[str, Any], int]:
    """The tensors that a file lists, and the header's length."""
    length = int.from_bytes(data[:_LENGTH], "little")
    if len(data) < _LENGTH or length > min(MOST_HEADER_BYTES, len(data) - _LENGTH):
        raise ModelError(f"{where} is no safetensors file (its header does not fit into it); {remedy}.")
    header = read_checked_json(data[_LENGTH : _LENGTH + length], f"{where}, its header,", remedy)
    if not isinstance(header, dict):
        raise ModelError(f"{where} is no safetensors file (its header is no table); {remedy}.")
    header.pop("__metadata__", None)  # not read, and not needed
    return header, length


def _problem_of_header(header: dict[str, Any], shapes: Mapping[str, tuple[int, ...]], size: int) -> str | None:
    """What is wrong with the tensors that a header lists for ``size`` bytes of numbers, or None."""
    if header.keys() != shapes.keys():
        name = sorted(header.keys() ^ shapes.keys())[0]
        return f"{'lacks' if name in shapes else 'has'} the tensor {name[:80]!r}, against the network of plans.json"
    places = []
    for name, tensor in header.items():
        if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
            return f"does not say what {name} is"
        if tensor["dtype"] != "F32":
            return f"has {name} of type {str(tensor['dtype'])[:20]!r} and not F32"
        shape, place = tensor["shape"], tensor["data_offsets"]
        if not _are_counts(shape) or tuple(shape) != shapes[name]:
            return f"has {name} of shape {str(shape)[:60]} and not {list(shapes[name])}, as plans.json has it"
        if not _are_counts(place) or len(place) != 2 or place[1] - place[0] != _BYTES * math.prod(shape):
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
        if not torch.isfinite(weight).all():
            raise ModelError(f"{where}: {name} holds NaN or infinite values, so it can predict nothing; {remedy}.")
