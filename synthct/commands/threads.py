"""How many threads a command computes with, and how long those that wait for work spin."""

from __future__ import annotations

import argparse
import os

from synthct.commands.argument_types import positive_integer
from synthct.errors import SynthctError

SPIN_COUNT = "10000"  # turns of a waiting thread's loop, see documentation/benchmarks.md


def bound_spinning() -> None:
    """Let OpenMP threads that wait for work sleep after a short while, unless the user has said otherwise.

    By default they spin for milliseconds, on cores that other programs then lack, the threads that they wait for among
    them: a small training step so takes 20 to 60 times as long on a busy machine. libgomp reads the variable when it is
    loaded, which is with torch; processes that the command starts inherit it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The ``--threads`` option."""
    parser.add_argument(
        "--threads",
        type=positive_integer,
        metavar="N",
        help="threads to compute with on a CPU; fewer than there are cores where other programs use some of them "
        "(default: a thread a core, or what OMP_NUM_THREADS says)",
    )


def use_threads(arguments: argparse.Namespace) -> None:
    """Compute with as many threads as ``--threads`` says, in this process and in those that it starts.

    Raises:
        SynthctError: the workers of a cluster compute, whose threads are set where they are started.
    """
    if arguments.threads is None:
        return
    if getattr(arguments, "scheduler", None) is not None:
        n = arguments.threads
        raise SynthctError(
            f"--threads {n} does not go with --scheduler: the workers compute, and have the threads that they were "
            f"started with. Leave it out, and start each worker with OMP_NUM_THREADS={n}, such as OMP_NUM_THREADS={n} "
            f"dask worker {arguments.scheduler} --nthreads 1."
        )
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(arguments.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
