"""Batches of one MR and one CT slice of 256 x 256, unpaired: the product's loader beside a textbook one.

    python -m benchmarks.loader                     slices from the cached files, and from memory
    python -m benchmarks.loader --patients 200

Textbook: a plain PyTorch Dataset and DataLoader, which reads the array of the drawn patient whole for a slice, pads,
crops and scales it. Both with 0, 1 and 2 processes that load; a batch counts once it is float32 on the device. The
product must make at least three times as many batches as a training step of 6 ms takes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.rounds import Measured, compare, show
from synthct.dataset.images import CaseImages
from synthct.imaging.coding import GreyLevels
from synthct.phantom import make_phantom_patient
from synthct.planning.configurations import reference_configuration
from synthct.planning.plan import TrainingPlan
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import OUTSIDE
from synthct.training.device import select_device
from synthct.training.loader import SliceDataset, batches, to_device
from synthct.training.sampling import UnpairedOrder
from synthct.training.slices import SlicesToDraw, TrainingSlices

STEP_S = 6e-3  # the training step that the loader must not keep waiting
DISTINCT = 4  # patients who are made; the files of the others link to theirs


class TextbookSlices(Dataset):
    """An MR and a CT slice at random, each from its patient's file."""

    def __init__(self, folder: Path, slices: TrainingSlices, training: TrainingPlan) -> None:
        self.folder, self.mr, self.ct, self.training = folder, list(slices.mr), list(slices.ct), training

    def __len__(self) -> int:
        return len(self.mr)

    def __getitem__(self, _: int) -> tuple[np.ndarray, np.ndarray]:
        mr_patient, i = self.mr[int(torch.randint(len(self.mr), ()))]
        ct_patient, j = self.ct[int(torch.randint(len(self.ct), ()))]
        mr = np.load(self.folder / f"{mr_patient}.npz")["mr"][:, i]
        ct = np.load(self.folder / f"{ct_patient}.npz")["ct"][None, j]
        return self._augmented(mr, 0, 3500), self._augmented(ct, -600, 1400)

    def _augmented(self, image: np.ndarray, low: float, high: float) -> np.ndarray:
        rows, cols = self.training.crop_size
        margin_rows, margin_cols = np.subtract(self.training.padded_size, self.training.crop_size) // 2
        grey = np.rint(np.clip((image.astype(np.float32) - low) / (high - low), 0, 1) * 255)
        grey[image == OUTSIDE] = 0
        padded = np.pad(grey, ((0, 0), (margin_rows, margin_rows), (margin_cols, margin_cols)))
        row = int(torch.randint(padded.shape[1] - rows + 1, ()))
        col = int(torch.randint(padded.shape[2] - cols + 1, ()))
        return padded[:, row : row + rows, col : col + cols] / 127.5 - 1


def make_stacks(folder: Path, n_patients: int) -> list[str]:
    """Cached files of phantoms; returns the patients."""
    names = [f"P{number:05d}" for number in range(n_patients)]
    for number in range(DISTINCT):
        patient = make_phantom_patient(number, voxel_scale=2.0)
        images = CaseImages(names[number], (patient.mr,), patient.ct)
        slices_of_case(images, reference_configuration(1).preprocessing).save(folder / f"{names[number]}.npz")
    for number in range(DISTINCT, n_patients):
        os.link(folder / f"{names[number % DISTINCT]}.npz", folder / f"{names[number]}.npz")
    return names


def measure(folder: Path, names: list[str], budget: int, workers: int, n_batches: int, rounds: int) -> Measured:
    """Seconds a batch of both; with a ``budget`` the product's slices are in memory before the rounds."""
    configuration = reference_configuration(1)
    training = configuration.training
    device, _ = select_device()
    wanted = SlicesToDraw(paired=False, min_head_fraction=training.min_head_fraction)
    slices = TrainingSlices(folder, names, configuration.input, wanted, budget=budget)
    if budget:  # and before the processes start, which then share it
        for image, keys in (("mr_slice", slices.mr), ("ct_slice", slices.ct)):
            for patient, i in keys:
                getattr(slices[patient], image)(i)
    plain = DataLoader(TextbookSlices(folder, slices, training), num_workers=workers)
    network_input = NetworkInput(configuration.input, GreyLevels())
    dataset = SliceDataset(slices, UnpairedOrder(slices.mr, slices.ct, 0), network_input, training)
    n_textbook = max(1, n_batches // 20)
    with batches(dataset, workers) as drawn:
        endless = itertools.chain.from_iterable(itertools.repeat(plain))

        def textbook() -> None:
            for images in itertools.islice(endless, n_textbook):
                [image.to(device) for image in images]

        def product() -> None:
            for batch in itertools.islice(drawn, n_batches):
                to_device(batch, device)

        total = compare(
            f"{'memory' if budget else 'files'}, {workers} processes that load", textbook, product, rounds=rounds
        )
    return Measured(total.work, total.textbook_s / n_textbook, total.product_s / n_batches)


def main() -> None:
    """Print the table, and how many batches a second these are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--batches", type=int, default=400, help="a round of the product; textbook: a twentieth")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads for 65,536 pixels wait for each other longer than they work
    with tempfile.TemporaryDirectory() as temporary:
        names = make_stacks(Path(temporary), arguments.patients)
        lines = [
            measure(Path(temporary), names, budget, workers, arguments.batches, arguments.rounds)
            for budget in (0, 2**40)
            for workers in (0, 1, 2)
        ]
    show(lines)
    print(f"\n| slices from | textbook | product | of a step's {STEP_S * 1e3:g} ms |\n|---|---|---|---|")
    for line in lines:
        rates = f"{1 / line.textbook_s:.0f} a second | {1 / line.product_s:.0f} a second"
        print(f"| {line.work} | {rates} | x {STEP_S / line.product_s:.1f} |")


if __name__ == "__main__":
    main()
