"""Optimisers on the device at hand: Adam, a step down a loss, networks that a loss leaves alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from synthct.training.distributed import Ranks, average_gradients

WAYS_TO_COMPUTE = ("fused", "foreach", "capturable")  # of an optimiser: what depends on the device alone


def adam(
    networks: Sequence[nn.Module],
    learning_rate: float,
    betas: tuple[float, float],
    device: torch.device,
    *,
    weight_decay: float | None = None,
) -> torch.optim.Optimizer:
    """One Adam for all parameters of the networks, as fast as the device can.

    Args:
        networks: that it changes, on the device.
        learning_rate, betas: of Adam (Kingma and Ba 2015).
        device: where the networks are.
        weight_decay: of AdamW (Loshchilov and Hutter 2019); None takes plain Adam.
    """
    on_gpu = device.type == "cuda"
    decay: dict[str, Any] = {} if weight_decay is None else {"weight_decay": weight_decay}
    return (torch.optim.AdamW if decay else torch.optim.Adam)(
        [parameter for network in networks for parameter in network.parameters()],
        # One pass over all parameters; on a GPU with all numbers there, so that nothing waits.
        lr=torch.tensor(learning_rate, device=device) if on_gpu else learning_rate,
        betas=betas,
        fused=on_gpu or device.type == "cpu",
        capturable=on_gpu,
        **decay,
    )


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, ranks: Ranks, *, clip: float | None = None) -> None:
    """One step of the optimiser down the loss, averaged over the processes that train together.

    Args:
        optimiser: of the weights that learn.
        loss: scalar.
        ranks: the processes.
        clip: the largest norm of the gradient of all these weights; None: any.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    average_gradients(weights, ranks)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The rate of all of the optimiser's weights from now on."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)  # in place: a recorded step goes on reading it
        else:
            group["lr"] = rate


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore an optimiser's ``state_dict``, computed as on this device, whatever the device that it was written on."""
    pairs = zip(state["param_groups"], optimiser.param_groups, strict=True)
    optimiser.load_state_dict(state | {"param_groups": [_as_here(loaded, here) for loaded, here in pairs]})


def _as_here(loaded: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    rate = float(loaded["lr"])
    lr = torch.full_like(here["lr"], rate) if isinstance(here["lr"], Tensor) else rate
    return loaded | {name: here[name] for name in WAYS_TO_COMPUTE if name in here} | {"lr": lr}


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Inside, the gradient goes through the networks but not into their weights."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
