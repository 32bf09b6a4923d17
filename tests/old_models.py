"""Model folders as synthct wrote them when plans.json had format 1."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tiny_models import Networks

from synthct.training.checkpoint import save_checkpoint

OLD_PLAN: dict[str, Any] = {
    "format_version": 1,
    "synthct_version": "0.1.0",
    "dataset_name": "Dataset001_Heads",
    "planner": "default",
    "channel_names": ["MR0"],
    "file_ending": ".nii.gz",
    "n_folds": 1,
    "configurations": {
        "small": {
            "preprocessing": {
                "slice_plane": "sagittal",
                "spacing_mm": [6.0, 5.0, 5.0],
                "slice_scale": 1.125,
                "slice_size": [48, 48],
                "interpolation": "linear",
                "ct_window_hu": [-600.0, 1400.0],
                "mr_windows": [{"kind": "percentile", "low": 0, "high": 100}],
                "grey_levels": 256,
            },
            "network": {"mr_channels": 1, "base_channels": 2, "n_blocks": 1, "discriminator_base_channels": 2},
            "training": {
                "padded_size": [48, 48],
                "crop_size": [48, 48],
                "min_head_fraction": 0.01,
                "batch_size": 1,
                "epochs_constant": 1,
                "epochs_decay": 0,
                "iterations_per_epoch": None,
                "learning_rate": 0.0002,
                "adam_betas": [0.5, 0.999],
                "lambda_cycle": 10.0,
                "lambda_identity": 0.0,
                "lambda_l1": 100.0,
                "pool_size": 50,
                "precision": "auto",
                "seed": 0,
            },
        }
    },
    "register": "off",
    "reasons": {"configurations.small.network.n_blocks": {"rule": "6 below 256 pixels, else 9", "measured": 48}},
}


def old_plan(**preprocessing: Any) -> dict[str, Any]:
    """The plan with other values of its preprocessing."""
    plan = copy.deepcopy(OLD_PLAN)
    plan["configurations"]["small"]["preprocessing"] |= preprocessing
    return plan


def write_old_model(
    folder: Path, networks: Networks, plan: dict[str, Any] = OLD_PLAN, *, fold: str = "0", **changes: Any
) -> Path:
    """A model folder of one fold; ``trainer=None`` leaves the key out of the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plan), encoding="utf-8")
    content = {
        "trainer": "cyclegan",
        "configuration": "small",
        "plan": plan,
        "training": OLD_PLAN["configurations"]["small"]["training"],
        "split": {"train": ["P1"], "val": ["P2"]},
        "disjoint": False,
        "epoch": 1,
        "step": 1,
        "networks": networks,
        "optimisers": {},
        "pools": {},
    } | changes
    kept = {key: value for key, value in content.items() if value is not None}
    save_checkpoint(folder / f"fold_{fold}" / "checkpoint_final.pth", kept)
    return folder
