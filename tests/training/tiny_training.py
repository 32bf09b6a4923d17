"""Small synthetic stacks, and a plan for tiny networks."""

from __future__ import annotations

import numpy as np

from synthct.planning.plan import Configuration, MrWindow, NetworkPlan, PreprocessingPlan, TrainingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack

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
    mr_grey = np.zeros((1, N_SLICES, size, size), np.uint8)
    ct_grey = np.zeros((N_SLICES, size, size), np.uint8)
    for i in range(1, N_SLICES - 1):
        radius = np.hypot(rows, cols) / (size * (0.3 + 0.02 * (i % 4)))
        head, rim = radius < 1, (radius >= 0.8) & (radius < 1)
        texture = rng.integers(0, 20, (size, size))
        regions[i][head] |= HEAD
        mr_grey[0, i] = np.where(rim, 30, 150 + texture) * head
        ct_grey[i] = np.where(rim, 220, 80 + texture // 4) * head
    if ct:
        regions[:, -3:] &= ~np.uint8(CT_KNOWN)  # the CT ends above the lowest rows
    return SliceStack(patient, mr_grey if mr else None, ct_grey if ct else None, regions, {"made": "for tests"})


def make_training(**changes) -> TrainingPlan:
    values = {
        "padded_size": (36, 36),
        "crop_size": (32, 32),
        "min_head_fraction": 0.05,
        "batch_size": 1,
        "epochs_constant": 1,
        "epochs_decay": 1,
        "iterations_per_epoch": 4,
        "learning_rate": 2e-4,
        "adam_betas": (0.5, 0.999),
        "lambda_cycle": 10.0,
        "lambda_identity": 0.0,
        "lambda_l1": 100.0,
        "pool_size": 3,
        "precision": "float32",
        "seed": 7,
    }
    return TrainingPlan(**(values | changes))


def make_configuration(mr_channels: int = 1, **training) -> Configuration:
    return Configuration(
        PreprocessingPlan(
            slice_plane="sagittal",
            spacing_mm=(1.0, 0.87, 0.87),
            slice_scale=1.125,
            slice_size=(SIZE, SIZE),
            interpolation="linear",
            ct_window_hu=(-600.0, 1400.0),
            mr_windows=(MrWindow("fixed", 0.0, 3500.0),) * mr_channels,
            grey_levels=256,
        ),
        NetworkPlan(mr_channels=mr_channels, base_channels=4, n_blocks=1, discriminator_base_channels=4),
        make_training(**training),
    )
