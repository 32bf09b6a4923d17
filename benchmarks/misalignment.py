"""When does unpaired training beat paired? Phantoms whose training CTs are misaligned by known amounts.

    python -m benchmarks.misalignment FOLDER                      24 phantoms, about an hour on two quiet cores
    python -m benchmarks.misalignment FOLDER --smoke              a few minutes
    python -m benchmarks.misalignment FOLDER --levels all --seeds 0 1 2 --folds 4

Every method is trained with MRs that are the same at each level and CTs that are not, and scored on held-out patients
against the true CT, which lies exactly where the MR is, and against the misaligned CT, as a study of patients must.
Unpaired methods are trained on aligned CTs and at the worst level of each curve alone (``--unpaired_levels``).

FOLDER gets the slices, ``results.csv`` (a row a patient, method, level and seed; what is there is not measured again),
``misalignment.md`` and ``misalignment.png``. Seconds are those of the processor in training steps, on top of which
pseudo-pairs are made and CTs moved; they settle the steps of a method at its first training, and every other training
has as many steps.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch

from benchmarks.displacement import shift_mm
from benchmarks.equal_time import Method, Task, errors, results_with, train_and_score
from benchmarks.misaligned_phantoms import ALIGNED, RESIDUAL, Level, make_slices, patient_names
from benchmarks.misalignment_report import FLOOR, SHIFT, draw, text_of
from synthct.errors import SynthctError
from synthct.files import write_json, write_text
from synthct.imaging.coding import AIR_HU
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.planning.plan import Configuration
from synthct.planning.splits import Split
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack

CONFIGURATION = "2d_lowres"
METHODS = ("pix2pix", "unet", "unet:rounds=2", "cyclegan", "unet_unpaired")
LEVELS = (
    "aligned",
    *(f"rigid-random-{mm}" for mm in (1, 2, 4, 6)),
    *(f"rigid-common-{mm}" for mm in (1, 2, 4)),
    *(f"local-random-{mm}" for mm in (6, 12)),
    "registered",
)
ALL_LEVELS = (
    "aligned",
    *(f"rigid-{sign}-{mm}" for sign in ("random", "common") for mm in (1, 2, 3, 4, 6)),
    *(f"local-{sign}-{mm}" for sign in ("random", "common") for mm in (3, 6, 9, 12)),
    "registered",
)


@dataclass(frozen=True)
class Study:
    """What is studied; the steps of a run in order.

    Attributes:
        folder: of slices, results and figures.
        levels: of the training CTs; :data:`ALIGNED` is always one of them.
        unpaired_levels: those at which unpaired methods are trained.
        methods: names as :class:`Method` reads them.
        seconds: of the processor, a training.
        configuration: half the resolution of Wolterink et al. 2017 and a quarter of the width, unless stated.
    """

    folder: Path
    n_patients: int
    n_folds: int
    voxel_scale: float
    levels: tuple[Level, ...]
    unpaired_levels: tuple[Level, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    seconds: float
    configuration: Configuration = low_resolution(reference_configuration(1))[0]

    @property
    def results_path(self) -> Path:
        return self.folder / "results.csv"

    @property
    def slices(self) -> Path:
        return self.folder / "slices"

    def check_folder(self) -> None:
        """Whether the folder is new, or of a study with the same patients, folds and seconds."""
        path = self.folder / "study.json"
        settled = {name: getattr(self, name) for name in ("n_patients", "n_folds", "voxel_scale", "seconds")}
        if path.is_file():
            there = pd.read_json(path, typ="series").to_dict()
            if there != settled:
                raise SystemExit(f"{self.folder} is of another study ({there}, now {settled}); choose another folder.")
        write_json(settled, path)

    def run(self) -> pd.DataFrame:
        """Make the slices, train and score; returns the results."""
        self.check_folder()
        make_slices(self.slices, self.n_patients, self.levels, self.configuration.preprocessing, self.voxel_scale)
        results = pd.DataFrame()
        for fold, level in product(range(self.n_folds), self.levels):
            measure = partial(misaligned_themselves, self.task(level, fold))
            results = results_with(self.results_path, FLOOR, fold, 0, measure, level=level.name)
        for seed, fold, level, name in product(self.seeds, range(self.n_folds), self.levels, self.methods):
            method = Method.of(name, CONFIGURATION)
            if not TRAINERS.load(method.trainer).needs_pairs and level not in self.unpaired_levels:
                continue
            task = self.task(level, fold)
            steps = steps_before(results, name)
            score = partial(score_both, misaligned=task.folder)
            measure = partial(
                train_and_score, method, task, self.seconds, seed, steps_of_each=steps, steps_alone=True, score=score
            )
            results = results_with(self.results_path, name, fold, seed, measure, level=level.name)
        return results

    def task(self, level: Level, fold: int) -> Task:
        """Training CTs of a level; held-out patients with the true CT."""
        patients = patient_names(self.n_patients)
        held_out = patients[fold :: self.n_folds]
        split = Split(tuple(patient for patient in patients if patient not in held_out), tuple(held_out))
        configurations = {CONFIGURATION: self.configuration}
        aligned = self.slices / ALIGNED.name
        return Task(self.slices / level.name, configurations, settings_for, split, held_out_folder=aligned)


def settings_for(trainer: str, configuration: Configuration) -> object:
    """Those of the method's paper."""
    return TRAINERS.load(trainer).plan_settings(configuration, None).settings


