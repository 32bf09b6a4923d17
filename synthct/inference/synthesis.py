"""The networks of a model's folds over the slices of a patient, and several planes as one sCT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from synthct.imaging.planes import turned
from synthct.preprocessing.network_input import NetworkInput, padded_to_multiple
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.augmentation import mirrored
from synthct.training.trainer import Network, Trainer

Combination = Literal["mean", "median"]
COMBINATIONS: tuple[Combination, ...] = ("mean", "median")
SLICES_AT_ONCE = {"cpu": 1, "cuda": 4}  # a CPU loses more time on fresh memory than it gains by larger products
PERCENT_OF_RANGE = 100 / 2  # a difference in network units, of [-1, 1], in percent of the MR's range


@dataclass(frozen=True)
class NetworkOutput:
    """What networks made of a patient's slices; float32 arrays (slices, rows, cols), in the plane of the stack.

    Attributes:
        sct_hu: of all folds combined, HU; the lowest that the method knows in slices without head.
        spread_hu: SD over the sCTs that were combined (of a sample: n - 1), HU; 0 in slices without head. None of one.
        cycle_error: |reconstructed MR - MR|, mean over folds and channels, percent of the MR's range; NaN in slices
            that were not asked for. None where no slice was.
        n_combined: how many sCTs were: one a fold, and one more of each from the mirrored head.
        plane_spread_hu: as ``spread_hu``, of the first plane alone.
    """

    sct_hu: np.ndarray
    spread_hu: np.ndarray | None
    cycle_error: np.ndarray | None
    n_combined: int = 1
    plane_spread_hu: np.ndarray | None = None


@dataclass(frozen=True)
class SynthesisOptions:
    """What is computed of a patient's slices.

    Attributes:
        combine: how folds become one sCT.
        cycle_every: each fold's sCT of every so many-th slice goes back to MR, where the method can; 0: of none.
        every: only every so many-th slice is synthesised, from the first: for measurements over the whole head.
        mirror: each fold also synthesises the head mirrored, left for right, where a slice shows both sides.
    """

    combine: Combination = "mean"
    cycle_every: int = 0
    every: int = 1
    mirror: bool = False


DEFAULTS = SynthesisOptions()


def synthesize_stack(
    stack: SliceStack,
    method: type[Trainer],
    network_input: NetworkInput,
    folds: Sequence[Mapping[str, Network]],
    device: torch.device,
    options: SynthesisOptions = DEFAULTS,
) -> NetworkOutput:
    """Every slice with head through the networks of every fold; slices are combined as they come.

    Args:
        stack: of a patient, with an MR.
        method: how a CT is synthesised.
        network_input: what its networks see.
        folds: networks by name, of each fold.
        device: where the networks are.
        options: what is computed.
    """
    seen, coding = network_input.plan, network_input.coding
    view = stack.in_plane(seen.plane)
    rows, cols = view.regions.shape[1:]
    mirrors = (False, True) if options.mirror and seen.shows_both_sides else (False,)
    ways = [(networks, mirror) for networks in folds for mirror in mirrors]
    sct: np.ndarray = np.full(view.regions.shape, coding.network_to_hu(np.float32(coding.ct_outside)), np.float32)
    spread = np.zeros_like(sct) if len(ways) > 1 else None
    cycle_error = None
    shown = network_input.shown(view)
    shown = shown[shown % options.every == 0]
    back = shown[options.cycle_every // 2 :: options.cycle_every] if options.cycle_every else shown[:0]

    def mr(chosen: np.ndarray) -> torch.Tensor:
        images = np.stack([network_input.mr(view, i) for i in chosen.tolist()])
        padded = padded_to_multiple(images, method.size_multiple, coding.mr_outside)
        return torch.from_numpy(np.ascontiguousarray(padded)).to(device)

    def mirrored_mr(chosen: np.ndarray) -> torch.Tensor:
        return mirrored(mr(chosen), seen.plane, seen.n_slices)

    with torch.inference_mode():
        at_once = SLICES_AT_ONCE.get(device.type, 1)
        streams = [
            method.synthesize_volume(networks, mirrored_mr if mirror else mr, shown, at_once)
            for networks, mirror in ways
        ]
        for outputs in zip(*streams):  # side by side through the slices
            chosen = outputs[0][0]
            network_scts = [  # a way each: (slices, 1, rows, cols)
                mirrored(output, seen.plane) if mirror else output for (_, output), (_, mirror) in zip(outputs, ways)
            ]
            hu = torch.from_numpy(
                np.stack(
                    [
                        coding.network_to_hu(network_sct[:, 0, :rows, :cols].float().cpu().numpy())
                        for network_sct in network_scts
                    ]
                )
            )
            sct[chosen] = combined(hu, options.combine).numpy()
            if spread is not None:
                spread[chosen] = hu.std(0).numpy()
            here = np.flatnonzero(np.isin(chosen, back))
            if here.size:
                error = _cycle_error(method, [networks for networks, _ in ways], network_scts, mr(chosen[here]), here)
                if error is not None:
                    cycle_error = np.full_like(sct, np.nan) if cycle_error is None else cycle_error
                    cycle_error[chosen[here]] = PERCENT_OF_RANGE * error[:, :rows, :cols]

    def turned_back(image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(turned(image, view.plane, stack.plane))

    spread = None if spread is None else turned_back(spread)
    cycle_error = None if cycle_error is None else turned_back(cycle_error)
    return NetworkOutput(turned_back(sct), spread, cycle_error, len(ways), spread)


def over_planes(planes: Sequence[NetworkOutput]) -> NetworkOutput:
    """The sCTs of several planes on one grid as one: their median (Spadea et al. 2019), and the SD over all of them.

    Args:
        planes: the first one's cycle error is kept.
    """
    if len(planes) == 1:
        return planes[0]
    counts = [plane.n_combined for plane in planes]
    scts = torch.from_numpy(np.stack([plane.sct_hu for plane in planes]))
    mean = sum(count * plane.sct_hu for count, plane in zip(counts, planes)) / sum(counts)
    squares = sum(count * (plane.sct_hu - mean) ** 2 for count, plane in zip(counts, planes))
    within = sum((n - 1) * plane.spread_hu**2 for n, plane in zip(counts, planes) if plane.spread_hu is not None)
    return NetworkOutput(
        combined(scts, "median").numpy(),
        np.sqrt((squares + within) / (sum(counts) - 1)).astype(np.float32),
        planes[0].cycle_error,
        sum(counts),
        planes[0].plane_spread_hu,
    )


def _cycle_error(
    method: type[Trainer],
    folds: Sequence[Mapping[str, Network]],
    scts: Sequence[torch.Tensor],
    mr: torch.Tensor,
    here: np.ndarray,
) -> np.ndarray | None:
    """Mean over folds and channels, network units (slices, rows, cols); None where the method has no way back."""
    chosen = torch.from_numpy(here).to(mr.device)
    errors = []
    for networks, sct in zip(folds, scts):
        again = method.reconstruct(networks, sct[chosen])
        if again is None:
            return None
        errors.append((again - mr).abs().mean(1))
    return torch.stack(errors).mean(0).float().cpu().numpy()


def combined(folds: torch.Tensor, combine: Combination) -> torch.Tensor:
    """Folds (folds, ...) as one; the median of an even number is the mean of the middle two."""
    if combine == "mean":
        return folds.mean(0)
    ordered = folds.sort(0).values
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
