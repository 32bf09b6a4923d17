"""Where to train, why there, and what to do where its memory is too small."""

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


def out_of_memory(device: torch.device, images: torch.Tensor, *, in_3d: bool) -> TrainingError:
    """What to do about a batch that is too large for a device.

    Args:
        device: that trains.
        images: of the batch, (batch, slab, rows, cols).
        in_3d: whether the method is trained on 3-D patches.
    """
    n, slab, *crop = images.shape
    smaller = "a smaller patch in plans.json" if in_3d else "the configuration 2d_lowres"
    return TrainingError(
        f"The memory of {device} is too small for crops of {[slab, *crop] if in_3d else crop} in "
        f"batches of {n}; use {smaller}, or end other programs that use it."
    )


def _own_gpu(local_rank: int) -> torch.device:
    if local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"There are {torch.cuda.device_count()} GPUs for more processes; start at most one for each "
            f"(torchrun --nproc_per_node={torch.cuda.device_count()})."
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)  # collectives and recorded steps work on the current one
    return device
