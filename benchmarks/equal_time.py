"""Methods trained for the same processor seconds on the same cached slices, and scored on held-out patients.

A method is written ``TRAINER[@CONFIGURATION[*MEMBERS][+CONFIGURATION...]][:key=value,...]``. Several configurations of
other planes are trained for the seconds each and combined voxel by voxel, and so are members, trainings of the same
configuration with other seeds, as the folds of a model are. Keys are settings of the trainer, in JSON.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from synthct.accelerate.cuda_graph import recorded_step
from synthct.files import written_whole
from synthct.imaging.coding import HU_LIMITS
from synthct.inference.synthesis import SynthesisOptions, over_planes, synthesize_stack
from synthct.parallel import quiet
from synthct.planning.plan import Configuration
from synthct.planning.splits import Split
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.training.loader import SliceDataset, to_device
from synthct.training.trainer import CachedSlices, Trainer

STEPS_TO_TIME = 12
SEEDS_APART = 1000  # of the members of an ensemble
WINDOW_HU = (-600.0, 1400.0)
BONE_HU = 250.0
CPU = torch.device("cpu")
CONSTANT = "median CT"
AVERAGE_HEAD = "average head"
SettingsOf = Callable[[str, Configuration], Any]  # the planned settings of a trainer
Score = Callable[[np.ndarray, SliceStack], dict[str, float]]  # of an sCT (HU) and the stack it was made from


@dataclass(frozen=True)
class Method:
    """What is trained: a trainer, on one or more configurations, with changed settings."""

    name: str
    trainer: str
    configurations: tuple[str, ...]
    members: tuple[int, ...]  # of each configuration
    changes: dict[str, Any]

    @staticmethod
    def of(name: str, default_configuration: str) -> Method:
        """From its name; see the module."""
        what, _, changes = name.partition(":")
        trainer, _, configurations = what.partition("@")
        pairs = (change.partition("=") for change in re.split(r",(?=\w+=)", changes) if change)
        plain = {key: json.loads(value) for key, _, value in pairs}
        parts = [part.partition("*") for part in (configurations or default_configuration).split("+")]
        members = tuple(int(number or 1) for _, _, number in parts)
        return Method(name, trainer, tuple(part for part, _, _ in parts), members, plain)

    def settings(self, planned: Any) -> Any:
        """The planned settings with the changes."""
        known = {field.name for field in fields(planned)}
        if unknown := self.changes.keys() - known:
            raise SystemExit(f"{self.name}: no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}.")
        return replace(
            planned, **{key: tuple(value) if isinstance(value, list) else value for key, value in self.changes.items()}
        )


@dataclass(frozen=True)
class Task:
    """Cached slices of patients in a folder, and which of them are trained on.

    Attributes:
        disjoint: MR and CT come from different patients.
        held_out_folder: of the slices of the held-out patients, and their reference CTs; ``folder`` unless stated.
    """

    folder: Path
    configurations: dict[str, Configuration]
    settings_of: SettingsOf
    split: Split
    disjoint: bool = False
    held_out_folder: Path | None = None
    device: torch.device = CPU

    def training_stacks(self) -> dict[str, SliceStack]:
        """Of the training patients, read."""
        return _stacks(self.folder, self.split.train)

    def held_out_stacks(self) -> dict[str, SliceStack]:
        """Of the held-out patients, read."""
        return _stacks(self.held_out_folder or self.folder, self.split.val)


def _stacks(folder: Path, patients: Sequence[str]) -> dict[str, SliceStack]:
    return {patient: SliceStack.load(cached_path(folder, patient)) for patient in patients}


def errors(sct_hu: np.ndarray, stack: SliceStack) -> dict[str, float]:
    """MAE in the head where the CT is known; HU not clipped, and both clipped to a window.

    Args:
        sct_hu: (slices, rows, cols).
        stack: of the same grid, with the reference CT.
    """
    inside = (stack.ct != OUTSIDE) & (stack.mr[0] != OUTSIDE)
    sct, ct = np.clip(sct_hu[inside], *HU_LIMITS), stack.ct[inside].astype(np.float32)
    bone, sct_bone = ct > BONE_HU, sct > BONE_HU
    return {
        "mae_hu": float(np.abs(sct - ct).mean()),
        "mae_windowed_hu": float(np.abs(np.clip(sct, *WINDOW_HU) - np.clip(ct, *WINDOW_HU)).mean()),
        "bone_mae_hu": float(np.abs(sct - ct)[bone].mean()),
        "bone_dice": float(2 * (bone & sct_bone).sum() / max(1, bone.sum() + sct_bone.sum())),
    }


def slice_methods() -> list[str]:
    """Names of the trainers whose networks see slices."""
    return [name for name in TRAINERS.names() if TRAINERS.load(name).dimensions == 2]


def train_and_score(
    method: Method,
    task: Task,
    seconds: float,
    seed: int,
    *,
    mirror: bool = False,
    steps_of_each: Sequence[int] | None = None,
    steps_alone: bool = False,
    score: Score = errors,
) -> pd.DataFrame:
    """Train for so many processor seconds a configuration; a row of figures for each held-out patient.

    Args:
        steps_of_each: of each configuration, instead of the seconds: as many as another training had.
        steps_alone: the seconds are those of training steps; making slices for them comes on top.
        score: the figures of an sCT (slices, rows, cols) and the held-out patient's stack.
    """
    stacks = task.held_out_stacks()
    outputs: dict[str, list] = {patient: [] for patient in stacks}
    steps = []
    wanted = steps_of_each or [None] * len(method.configurations)
    for name, n_members, n_wanted in zip(method.configurations, method.members, wanted, strict=True):
        configuration = task.configurations[name]
        settings = method.settings(task.settings_of(method.trainer, configuration))
        train = partial(_train, method.trainer, configuration, settings, task, seconds)
        members = [train(seed + SEEDS_APART * i, n_wanted, steps_alone) for i in range(n_members)]
        trained, n_steps = members[0]
        steps.append(n_steps)
        network_input = NetworkInput(configuration.input, trained.coding(settings))
        networks = [
            {network: member.networks[network].eval() for network in trained.to_predict} for member, _ in members
        ]
        for patient, stack in stacks.items():
            options = SynthesisOptions(mirror=mirror)
            outputs[patient].append(
                synthesize_stack(stack, type(trained), network_input, networks, task.device, options)
            )
    rows = []
    for patient, stack in stacks.items():
        output = over_planes(outputs[patient])
        calibration = {} if output.spread_hu is None else calibration_of(output.sct_hu, output.spread_hu, stack)
        rows.append({"patient": patient, **score(output.sct_hu, stack), **calibration})
    return pd.DataFrame(rows).assign(steps="+".join(map(str, steps)))


def calibration_of(sct_hu: np.ndarray, spread_hu: np.ndarray, stack: SliceStack) -> dict[str, float]:
    """What the SD over members and planes says of the error, in the head where the CT is known.

    Args:
        sct_hu, spread_hu: (slices, rows, cols).
        stack: of the same grid, with the reference CT.

    Returns:
        Share of the voxels whose error is at most two SD; rank correlation of SD and absolute error; the mean absolute
        error of the tenth of the voxels with the largest SD, and of the half with the smallest (HU).
    """
    inside = (stack.ct != OUTSIDE) & (stack.mr[0] != OUTSIDE)
    error = np.abs(np.clip(sct_hu[inside], *HU_LIMITS) - stack.ct[inside].astype(np.float32))
    spread = spread_hu[inside]
    return {
        "within_2_sd": float((error <= 2 * spread).mean()),
        "sd_rank_correlation": float(stats.spearmanr(spread[::10], error[::10]).statistic),
        "mae_at_largest_sd_hu": float(error[spread >= np.quantile(spread, 0.9)].mean()),
        "mae_at_smallest_sd_hu": float(error[spread <= np.quantile(spread, 0.5)].mean()),
    }


def _train(
    trainer_name: str,
    configuration: Configuration,
    settings: Any,
    task: Task,
    seconds: float,
    seed: int,
    steps_wanted: int | None,
    steps_alone: bool,
) -> tuple[Trainer, int]:
    method = TRAINERS.load(trainer_name)
    training = method.training_plan(replace(configuration.training, seed=seed), settings)
    planned = replace(configuration, training=training)

    network_input = NetworkInput(configuration.input, method.coding(settings))
    cached = CachedSlices(task.folder, task.split.train, task.disjoint)

    def start() -> Trainer:
        torch.manual_seed(seed)
        return method(planned, settings, task.device, seed=seed)

    with tempfile.TemporaryDirectory() as own:

        def round_dataset(trainer: Trainer, number: int) -> tuple[SliceDataset, float]:
            """The batches of a round, and the processor seconds that making its slices took."""
            before = time.process_time()
            folder, names = trainer.training_slices(cached, Path(own), number, quiet)
            taken = time.process_time() - before
            disjoint = task.disjoint and not method.paired
            drawn_as = {"paired": method.paired, "disjoint": disjoint, "position_matched": trainer.position_matched}
            return SliceDataset.of(folder, names, network_input, training, **drawn_as), taken

        def run(steps: int, dataset: SliceDataset, later_rounds: Sequence[int] = ()) -> Trainer:
            """Train for so many steps; before each of those of ``later_rounds`` a round begins."""
            trainer, iterations = start(), max(1, steps // training.epochs)
            training_step = recorded_step(trainer)
            for step in range(steps):
                if step in later_rounds:
                    dataset, _ = round_dataset(trainer, 1 + later_rounds.index(step))
                epoch = min(step // iterations, training.epochs - 1)
                trainer.set_learning_rate(settings.learning_rate * trainer.learning_rate_factor(epoch, step, steps))
                trainer.before_step(step, steps)
                training_step(trainer.augment(to_device(dataset.batch(step), task.device)))
            return trainer

        def trained(steps: int, dataset: SliceDataset) -> tuple[Trainer, int]:
            later_rounds = [epoch * steps // training.epochs for epoch in start().rounds(training.epochs)[1:]]
            return run(steps, dataset, later_rounds), steps

        first, taken = round_dataset(start(), 0)
        if steps_wanted is not None:
            return trained(steps_wanted, first)
        run(2, first)
        before = time.process_time()
        trainer = run(STEPS_TO_TIME, first)
        a_step = (time.process_time() - before) / STEPS_TO_TIME
        if steps_alone:
            taken = 0.0
        else:
            # Later rounds' slices are made once to be timed, which hardly depends on the weights, and anew on the way.
            n_later = len(trainer.rounds(training.epochs)) - 1
            taken += sum(round_dataset(trainer, 1 + i)[1] for i in range(n_later))
            first, _ = round_dataset(start(), 0)
        return trained(max(training.epochs, int((seconds - taken) / a_step)), first)


def constant_median(task: Task) -> pd.DataFrame:
    """The median HU of the training patients' heads everywhere."""
    heads = [stack.ct[stack.ct != OUTSIDE] for stack in task.training_stacks().values()]
    median = np.float32(np.median(np.concatenate(heads)))
    rows = [
        {"patient": patient, **errors(np.full(stack.ct.shape, median), stack)}
        for patient, stack in task.held_out_stacks().items()
    ]
    return pd.DataFrame(rows).assign(steps="")


