"""Batches of one MR and one CT slice of 256 x 256, unpaired: the product's loader beside a textbook one.

    python -m benchmarks.loader                     slices from the cached files, and from memory
    python -m benchmarks.loader --patients 200

Textbook: a plain PyTorch Dataset and DataLoader, which reads the drawn patient's whole file for a slice, pads, crops and
scales it. Both with 0, 1 and 2 processes that load; a batch counts once it is float32 in [-1, 1] on the device.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.rounds import compare, peak_memory_gib, show
from synthct.dataset.images import CaseImages
from synthct.dataset.phantom import make_phantom_patient
from synthct.planning.plan import TrainingPlan
from synthct.planning.planner import seed_configuration
from synthct.preprocessing.case import slices_of_case
from synthct.training.device import select_device
from synthct.training.loader import SliceLoader, batches, to_device
from synthct.training.sampling import Key, UnpairedOrder
from synthct.training.slices import TrainingSlices

STEP_S = 6e-3  # the training step that the loader must not keep waiting
DISTINCT = 4  # patients who are made; the files of the others link to theirs


class TextbookSlices(Dataset):
    """A random MR and CT slice, each from its patient's file."""

    def __init__(self, folder: Path, keys: list[Key], training: TrainingPlan) -> None:
        self.folder, self.keys, self.training = folder, keys, training

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, _: int) -> tuple[np.ndarray, np.ndarray]:
        (mr_patient, i), (ct_patient, j) = (self.keys[k] for k in torch.randint(len(self.keys), (2,)))
        mr = np.load(self.folder / f"{mr_patient}.npz")["mr"][:, i]
        ct = np.load(self.folder / f"{ct_patient}.npz")["ct"][None, j]
        return self._augmented(mr), self._augmented(ct)

    def _augmented(self, image: np.ndarray) -> np.ndarray:
        margin = np.subtract(self.training.padded_size, self.training.crop_size) // 2
        padded = np.pad(image, ((0, 0), *((m, m) for m in margin)))
        row, col = (int(torch.randint(size - crop + 1, ())) for size, crop in zip(padded.shape[1:], (256, 256)))
        return padded[:, row : row + 256, col : col + 256].astype(np.float32) / 127.5 - 1


def make_stacks(folder: Path, n_patients: int) -> list[str]:
    """Cached files of phantoms; returns the patients."""
    names = [f"P{number:05d}" for number in range(n_patients)]
    for number in range(DISTINCT):
        patient = make_phantom_patient(number, voxel_scale=2.0)
        images = CaseImages(names[number], (patient.mr,), patient.ct)
        slices_of_case(images, seed_configuration(1).preprocessing).save(folder / f"{names[number]}.npz")
    for number in range(DISTINCT, n_patients):
        os.link(folder / f"{names[number % DISTINCT]}.npz", folder / f"{names[number]}.npz")
    return names


def main() -> None:
    """Print the table, and how many batches a second these are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--batches", type=int, default=200, help="a round of the product; the textbook makes a tenth")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    training = seed_configuration(1).training
    device, _ = select_device()
    lines, rates = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = make_stacks(folder, arguments.patients)
        for budget, place in ((0, "from files"), (4 * 2**30, "from memory")):
            for workers in (0, 1, 2):
                slices = TrainingSlices(
                    folder, names, mr_channels=1, min_head_fraction=0.01, paired=False, budget=budget
                )
                if budget:  # before the processes that load start, which then share what is held
                    for key in slices.mr:
                        slices.mr_slice(key)
                    for key in slices.ct:
                        slices.ct_slice(key)
                loader = SliceLoader(slices, UnpairedOrder(slices.mr, slices.ct, 0), training, workers=workers)
                plain = DataLoader(TextbookSlices(folder, list(slices.mr), training), num_workers=workers)

                def textbook(endless: Iterator = _endless(plain)) -> None:
                    for _ in range(arguments.batches // 10):
                        for image in next(endless):
                            image.to(device)

                with ExitStack() as stack:
                    drawn = stack.enter_context(batches(loader, workers))

                    def product() -> None:
                        for _ in range(arguments.batches):
                            to_device(next(drawn), device, 256)

                    line = compare(f"a batch {place}, {workers} workers", textbook, product, rounds=arguments.rounds)
                line = type(line)(
                    line.work, 10 * line.textbook_s / arguments.batches, line.product_s / arguments.batches
                )
                lines.append(line)
                rates.append((line.work, 1 / line.textbook_s, 1 / line.product_s, STEP_S / line.product_s))
    show(lines)
    print(f"\n| work | textbook | product | what a step of {STEP_S * 1e3:g} ms consumes |\n|---|---|---|---|")
    for work, slow, fast, multiple in rates:
        print(f"| {work} | {slow:.0f} a second | {fast:.0f} a second | x {multiple:.1f} |")
    print(f"\n{len(names)} patients; peak memory of this process {peak_memory_gib():.2f} GiB")


def _endless(loader: DataLoader) -> Iterator:
    while True:
        yield from loader


if __name__ == "__main__":
    main()
