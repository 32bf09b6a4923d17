"""Where to train, and why there."""

from __future__ import annotations

import torch

from synthct.errors import TrainingError


def select_device(name: str | None = None) -> tuple[torch.device, str]:
    """The device of that name, or the best there is.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None chooses cuda, then mps, then cpu.

    Returns:
        The device, and the reason in words for the log.

    Raises:
        TrainingError: where the device does not exist here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name is None:
        if cuda:
            return torch.device("cuda"), f"{torch.cuda.get_device_name()}, the GPU found"
        if mps:
            return torch.device("mps"), "the Apple GPU found"
        return torch.device("cpu"), f"no GPU found, {torch.get_num_threads()} threads"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"'{name}' is no device; use cpu, cuda, cuda:1 or mps.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise TrainingError(f"The device '{name}' is not supported; use cpu, cuda, cuda:1 or mps.")
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise TrainingError(
            f"There is no device '{name}': torch {torch.__version__} sees {torch.cuda.device_count()} CUDA GPUs; "
            "use -device cpu, or install a torch with CUDA."
        )
    if device.type == "mps" and not mps:
        raise TrainingError(f"There is no device 'mps' for torch {torch.__version__} here; use -device cpu.")
    return device, "as asked for"