def results_with(
    path: Path, method: str, fold: int, seed: int, measure: Callable[[], pd.DataFrame], **condition: str
) -> pd.DataFrame:
    """The table in a file, with the rows of a method; measured only where the file does not have them yet.

    Args:
        condition: further columns that distinguish its rows from those of the same method, such as the level of
            misalignment.
    """
    known = pd.read_csv(path, dtype={"steps": str}) if path.is_file() else pd.DataFrame()
    keys = {"method": method, "fold": fold, "seed": seed, **condition}
    if known.empty or not np.logical_and.reduce([known[name] == value for name, value in keys.items()]).any():
        rows = measure().assign(**keys)
        known = pd.concat([known, rows], ignore_index=True)
        with written_whole(path) as temporary:
            known.to_csv(temporary, index=False)
        where = ", ".join([method, *condition.values(), f"fold {fold}", f"seed {seed}"])
        print(f"{where}: {rows.mae_hu.mean():.1f} HU, {rows.steps.iloc[0]} steps", flush=True)
    return known


def table(results: pd.DataFrame, methods: Sequence[str]) -> str:
    """A row a method: means over patients, after that over their seeds; paired t-test against the first method."""
    lines = [
        "| method | seeds | steps | MAE, HU | SD over patients | over seeds | windowed | bone | bone Dice | "
        "against the first | ratio | p |",
        "|---|" + "---|" * 11,
    ]
    first = None
    for method in methods:
        rows = results[results.method == method]
        if rows.empty:
            continue
        patients = rows.groupby(["fold", "patient"])[["mae_hu", "mae_windowed_hu", "bone_mae_hu", "bone_dice"]].mean()
        mae = patients.mae_hu
        seeds = rows.groupby("seed").mae_hu.mean()
        over_seeds = f"{seeds.std(ddof=1):.1f}" if len(seeds) > 1 else ""
        compared = " | | "
        if method in (CONSTANT, AVERAGE_HEAD):
            pass
        elif first is None:
            first = mae
        elif not mae.index.symmetric_difference(first.index).size:
            p = stats.ttest_rel(mae, first).pvalue if len(mae) > 1 else float("nan")
            compared = f"{(mae - first).mean():+.1f} | {mae.mean() / first.mean():.2f} | {p:.0e}"
        lines.append(
            f"| {method} | {len(seeds)} | {rows.steps.iloc[0]} | {mae.mean():.1f} | {mae.std(ddof=1):.1f}"
            f" | {over_seeds}"
            f" | {patients.mae_windowed_hu.mean():.1f} | {patients.bone_mae_hu.mean():.0f}"
            f" | {patients.bone_dice.mean():.2f} | {compared} |"
        )
    return "\n".join(lines)


def calibration_table(results: pd.DataFrame, methods: Sequence[str]) -> str:
    """A row a method that combines several sCTs: means over patients of :func:`calibration_of`; empty without any."""
    if "within_2_sd" not in results:
        return ""
    lines = [
        "| method | error within 2 SD | rank correlation of SD and error | MAE of the tenth with the largest SD, HU | "
        "of the half with the smallest |",
        "|---|---|---|---|---|",
    ]
    for method in methods:
        rows = results[results.method == method].dropna(subset="within_2_sd")
        if not rows.empty:
            lines.append(
                f"| {method} | {rows.within_2_sd.mean():.0%} | {rows.sd_rank_correlation.mean():.2f}"
                f" | {rows.mae_at_largest_sd_hu.mean():.0f} | {rows.mae_at_smallest_sd_hu.mean():.0f} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""
