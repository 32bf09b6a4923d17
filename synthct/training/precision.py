"""In which precision to train and to predict on a device, and why."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

BFLOAT16_CAPABILITY = (8, 0)  # of NVIDIA GPUs: the first generation with matrix units for it


def choose_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """The precision of a training's forward passes; weights, optimisers and losses are float32 in any case.

    Args:
        wanted: the plan's ``auto``, ``float32`` or ``bfloat16``. ``auto`` takes float32 for every method, so that a
            comparison of methods is not one of precisions.
        device: where to train.

    Returns:
        ``float32`` or ``bfloat16``, and the reason in words for the log.
    """
    if wanted != "auto":
        return wanted, "as the plan asks"
    reason = "bfloat16 trained a CycleGAN less well than seeds differ"  # documentation/benchmarks.md, Precision
    return "float32", f"{reason}; convolutions in TF32" if device.type == "cuda" else reason


def choose_prediction_precision(wanted: str, device: torch.device, measured: bool = True) -> tuple[str, str]:
    """The precision of a prediction's inner layers; arguments and results as of :func:`choose_precision`.

    ``auto`` takes bfloat16 where the device has instructions for it and the error of the networks in it is ``measured``
    (:func:`synthct.accelerate.bfloat16.bfloat16_is_measured`): the sCT then differs from float32's by less than 1 HU on
    average (documentation/benchmarks.md).
    """
    if wanted != "auto":
        return wanted, "as asked for"
    if not measured:
        return "float32", "the error of this network in bfloat16 is not measured"
    if has_bfloat16(device):
        return "bfloat16", "within 1 HU of float32 on average, and faster"
    return "float32", f"no fast bfloat16 on this {device.type}"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    # Of the CPU's instruction sets torch reports these two under private names only.
    tests = (getattr(torch.cpu, name, bool) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(test() for test in tests)


def forward_passes(precision: str, device: torch.device) -> AbstractContextManager:
    """Inside, forward passes are in that precision; bfloat16 has float32's range, so losses need no scaling."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
