"""In which precision to train, and why."""

from __future__ import annotations

import torch

BFLOAT16_CAPABILITY = (8, 0)  # of NVIDIA GPUs: the first generation with matrix units for it


def choose_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """The precision of the forward passes; weights, optimisers and losses are float32 in any case.

    Args:
        wanted: the plan's ``auto``, ``float32`` or ``bfloat16``.
        device: where to train.

    Returns:
        ``float32`` or ``bfloat16``, and the reason in words for the log.
    """
    if wanted != "auto":
        return wanted, "as the plan asks"
    if device.type != "cuda":
        return "float32", "nothing gained by less on this device"
    return "float32", "with TF32 convolutions"
