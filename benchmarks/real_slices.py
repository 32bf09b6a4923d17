"""MAE of every trainer on real registered slices, at equal processor time.

    python -m benchmarks.real_slices FOLDER                         all trainers, 120 s each
    python -m benchmarks.real_slices FOLDER --seconds 240 --methods pix2pix unet --seeds 0 1 2
    python -m benchmarks.real_slices FOLDER --methods unet unet:ema_decay=0 unet:widths=[8,16,32]

FOLDER holds ``mr``, ``ct`` and ``mask`` with one-slice images of the same names (1, rows, cols) of 1 mm, such as the
middle slices of registered patients. They are averaged to ``--pixel`` mm, and every fourth patient is held out
(``--folds`` chooses which). The head is the mask where there is tissue: CT > -400 HU or MR > 10 % of its range. Results
are kept in ``--results``, a row a patient; what is there is not measured again. Seconds are those of the processor,
loading included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch

from benchmarks.equal_time import (
    AVERAGE_HEAD,
    CONSTANT,
    Method,
    Task,
    constant_median,
    errors,
    results_with,
    slice_methods,
    table,
    train_and_score,
)
from synthct.imaging.coding import MrStatistics, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning import rules
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.planning.plan import Configuration
from synthct.planning.splits import Split
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack

SIZE_MM = 288  # of a slice, rows and cols
N_FOLDS = 4
SLICES = "slices"  # the one configuration
MR_STEP = 1 / 16  # of 8-bit intensities


def read_slice(folder: Path, name: str, pixel_mm: int) -> SliceStack:
    """A patient's one slice, as preprocessing would cache it."""
    mr, ct, mask = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / kind / name))).astype(np.float32)[::-1, :, 0]
        for kind in ("mr", "ct", "mask")
    )
    head = (mask > 0) & ((ct > -400) | (mr > 0.1 * mr.max()))
    mr, ct, head = (_placed(_averaged(image, pixel_mm), SIZE_MM // pixel_mm) for image in (mr, ct, head))
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


def settings_for(trainer: str, configuration: Configuration) -> Any:
    """As planned without a fingerprint, but for a window of 8-bit MRs where the method has one."""
    settings = TRAINERS.load(trainer).plan_settings(configuration, None).settings
    if "mr_windows" not in to_plain(settings).get("coding", {}):
        return settings
    return replace(settings, coding=replace(settings.coding, mr_windows=(MrWindow("percentile", 0.5, 99.5),)))


def average_head(task: Task) -> pd.DataFrame:
    """The pixel-wise median CT of the training patients' heads, which have their vertex and middle on one another."""
    cts = np.stack([np.where(stack.ct == OUTSIDE, np.nan, stack.ct) for stack in task.training_stacks().values()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no head reaches
        median = np.nanmedian(cts, axis=0)
    median = np.where(np.isnan(median), np.nanmedian(cts), median).astype(np.float32)
    rows = [{"patient": patient, **errors(median, stack)} for patient, stack in task.held_out_stacks().items()]
    return pd.DataFrame(rows).assign(steps="")


def main() -> None:
    """Print a row a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", default=slice_methods(), metavar="METHOD")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the processor, for each (default: 120)")
    parser.add_argument("--steps", type=int, help="for each, instead of seconds; such as on a GPU")
    parser.add_argument("-device", default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[1], choices=range(N_FOLDS))
    parser.add_argument("--pixel", type=int, default=2, help="mm (default: 2)")
    parser.add_argument("--disjoint", action="store_true", help="MR and CT from different patients; no paired methods")
    parser.add_argument("--results", type=Path, default=Path("real_slices.csv"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = sorted(path.name for path in (arguments.folder / "mr").iterdir())
    configurations = {SLICES: configuration_for(arguments.pixel)}
    length = f"{arguments.seconds:g} s" if arguments.steps is None else f"{arguments.steps} steps"
    methods = {f"{name}{' disjoint' * arguments.disjoint} {length}": name for name in arguments.methods}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in names:
            stack = read_slice(arguments.folder, name, arguments.pixel)
            stack.save(cached_path(folder, stack.patient))
        patients = [name.split(".")[0] for name in names]
        for fold, seed in product(arguments.folds, arguments.seeds):
            held_out = patients[fold::N_FOLDS]
            split = Split(tuple(patient for patient in patients if patient not in held_out), tuple(held_out))
            device = torch.device(arguments.device)
            task = Task(folder, configurations, settings_for, split, arguments.disjoint, device=device)
            results = results_with(arguments.results, CONSTANT, fold, 0, partial(constant_median, task))
            results = results_with(arguments.results, AVERAGE_HEAD, fold, 0, partial(average_head, task))
            for name, text in methods.items():
                method = Method.of(text, SLICES)
                steps = None if arguments.steps is None else [arguments.steps] * len(method.configurations)
                measure = partial(train_and_score, method, task, arguments.seconds, seed, steps_of_each=steps)
                results = results_with(arguments.results, name, fold, seed, measure)
    print(table(results, [CONSTANT, AVERAGE_HEAD, *methods]))


if __name__ == "__main__":
    main()
