"""Where to train, and why there."""

from __future__ import annotations

import torch

from synthct.errors import TrainingError


def select_device(name: str | None = None, local_rank: int = 0) -> tuple[torch.device, str]:
    """The device of that name, or the best there is.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None chooses cuda, then mps, then cpu.
        local_rank: of several processes on this machine; where the name gives no number, each takes a GPU of its own.

    Returns:
        The device, and the reason in words for the log.

    Raises:
        TrainingError: where the device does not exist here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name is None:
        if cuda:
            device = _own_gpu(local_rank)
            return device, f"{torch.cuda.get_device_name(device)}, the GPU found"
        if mps:
            return torch.device("mps"), "the Apple GPU found"
        return torch.device("cpu"), f"no GPU found, {torch.get_num_threads()} threads"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"'{name}' is not a device; use cpu, cuda, cuda:1 or mps.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise TrainingError(f"The device '{name}' is not supported; use cpu, cuda, cuda:1 or mps.")
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise TrainingError(
            f"There is no device '{name}': torch {torch.__version__} sees {torch.cuda.device_count()} CUDA GPUs; "
            "use -device cpu, or install a torch with CUDA."
        )
    if device == torch.device("cuda"):
        device = _own_gpu(local_rank)
    if device.type == "mps" and not mps:
        raise TrainingError(f"There is no device 'mps' for torch {torch.__version__} here; use -device cpu.")
    return device, "as asked for"


def _own_gpu(local_rank: int) -> torch.device:
    if local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"There are {torch.cuda.device_count()} GPUs for more processes; start at most one for each "
            f"(torchrun --nproc_per_node={torch.cuda.device_count()})."
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)  # collectives and recorded steps work on the current one
    return device
