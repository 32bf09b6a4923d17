"""The networks of a model's folds over the slices of a patient: sCT, its spread over the folds, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from synthct.accelerate.bfloat16 import synthesis_forward
from synthct.imaging.intensity import to_network

Combination = Literal["mean", "median"]
COMBINATIONS: tuple[Combination, ...] = ("mean", "median")
SLICES_AT_ONCE = {"cpu": 1, "cuda": 4}  # a CPU loses more time on fresh memory than it gains by larger products


@dataclass(frozen=True)
class NetworkOutput:
    """What networks made of a patient's slices; float32 arrays (slices, rows, cols) in network units, [-1, 1].

    Attributes:
        sct: of all folds combined; -1 in slices without head.
        spread: SD over the folds (of a sample: n - 1), 0 in slices without head; None of one fold.
        cycle_error: |reconstructed MR - MR|, mean over folds and channels; 0 in slices that were not asked for. None
            where no slice was.
        cycle_slices: those that were, of the slices with head.
    """

    sct: np.ndarray
    spread: np.ndarray | None
    cycle_error: np.ndarray | None
    cycle_slices: np.ndarray


def run_networks(
    mr: np.ndarray,
    levels: int,
    syn_ct: Sequence[nn.Module],
    syn_mr: Sequence[nn.Module] = (),
    *,
    device: torch.device,
    precision: str = "float32",
    combine: Combination = "mean",
    cycle_every: int = 0,
) -> NetworkOutput:
    """Every slice with head through the generator of every fold; slices are combined as they come.

    A black slice, without head, is air without doubt: of a flat image, instance norm would make noise.

    Args:
        mr: uint8 grey levels (channels, slices, rows, cols).
        levels: number of grey levels.
        syn_ct: MR to CT, one a fold.
        syn_mr: CT to MR, of the same folds.
        device: where the networks are.
        precision: ``float32`` or ``bfloat16``, as of :func:`synthct.accelerate.bfloat16.synthesis_forward`.
        combine: how folds become one sCT.
        cycle_every: each fold's sCT of every so many-th slice goes back through its ``syn_mr``; 0: of none.
    """
    to_ct, to_mr = ([synthesis_forward(network, precision) for network in networks] for networks in (syn_ct, syn_mr))
    shape = mr.shape[1:]
    sct = np.full(shape, -1, np.float32)
    spread = np.zeros(shape, np.float32) if len(syn_ct) > 1 else None
    with_head = np.flatnonzero(mr.any(axis=(0, 2, 3)))
    cycle_slices = with_head[cycle_every // 2 :: cycle_every] if cycle_every and len(syn_mr) else with_head[:0]
    cycle_error = np.zeros(shape, np.float32) if cycle_slices.size else None
    at_once = SLICES_AT_ONCE.get(device.type, 1)
    with torch.inference_mode():
        for start in range(0, len(with_head), at_once):
            chosen = with_head[start : start + at_once]
            batch = torch.from_numpy(to_network(mr[:, chosen].swapaxes(0, 1), levels)).to(device)  # (B, C, H, W)
            folds = torch.stack([forward(batch) for forward in to_ct])  # (folds, B, 1, H, W)
            sct[chosen] = combined(folds, combine)[:, 0].cpu().numpy()
            if spread is not None:
                spread[chosen] = folds[:, :, 0].std(0).cpu().numpy()
            back = np.isin(chosen, cycle_slices)
            if back.any():
                here = torch.from_numpy(np.flatnonzero(back)).to(device)
                errors = [(forward(fold[here]) - batch[here]).abs().mean(1) for forward, fold in zip(to_mr, folds)]
                cycle_error[chosen[back]] = torch.stack(errors).mean(0).cpu().numpy()
    return NetworkOutput(sct, spread, cycle_error, cycle_slices)


def combined(folds: torch.Tensor, combine: Combination) -> torch.Tensor:
    """Folds (folds, ...) as one; the median of an even number is the mean of the middle two."""
    if combine == "mean":
        return folds.mean(0)
    ordered = folds.sort(0).values
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
