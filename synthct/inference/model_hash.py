"""A few digits that stand for all that decides a model's sCTs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from synthct.inference.read_model import Model
from synthct.json_dataclasses import to_plain


def hash_model(
    model: Model,
    networks: Sequence[Mapping[str, nn.Module]],
    *,
    mirror: bool = False,
    other_planes: Iterable[str] = (),
) -> str:
    """12 hexadecimal digits that stand for plan, method and weights, wherever their files lie.

    Args:
        model: that predicts.
        networks: of each fold, by name.
        mirror: whether heads are also synthesised mirrored.
        other_planes: hashes of the models of other planes that are combined with it.
    """
    identity = {
        "preprocessing": to_plain(model.configuration.preprocessing),
        "input": to_plain(model.configuration.input),
        "trainer": model.trainer,
        "settings": to_plain(model.settings),
    } | ({"mirror": True} if mirror else {})
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for fold in networks:
        for network in fold.values():
            for name, weights in sorted(network.state_dict().items()):
                digest.update(name.encode())
                digest.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    for plane_hash in other_planes:
        digest.update(plane_hash.encode())
    return digest.hexdigest()[:12]
