"""Small synthetic stacks, and a plan for tiny networks."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synthct.imaging.coding import GreyLevels, MrStatistics, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.plan import FORMAT_VERSION, Configuration, InputPlan, Plan, PreprocessingPlan, TrainingPlan
from synthct.plugins import TRAINERS
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack
from synthct.training.logger import LoggedTraining
from synthct.training.what_to_train import FoldToTrain

SIZE = 32  # pixels of a slice
N_SLICES = 8
PAIRED = ["PAIR_1", "PAIR_2", "PAIR_3", "PAIR_4"]
ONLY_MR, ONLY_CT = "ONLYMR_1", "ONLYCT_1"
TRAIN = [*PAIRED[:3], ONLY_MR, ONLY_CT]
VAL = [PAIRED[3]]


def make_stack(patient: str, number: int, *, mr: bool = True, ct: bool = True, size: int = SIZE) -> SliceStack:
    """A round head with a bright rim on CT and a dark one on MR; the first and the last slice are empty."""
    rng = np.random.default_rng(number)
    rows, cols = np.mgrid[:size, :size] - (size - 1) / 2
    regions = np.full((N_SLICES, size, size), MR_KNOWN * mr | CT_KNOWN * ct, np.uint8)
    mr_units = np.zeros((1, N_SLICES, size, size))
    ct_hu = np.zeros((N_SLICES, size, size))
    for i in range(1, N_SLICES - 1):
        radius = np.hypot(rows, cols) / (size * (0.3 + 0.02 * (i % 4)))
        head, rim = radius < 1, (radius >= 0.8) & (radius < 1)
        texture = rng.integers(0, 20, (size, size))
        regions[i][head] |= HEAD
        mr_units[0, i] = np.where(rim, 30, 150 + texture) * 3500 / 255
        ct_hu[i] = np.where(rim, 220, 80 + texture // 4) * 2000 / 255 - 600
    if ct:
        regions[:, -3:] &= ~np.uint8(CT_KNOWN)  # the CT ends above the lowest rows
    in_head = (regions & HEAD) > 0
    return SliceStack(
        patient,
        np.where(in_head, mr_units, OUTSIDE).astype(np.int16) if mr else None,
        np.where(in_head & ((regions & CT_KNOWN) > 0), ct_hu, OUTSIDE).astype(np.int16) if ct else None,
        regions,
        mr_steps=(1.0,) * mr,
        mr_statistics=(MrStatistics.of(mr_units[0][in_head].astype(float)),) * mr,
        info={"made": "for tests"},
    )


def make_training(**changes) -> TrainingPlan:
    values = {
        "padded_size": (36, 36),
        "crop_size": (32, 32),
        "min_head_fraction": 0.05,
        "batch_size": 1,
        "epochs_constant": 1,
        "epochs_decay": 1,
        "iterations_per_epoch": 4,
        "precision": "float32",
        "seed": 7,
    }
    return TrainingPlan(**(values | changes))


TINY = {
    "base_channels": 4,
    "n_blocks": 1,
    "discriminator_base_channels": 4,
    "widths": (4, 8),
    "n_levels": 3,
    "warm_up_steps": 1,
    "blocks": (1, 1),
    "patch": (4, 32, 32),
}


def make_settings(trainer: str, mr_channels: int = 1, **changes) -> Any:
    """Settings of a trainer of ours, for tiny networks; ``changes`` that it does not have are left out."""
    kind = TRAINERS.load(trainer).Settings
    coding = kind().coding
    if isinstance(coding, GreyLevels):
        coding = GreyLevels(mr_windows=(MrWindow("fixed", 0.0, 3500.0),) * mr_channels)
    values = {"coding": coding, **TINY, "pool_size": 3} | changes
    return kind(**{name: value for name, value in values.items() if name in kind.__dataclass_fields__})


def make_configuration(
    mr_channels: int = 1, settings: dict[str, Any] | None = None, dimensions: int = 2, **training
) -> Configuration:
    """Tiny networks of all trainers; ``settings`` changes theirs."""
    return Configuration(
        PreprocessingPlan(
            slice_plane="sagittal",
            spacing_mm=(1.0, 0.87, 0.87),
            slice_scale=1.125,
            slice_size=(SIZE, SIZE),
            interpolation="linear",
        ),
        InputPlan(plane="sagittal", neighbours=0, mr_channels=mr_channels),
        make_training(**training),
        methods={name: to_plain(make_settings(name, mr_channels, **(settings or {}))) for name in TRAINERS.ours},
        dimensions=dimensions,
    )


def make_plan(configuration: Configuration | None = None) -> Plan:
    """A plan with one configuration, ``tiny``."""
    configuration = configuration or make_configuration()
    return Plan(
        format_version=FORMAT_VERSION,
        synthct_version="0.1.0",
        dataset_name="Dataset001_Test",
        planner="default",
        channel_names=tuple(f"MR{i}" for i in range(configuration.input.mr_channels)),
        file_ending=".nii.gz",
        n_folds=4,
        configurations={"tiny": configuration},
    )


def for_trainer(plan: Plan, trainer: str) -> Plan:
    """The plan for networks of slices, or of slabs, as the trainer has them."""
    configuration = replace(plan.configurations["tiny"], dimensions=TRAINERS.load(trainer).dimensions)
    return replace(plan, configurations=plan.configurations | {"tiny": configuration})


def make_trainer(name: str, configuration: Configuration | None = None, **changes) -> Any:
    """A trainer on the CPU; ``changes`` are of its settings, or its ``seed``."""
    seed = changes.pop("seed", None)
    configuration = configuration or make_configuration()
    settings = make_settings(name, configuration.input.mr_channels, **changes)
    return TRAINERS.load(name)(configuration, settings, "cpu", seed=seed)


def what_to_train(
    trainer: str, plan: Plan, slices_folder: Path, fold_folder: Path, split: dict[str, list[str]], **changes
) -> FoldToTrain:
    """The configuration ``tiny`` of a plan."""
    return FoldToTrain(trainer, plan, "tiny", split, slices_folder / "tiny", fold_folder, **changes)


def logged_training(folder: Path, **changes) -> LoggedTraining:
    """What is reported to a logger at the start of a training of two epochs, without an example."""
    values = {"epoch": 0, "step": 0, "epochs": 2, "has_pairs": True, "example": lambda: None}
    return LoggedTraining("title", folder, {"trainer": "unet"}, **(values | changes))


def interrupted_at(step: int):
    """A progress display that sends Ctrl-C while this step is under way."""

    def progress(iterable, total=None, desc="", unit=""):
        for i, item in enumerate(iterable, 1):
            if unit == "step" and i == step:
                os.kill(os.getpid(), signal.SIGINT)
            yield item

    return progress
