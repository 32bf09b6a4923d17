"""Several processes that train one model together: a rank each, started by ``torchrun``, gradients averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from synthct.errors import TrainingError

PATIENCE = timedelta(minutes=30)  # for a rank that reads its slices or validates while the others wait


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # on its machine: which GPU it takes

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    @staticmethod
    def from_environment(environ: Mapping[str, str] | None = None) -> Ranks:
        """As ``torchrun`` sets it in the environment (this process's); alone where it did not start this process."""
        environ = os.environ if environ is None else environ
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(environ.get(name, "").isdecimal() for name in names):
            return ALONE
        return Ranks(*(int(environ[name]) for name in names))


ALONE = Ranks()


@contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Inside, the processes can talk to each other: by nccl between GPUs, by gloo between CPUs.

    Raises:
        TrainingError: the others cannot be reached, or one of them was lost on the way.
    """
    if ranks.world_size == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, rank=ranks.rank, world_size=ranks.world_size, timeout=PATIENCE)
        yield
    except (distributed.DistError, RuntimeError) as fault:
        if not _lost_connection(fault):
            raise
        raise TrainingError(
            f"Rank {ranks.rank} lost the other processes of this training ({_first_line(fault)}); see what ended them, "
            "then start all again with --continue."
        ) from fault
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def average_gradients(parameters: Sequence[Tensor], ranks: Ranks) -> None:
    """The mean of all ranks' gradients into each rank's, in one message; the same bits on every rank.

    Not ``DistributedDataParallel``: it follows one backward pass of one network, and a CycleGAN's networks are each
    used twice in a step and share optimisers.
    """
    average_tensors([parameter.grad for parameter in parameters if parameter.grad is not None], ranks)


def average_tensors(tensors: Sequence[Tensor], ranks: Ranks) -> None:
    """The mean of all ranks' tensors into each rank's, in one message; the same bits on every rank."""
    if ranks.world_size == 1 or not tensors:
        return
    message = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(message)
    message /= ranks.world_size
    for tensor, mean in zip(tensors, message.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))


def mean_over_ranks(values: dict[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """The mean of scalars over the ranks, by name."""
    if ranks.world_size == 1 or not values:
        return values
    message = torch.stack(list(values.values()))
    distributed.all_reduce(message)
    return dict(zip(values, message / ranks.world_size))


def agreed(asked: Sequence[bool], ranks: Ranks) -> list[bool]:
    """For each question whether any rank says yes; on the CPU, so that no GPU is waited for."""
    if ranks.world_size == 1:
        return list(asked)
    message = torch.tensor(asked, dtype=torch.uint8)
    distributed.all_reduce(message, distributed.ReduceOp.MAX)
    return message.bool().tolist()


def gathered(state: Any, ranks: Ranks) -> list[Any]:
    """Every rank's ``state`` in the order of the ranks, on rank 0; elsewhere only the own one."""
    if ranks.world_size == 1:
        return [state]
    states: list[Any] | None = [None] * ranks.world_size if ranks.is_main_process else None
    distributed.gather_object(state, states)
    return states if states is not None else [state]


def _lost_connection(fault: BaseException) -> bool:
    signs = ("connection", "gloo", "nccl", "timed out", "timeout", "peer", "store", "socket")
    return isinstance(fault, distributed.DistError) or any(sign in str(fault).lower() for sign in signs)


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:200]
