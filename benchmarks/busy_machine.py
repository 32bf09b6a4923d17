"""A small training step on a quiet and on a busy machine, by how long waiting OpenMP threads spin.

python -m benchmarks.busy_machine                       several values of GOMP_SPINCOUNT, and other settings
python -m benchmarks.busy_machine --busy 4 --steps 50   with four other busy processes, medians of up to 50 steps

Each figure is of a fresh process, since libgomp reads its settings when it is loaded. Run it where nothing else runs:
what other programs do is in the column "quiet" too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

from synthct.parallel import available_cores
from synthct.worker_processes import end_with_parent

SETTINGS: dict[str, dict[str, str]] = {
    "default of libgomp": {},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
WARM_UP_STEPS = 3
SECONDS_AT_MOST = 20.0  # for the steps of one process


def step_milliseconds(steps: int) -> float:
    """The median time of a pix2pix step of ``2d_lowres``, in this process."""
    import torch

    from benchmarks.training_step import product_trainer
    from synthct.planning.configurations import low_resolution, reference_configuration

    configuration, _ = low_resolution(reference_configuration(1))
    trainer = product_trainer("pix2pix", configuration, torch.device("cpu"))
    shape = (1, 1, *configuration.training.crop_size)
    batch = {"mr": 2 * torch.rand(shape) - 1, "ct": 2 * torch.rand(shape) - 1, "known": torch.ones(shape)}
    seconds: list[float] = []
    begun = time.perf_counter()
    while len(seconds) < WARM_UP_STEPS + steps and time.perf_counter() - begun < SECONDS_AT_MOST:
        started = time.perf_counter()
        trainer.training_step(batch)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP_STEPS:] or seconds)


def in_a_fresh_process(setting: dict[str, str], steps: int) -> float:
    """The same in a new process with these environment variables."""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in names} | setting
    command = [sys.executable, "-m", "benchmarks.busy_machine", "--only_this_process", "--steps", str(steps)]
    return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _keep_busy() -> None:
    end_with_parent()
    while True:
        pass


def beside_busy_processes(setting: dict[str, str], steps: int, busy: int) -> float:
    """The same beside other processes that use a core each."""
    others = [multiprocessing.Process(target=_keep_busy, daemon=True) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        return in_a_fresh_process(setting, steps)
    finally:
        for other in others:
            other.kill()
            other.join()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=available_cores(), help="other processes (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=30, help="the median is of up to this many (default: %(default)s)")
    parser.add_argument("--only_this_process", action="store_true", help="print the milliseconds of a step, no more")
    arguments = parser.parse_args()
    if arguments.only_this_process:
        print(step_milliseconds(arguments.steps))
        return
    load = f"load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else "load unknown"
    print(f"pix2pix step of 2d_lowres, ms; {available_cores()} cores, {load}, {arguments.busy} busy processes")
    print("| setting | quiet | busy |\n|---|---|---|")
    for name, setting in SETTINGS.items():
        quiet = in_a_fresh_process(setting, arguments.steps)
        busy = beside_busy_processes(setting, arguments.steps, arguments.busy)
        print(f"| {name} | {quiet:.0f} | {busy:.0f} |", flush=True)


if __name__ == "__main__":
    main()
