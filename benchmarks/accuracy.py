"""Accuracy of methods on a preprocessed dataset, at equal processor time, over folds and seeds.

    python -m benchmarks.accuracy 1                                          all trainers, 120 s each, fold 0
    python -m benchmarks.accuracy 1 --methods pix2pix unet unet@2.5d_lowres --folds 0 1 2 3 --seeds 0 1 2
    python -m benchmarks.accuracy 1 --methods unet@2.5d_lowres+2.5d_lowres_axial+2.5d_lowres_coronal unet:ema_decay=0

Whole heads of the held-out patients are synthesised on the network's own grid and scored inside the head, where both
scans are known. Results are kept in ``--results``, a row a patient; what is there is not measured again. Seconds are
those of the processor, loading included; with several configurations for each of them.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch

from benchmarks.equal_time import (
    CONSTANT,
    Method,
    Task,
    calibration_table,
    constant_median,
    results_with,
    slice_methods,
    table,
    train_and_score,
)
from synthct.dataset.raw import find_dataset_folder
from synthct.paths import root_folder
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import settings_of
from synthct.planning.plan import Plan
from synthct.planning.splits import load_splits
from synthct.preprocessing.cache import cache_folder


def main() -> None:
    """Train, score, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="number or name; preprocessed with -c 2d_lowres")
    parser.add_argument("--methods", nargs="+", default=slice_methods(), metavar="METHOD")
    parser.add_argument("-c", dest="configuration", default="2d_lowres", help="where a method names none")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the processor (default: 120)")
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--mirror", action="store_true", help="synthesise mirrored heads too")
    parser.add_argument("--disjoint", action="store_true", help="MR and CT from different patients; no paired methods")
    parser.add_argument("--results", type=Path, default=Path("accuracy.csv"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = find_dataset_folder(root_folder("synthct_preprocessed"), arguments.dataset, "synthct_preprocessed")
    plan = Plan.load(folder / "plans.json")
    splits = load_splits(folder / "splits_final.json", Fingerprint.load(folder / "dataset_fingerprint.json").cases)
    how = " mirrored" * arguments.mirror + " disjoint" * arguments.disjoint
    names = {f"{name}{how} {arguments.seconds:g} s": name for name in arguments.methods}
    for fold, seed in product(arguments.folds, arguments.seeds):
        task = Task(
            cache_folder(folder, plan.configuration(arguments.configuration).preprocessing),
            plan.configurations,
            lambda trainer, configuration: settings_of(trainer, configuration, "plans.json"),
            splits[fold],
            arguments.disjoint,
        )
        results = results_with(arguments.results, CONSTANT, fold, 0, partial(constant_median, task))
        for name, text in names.items():
            method = Method.of(text, arguments.configuration)
            measure = partial(train_and_score, method, task, arguments.seconds, seed, mirror=arguments.mirror)
            results = results_with(arguments.results, name, fold, seed, measure)
    print(table(results, [CONSTANT, *names]))
    print(calibration_table(results, list(names)))


if __name__ == "__main__":
    main()
