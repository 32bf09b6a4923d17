"""How fast a training is here: real steps on the real slices, of which nothing is kept."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from synthct.errors import TrainingError
from synthct.parallel import Progress, quiet
from synthct.training.device import select_device
from synthct.training.distributed import joined
from synthct.training.loader import batches
from synthct.training.run import TrainingRun
from synthct.training.what_to_train import FoldToTrain, TrainingOptions

WARM_UP_STEPS = 5  # libraries choose their algorithms, a GPU's step is recorded
BLOCKS = 10  # the median of this many is reported, so that a busy moment of the machine does not count


@dataclass(frozen=True)
class StepTimes:
    """What a training's steps take.

    Attributes:
        ms_per_step: the median over blocks of steps.
        waiting: share of the time in which the step waited for its slices.
        images_per_s: slice pairs, of all processes together.
        memory_gib: the most that was held; of the GPU, or of this process.
        memory_of: which of the two.
        precision: of the forward passes.
    """

    ms_per_step: float
    waiting: float
    images_per_s: float
    memory_gib: float
    memory_of: str
    precision: str

    def __str__(self) -> str:
        return (
            f"{self.ms_per_step:.1f} ms a step in {self.precision}, {self.images_per_s:.1f} images a second, "
            f"{self.waiting:.1%} of it waiting for slices; at most {self.memory_gib:.2f} GiB of the {self.memory_of}'s "
            "memory"
        )


def measure_steps(what: FoldToTrain, steps: int, options: TrainingOptions, *, progress: Progress = quiet) -> StepTimes:
    """Train that many steps of a fold, in a folder that is thrown away."""
    if steps < 1:
        raise TrainingError(f"The number of steps to measure must be at least 1, not {steps}.")
    device = options.device if options.device is not None else select_device()[0]
    with tempfile.TemporaryDirectory() as folder, joined(options.ranks, device):
        run = TrainingRun(replace(what, fold_folder=Path(folder) / "timing"), replace(options, resume=False), device)
        dataset = run.on_train_start(options, None, progress)
        assert dataset is not None  # the training begins anew
        with batches(dataset, options.loaders) as drawn:
            run.on_epoch_start()
            for _ in range(WARM_UP_STEPS):
                run.train_step(next(drawn))
            block = max(1, steps // BLOCKS)
            seconds, waited = [], 0.0
            ticks = iter(progress(range(steps), total=steps, desc=run.title, unit="step"))
            for first in range(0, steps, block):
                length = min(block, steps - first)
                _wait_for(device)
                started = time.perf_counter()
                for _ in range(length):
                    asked = time.perf_counter()
                    batch = next(drawn)
                    waited += time.perf_counter() - asked
                    run.train_step(batch)
                    next(ticks, None)
                _wait_for(device)
                seconds.append((time.perf_counter() - started) / length)
            next(ticks, None)  # lets the display finish
    a_step = statistics.median(seconds)
    images = run.training.batch_size * options.ranks.world_size / a_step
    share = waited / (statistics.fmean(seconds) * steps)
    return StepTimes(1000 * a_step, share, images, *_peak_memory(device), run.trainer.precision)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> tuple[float, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30, "GPU"
    try:
        import resource
    except ImportError:  # on Windows
        return math.nan, "process"
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, "process"