def steps_before(results: pd.DataFrame, method: str) -> list[int] | None:
    """How many steps the method's first training had, of each configuration; None before it."""
    rows = results[results.method == method]
    return None if rows.empty else [int(steps) for steps in str(rows.steps.iloc[0]).split("+")]


def score_both(sct_hu: np.ndarray, truth: SliceStack, misaligned: Path) -> dict[str, float]:
    """Errors against the true CT, and windowed MAE against the misaligned one (``measured``); shift of the anatomy.

    Args:
        sct_hu: (slices, rows, cols).
        truth: the aligned stack of the patient.
        misaligned: the folder of the level's stacks; both are on the MR's grid.
    """
    seen = SliceStack.load(cached_path(misaligned, truth.patient))
    measured = errors(sct_hu, replace(truth, ct=seen.ct))
    shift = dict(zip(SHIFT, shift_mm(sct_hu, truth).tolist(), strict=True))
    return {**errors(sct_hu, truth), "measured_mae_windowed_hu": measured["mae_windowed_hu"], **shift}


def misaligned_themselves(task: Task) -> pd.DataFrame:
    """The floor: the misaligned CTs of the held-out patients, scored as if they were sCTs; air around them."""
    rows = []
    for patient, truth in task.held_out_stacks().items():
        seen = SliceStack.load(cached_path(task.folder, patient))
        hu = np.where(seen.ct == OUTSIDE, AIR_HU, seen.ct).astype(np.float32)
        scored = score_both(hu, truth, task.folder)
        rows.append({"patient": patient, **scored, "residual_mm": seen.info[RESIDUAL]})
    return pd.DataFrame(rows).assign(steps="0")


def worst_levels(levels: Sequence[Level]) -> tuple[Level, ...]:
    """The aligned level and the last of each curve."""
    curves = {level.curve: level for level in sorted(levels) if level.curve}
    return (ALIGNED, *curves.values())


def parsed() -> Study:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--levels", nargs="+", default=LEVELS, help="or 'all'; the aligned level is always there")
    parser.add_argument("--unpaired_levels", nargs="+", help="aligned and the worst of each curve unless stated")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, default=2, help="into which the patients are split; all are held out once")
    parser.add_argument("--seconds", type=float, default=45.0, help="of the processor, a training (default: 45)")
    parser.add_argument("--voxel_scale", type=float, default=1.5, help="of the phantoms (default: 1.5)")
    parser.add_argument("--smoke", action="store_true", help="4 coarse phantoms, 2 levels, 8 s: whether it runs")
    arguments = parser.parse_args()
    if arguments.smoke:
        smoke = {"patients": 4, "levels": ["rigid-common-4"], "seconds": 8.0, "voxel_scale": 3.0}
        parser.set_defaults(**smoke)
        arguments = parser.parse_args()
    if not 2 <= arguments.folds <= arguments.patients:
        raise SystemExit(f"--folds must lie in 2..{arguments.patients} (--patients), got {arguments.folds}.")
    names = ALL_LEVELS if list(arguments.levels) == ["all"] else arguments.levels
    levels = tuple(dict.fromkeys((ALIGNED, *map(Level.of, names))))
    unpaired = tuple(map(Level.of, arguments.unpaired_levels or ())) or worst_levels(levels)
    return Study(
        arguments.folder,
        arguments.patients,
        arguments.folds,
        arguments.voxel_scale,
        levels,
        unpaired,
        tuple(arguments.methods),
        tuple(arguments.seeds),
        arguments.seconds,
    )


def report(study: Study, results: pd.DataFrame) -> str:
    """Write the tables and the figure into the study's folder; returns the tables."""
    paired = {name: TRAINERS.load(Method.of(name, CONFIGURATION).trainer).needs_pairs for name in study.methods}
    text = text_of(results, study.levels, paired)
    write_text(text, study.folder / "misalignment.md")
    draw(results, study.levels, paired, study.folder / "misalignment.png")
    return text


def main() -> None:
    """Run the study, print its tables."""
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    study = parsed()
    try:
        print(report(study, study.run()))
    except SynthctError as fault:
        raise SystemExit(str(fault)) from None


if __name__ == "__main__":
    main()
