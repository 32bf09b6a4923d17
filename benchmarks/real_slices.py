"""MAE of every trainer on real registered slices, at equal processor time.

    python -m benchmarks.real_slices FOLDER                         all trainers, 120 s each
    python -m benchmarks.real_slices FOLDER --seconds 240 --trainers pix2pix unet --seeds 3
    python -m benchmarks.real_slices FOLDER --trainers unet unet:ema_decay=0 unet:widths=[8,16,32]

FOLDER holds ``mr``, ``ct`` and ``mask`` with one-slice images of the same names (1, rows, cols) of 1 mm, such as the
middle slices of registered patients. They are averaged to ``--pixel`` mm, and every fourth patient is held out
(``--fold`` chooses which). The head is the mask where there is tissue: CT > -400 HU or MR > 10 % of its range. Printed
are the mean and SD of the held-out patients' MAE in that head, HU not clipped, and a paired t-test against the first
trainer. Seconds are those of the processor, of all threads together, loading included.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import SimpleITK as sitk
import torch
from scipy import stats

from synthct.imaging.coding import MrStatistics, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning import rules
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.planning.plan import Configuration
from synthct.plugins import TRAINERS
from synthct.preprocessing.network_input import NetworkInput, padded_to_multiple
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack
from synthct.training.loader import SliceDataset, to_device
from synthct.training.sampling import PairedOrder, UnpairedOrder
from synthct.training.slices import SlicesToDraw, TrainingSlices
from synthct.training.trainer import Trainer

SIZE_MM = 288  # of a slice, rows and cols
STEPS_TO_TIME = 12
MR_STEP = 1 / 16  # of 8-bit intensities


@dataclass(frozen=True)
class Scored:
    """A trained method: MAE of each held-out patient, HU, and the steps that the time allowed."""

    mae_hu: np.ndarray
    steps: int


def read_slice(folder: Path, name: str, pixel_mm: int) -> SliceStack:
    """A patient's one slice, as preprocessing would cache it."""
    mr, ct, mask = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / kind / name))).astype(np.float32)[::-1, :, 0]
        for kind in ("mr", "ct", "mask")
    )
    head = (mask > 0) & ((ct > -400) | (mr > 0.1 * mr.max()))
    mr, ct, head = (_placed(_averaged(one, pixel_mm), SIZE_MM // pixel_mm) for one in (mr, ct, head))
    inside = head >= 0.5
    regions = np.where(inside, HEAD | MR_KNOWN | CT_KNOWN, MR_KNOWN | CT_KNOWN).astype(np.uint8)
    return SliceStack(
        patient=name.split(".")[0],
        mr=np.where(inside, np.rint(mr / MR_STEP), OUTSIDE).astype(np.int16)[None, None],
        ct=np.where(inside, np.rint(ct), OUTSIDE).astype(np.int16)[None],
        regions=regions[None],
        mr_steps=(MR_STEP,),
        mr_statistics=(MrStatistics.of(mr[inside]),),
    )


def _averaged(image: np.ndarray, pixels: int) -> np.ndarray:
    rows, cols = (size // pixels for size in image.shape)
    return image[: rows * pixels, : cols * pixels].reshape(rows, pixels, cols, pixels).mean((1, 3))


def _placed(image: np.ndarray, size: int) -> np.ndarray:
    """At the top and in the middle of a square of zeros; what does not fit is cut off."""
    image = image[:size, :size]
    left = (size - image.shape[1]) // 2
    return np.pad(image, ((0, size - image.shape[0]), (left, size - image.shape[1] - left)))


def configuration_for(pixel_mm: int) -> Configuration:
    """The configuration of few steps, for slices of this size."""
    size = (SIZE_MM // pixel_mm // 4 * 4,) * 2
    lowres, _ = low_resolution(reference_configuration(1))
    return replace(
        lowres,
        preprocessing=replace(lowres.preprocessing, slice_size=size),
        training=replace(lowres.training, padded_size=rules.padded_size(size), crop_size=size),
    )


def settings_for(trainer: type[Trainer], configuration: Configuration, changes: str) -> object:
    """As planned, but for a window of 8-bit MRs where the method has one, and ``key=value,key=value``, in JSON."""
    settings = trainer.plan_settings(configuration, None).settings
    if "mr_windows" in to_plain(settings)["coding"]:
        coding = replace(settings.coding, mr_windows=(MrWindow("percentile", 0.5, 99.5),))
        settings = replace(settings, coding=coding)
    changed = (change.partition("=") for change in re.split(r",(?=\w+=)", changes) if change)
    known = {field.name for field in fields(settings)}
    plain = {key: json.loads(value) for key, _, value in changed}
    if unknown := plain.keys() - known:
        raise SystemExit(f"No setting {', '.join(unknown)}; there are {', '.join(sorted(known))}.")
    return replace(
        settings, **{key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    )


def train_and_score(
    name: str, configuration: Configuration, folder: Path, split: dict[str, list[str]], seconds: float, seed: int
) -> Scored:
    """Train for so many processor seconds, and score the held-out patients."""
    trainer_name, _, changes = name.partition(":")
    method = TRAINERS.load(trainer_name)
    settings = settings_for(method, configuration, changes)
    training = method.training_plan(replace(configuration.training, seed=seed), settings)
    network_input = NetworkInput(configuration.input, method.coding(settings))
    slices = TrainingSlices(folder, split["train"], configuration.input, SlicesToDraw(method.paired, 0.01))
    if method.paired:
        order = PairedOrder(slices.mr, seed, batch_size=training.batch_size)
    else:
        order = UnpairedOrder(slices.mr, slices.ct, seed, batch_size=training.batch_size)
    dataset = SliceDataset(slices, order, network_input, training)

    def run(steps: int) -> Trainer:
        torch.manual_seed(seed)
        iterations = max(1, steps // training.epochs)
        trainer = method(replace(configuration, training=training), settings, "cpu", seed=seed)
        for step in range(steps):
            epoch = min(step // iterations, training.epochs - 1)
            trainer.set_learning_rate(settings.learning_rate * trainer.learning_rate_factor(epoch, step, steps))
            trainer.training_step(trainer.augment(to_device(dataset.batch(step), torch.device("cpu"))))
        return trainer

    run(2)
    before = time.process_time()
    run(STEPS_TO_TIME)
    steps = max(training.epochs, int(seconds * STEPS_TO_TIME / (time.process_time() - before)))
    trainer = run(steps)
    return Scored(np.array([_mae_hu(trainer, network_input, folder / f"{one}.npz") for one in split["val"]]), steps)


def _mae_hu(trainer: Trainer, network_input: NetworkInput, path: Path) -> float:
    """In the head, HU not clipped."""
    case = SliceFacts.load(path).slices()
    mr = padded_to_multiple(network_input.mr(case, 0), trainer.size_multiple, network_input.coding.mr_outside)
    ct = case.ct_slice(0)
    sct = trainer.sct_of(torch.from_numpy(mr)[None])[0, 0, : ct.shape[0], : ct.shape[1]].numpy()
    inside = ct != OUTSIDE
    return float(np.abs(network_input.coding.network_to_hu(sct) - ct)[inside].mean())


def constant_median(folder: Path, split: dict[str, list[str]]) -> np.ndarray:
    """MAE of the median HU of the training patients' heads everywhere; HU (patients,)."""
    heads = {}
    for patient in (*split["train"], *split["val"]):
        ct = SliceFacts.load(folder / f"{patient}.npz").slices().ct_slice(0)
        heads[patient] = ct[ct != OUTSIDE].astype(float)
    median = np.median(np.concatenate([heads[patient] for patient in split["train"]]))
    return np.array([np.abs(heads[patient] - median).mean() for patient in split["val"]])


def main() -> None:
    """Print a row a trainer and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainers", nargs="+", default=TRAINERS.names(), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the processor, for each (default: 120)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--fold", type=int, default=1, choices=range(4))
    parser.add_argument("--pixel", type=int, default=2, help="mm (default: 2)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = sorted(path.name for path in (arguments.folder / "mr").iterdir())
    configuration = configuration_for(arguments.pixel)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in names:
            stack = read_slice(arguments.folder, name, arguments.pixel)
            stack.save(folder / f"{stack.patient}.npz")
        patients = [name.split(".")[0] for name in names]
        held_out = patients[arguments.fold :: 4]
        split = {"train": [one for one in patients if one not in held_out], "val": held_out}
        print(f"{len(split['train'])} patients for training, {len(held_out)} held out; {arguments.pixel} mm")
        constant = constant_median(folder, split)
        print("| trainer | seed | steps | MAE, HU | SD | against the first: difference, p |\n|---|---|---|---|---|---|")
        print(f"| median CT | | | {constant.mean():.1f} | {constant.std(ddof=1):.1f} | |")
        first: dict[int, np.ndarray] = {}
        for name in arguments.trainers:
            for seed in range(arguments.seeds):
                one = train_and_score(name, configuration, folder, split, arguments.seconds, seed)
                reference = first.setdefault(seed, one.mae_hu)
                compared = ""
                if reference is not one.mae_hu:
                    p = stats.ttest_rel(one.mae_hu, reference).pvalue
                    compared = f"{(one.mae_hu - reference).mean():+.1f}, {p:.1e}"
                row = f"{name} | {seed} | {one.steps} | {one.mae_hu.mean():.1f} | {one.mae_hu.std(ddof=1):.1f}"
                print(f"| {row} | {compared} |", flush=True)


if __name__ == "__main__":
    main()
