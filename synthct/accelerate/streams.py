"""Two computations that do not need each other, side by side on a CUDA GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def at_once(first: Callable[[], Tensor], second: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both results: on a CUDA GPU the second is computed on a stream of its own, elsewhere one after the other.

    Kernels for one image leave a large GPU half empty. Autograd computes the gradient of each on the same stream.

    Args:
        first, second: neither uses what the other makes.
        device: of what they compute with.
    """
    if device.type != "cuda":
        return first(), second()
    here, beside = torch.cuda.current_stream(device), _second_stream(device)
    beside.wait_stream(here)
    first_result = first()
    with torch.cuda.stream(beside):
        other = second()
    here.wait_stream(beside)
    other.record_stream(here)  # its memory belongs to the second stream, and is used on the first from here on
    return first_result, other


@cache
def _second_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
