"""A quick look during training: MAE on slices of held-out patients, and an example to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from synthct.imaging.planes import Plane
from synthct.preprocessing.network_input import NetworkInput, padded_to_multiple
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, MR_KNOWN
from synthct.training.trainer import Trainer

N_SLICES = 12


@dataclass(frozen=True)
class ExampleSlice:
    """A slice, or the slab around it, with what is needed to judge its sCT."""

    patient: str
    mr: np.ndarray  # network input, float32 (slab x channels, rows, cols)
    ct_hu: np.ndarray | None  # as the method is shown it, float32 (slab, rows, cols)
    inside: np.ndarray  # bool (slab, rows, cols): head, known in both


@dataclass(frozen=True)
class ExampleImages:
    """MR, sCT and CT of one slice, to look at; float32 (rows, cols)."""

    patient: str
    mr: np.ndarray  # first channel, network input
    sct_hu: np.ndarray
    ct_hu: np.ndarray | None  # as the method is shown it; None without a CT that is aligned with the MR


@dataclass(frozen=True)
class Validation:
    """Slices of held-out patients that have both, evenly spread; and one example, of any patient with an MR."""

    slices: list[ExampleSlice]
    example: ExampleSlice | None
    input: NetworkInput

    @staticmethod
    def read(folder: Path, held_out: Sequence[str], training: Sequence[str], network_input: NetworkInput) -> Validation:
        """Read these few slices of the held-out patients; of a training patient only where none of them has both.

        Args:
            folder: of the cached slices.
            held_out, training: patient ids.
            network_input: of the method.
        """
        plane = network_input.plan.plane
        paths = [folder / f"{patient}.npz" for patient in held_out]
        facts = [SliceFacts.load(path, plane) for path in paths if path.is_file()]
        pairs = [facts_of_patient for facts_of_patient in facts if facts_of_patient.paired]
        showing_head = [np.flatnonzero(pair.head_fraction(MR_KNOWN | CT_KNOWN) > 0) for pair in pairs]
        ends = np.cumsum([len(indices) for indices in showing_head], dtype=int)  # of each patient's, in one long list
        n_candidates = int(ends[-1]) if pairs else 0
        n = min(math.ceil(N_SLICES / network_input.slab), n_candidates)
        wanted: dict[int, list[int]] = {}
        for place in ((np.arange(n) + 0.5) * n_candidates / max(n, 1)).astype(int).tolist():
            number = int(np.searchsorted(ends, place, side="right"))
            wanted.setdefault(number, []).append(int(showing_head[number][place - ends[number]]))
        slices = [
            example for number, chosen in wanted.items() for example in _examples(pairs[number], chosen, network_input)
        ]
        shown = pairs[0] if slices else _best_of(folder, training, plane)
        example = None
        if shown is not None:
            fullest = int(shown.head_fraction(MR_KNOWN).argmax())
            (example,) = _examples(shown, [fullest], network_input)
        return Validation(slices, example, network_input)

    def mae_hu(self, trainer: Trainer) -> float | None:
        """MAE in HU (eq. 4) inside the head, where MR and CT are known, over all slices; None without slices.

        The reference is the CT as the method is shown it, and so within its range of HU.
        """
        total, voxels = 0.0, 0
        for example in self.slices:
            error = np.abs(self.sct_hu(trainer, example) - example.ct_hu)
            total += float(error[example.inside].sum(dtype=np.float64))
            voxels += int(example.inside.sum())
        return total / voxels if voxels else None

    def images(self, trainer: Trainer) -> ExampleImages | None:
        """The example as the networks are now; None without one."""
        example = self.example
        if example is None:
            return None
        sct_hu = self.sct_hu(trainer, example)
        middle = len(sct_hu) // 2
        ct_hu = None if example.ct_hu is None else example.ct_hu[middle]
        return ExampleImages(example.patient, self.input.middle(example.mr)[0], sct_hu[middle], ct_hu)

    def sct_hu(self, trainer: Trainer, example: ExampleSlice) -> np.ndarray:
        """Its sCT, HU (slab, rows, cols)."""
        return sct_slice_hu(trainer, self.input, example.mr)


def sct_slice_hu(trainer: Trainer, network_input: NetworkInput, mr: np.ndarray) -> np.ndarray:
    """HU (slab, rows, cols) that the networks, as they are now, make of a network input (channels, rows, cols)."""
    rows, cols = mr.shape[1:]
    padded = padded_to_multiple(mr, trainer.size_multiple, network_input.coding.mr_outside)
    sct = trainer.sct_of(torch.from_numpy(padded)[None])[0, :, :rows, :cols]
    return network_input.coding.network_to_hu(sct.cpu().numpy())


def _best_of(folder: Path, patients: Sequence[str], plane: Plane) -> SliceFacts | None:
    """The first patient with both scans, else the first with an MR; None where no patient has one."""
    with_mr = None
    for patient in patients:
        facts = SliceFacts.load(folder / f"{patient}.npz", plane)
        if facts.paired:
            return facts
        if with_mr is None and facts.reader.mr_channels:
            with_mr = facts
    return with_mr


def _examples(facts: SliceFacts, chosen: Sequence[int], network_input: NetworkInput) -> list[ExampleSlice]:
    slices, examples = facts.slices(), []
    for i in chosen:
        image = network_input.paired(slices, i) if facts.paired else {"mr": network_input.mr(slices, i)}
        ct = image.get("ct")
        ct_hu = None if ct is None else network_input.coding.network_to_hu(ct)
        inside = image["head"] > 0 if ct is not None else np.zeros((1, *image["mr"].shape[1:]), bool)
        examples.append(ExampleSlice(facts.patient, image["mr"], ct_hu, inside))
    return examples
