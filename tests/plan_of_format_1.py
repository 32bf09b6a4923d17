"""A plan as synthct 0.1 wrote it, every value other than the default, so that none can be mistaken for another."""

from __future__ import annotations

from typing import Any

OF_FORMAT_1: dict[str, Any] = {
    "format_version": 1,
    "synthct_version": "0.1.0",
    "dataset_name": "Dataset001_Heads",
    "planner": "default",
    "channel_names": ["T1", "T2"],
    "file_ending": ".nii.gz",
    "n_folds": 4,
    "configurations": {
        "2d": {
            "preprocessing": {
                "slice_plane": "axial",
                "spacing_mm": [6.0, 3.0, 3.0],
                "slice_scale": 1.125,
                "slice_size": [76, 76],
                "interpolation": "bspline",
                "ct_window_hu": [-1000.0, 2000.0],
                "mr_windows": [
                    {"kind": "fixed", "low": -3.0, "high": 40.0},
                    {"kind": "percentile", "low": 0.5, "high": 99.5},
                ],
                "grey_levels": 128,
            },
            "network": {"mr_channels": 2, "base_channels": 16, "n_blocks": 4, "discriminator_base_channels": 32},
            "training": {
                "padded_size": [85, 85],
                "crop_size": [76, 76],
                "min_head_fraction": 0.02,
                "batch_size": 3,
                "epochs_constant": 30,
                "epochs_decay": 20,
                "iterations_per_epoch": 99,
                "learning_rate": 0.0003,
                "adam_betas": [0.6, 0.99],
                "lambda_cycle": 11.0,
                "lambda_identity": 0.5,
                "lambda_l1": 90.0,
                "pool_size": 40,
                "precision": "float32",
                "seed": 5,
            },
        }
    },
    "register": "auto",
    "reasons": {"configurations.2d.preprocessing.grey_levels": {"rule": "as it was", "measured": 1}},
}
