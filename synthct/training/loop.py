"""The training loop that all trainers share: epochs and steps, and going on exactly after a stop."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from synthct.parallel import Progress, quiet
from synthct.training.device import select_device
from synthct.training.distributed import joined
from synthct.training.interrupt import StopRequest, stop_on_signals
from synthct.training.loader import batches
from synthct.training.run import TrainingRun
from synthct.training.slow_steps import SlowSteps
from synthct.training.what_to_train import FoldToTrain, TrainingOptions

log = logging.getLogger("synthct")


def train(
    what: FoldToTrain,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008  frozen
    *,
    describe: Callable[[], None] | None = None,
    progress: Progress = quiet,
) -> Path:
    """Train one fold.

    Writes ``training_log.csv``, ``progress.png``, what other loggers write, ``checkpoint_latest.pth`` and, at the end,
    ``checkpoint_final.pth`` and ``split.json`` into the fold's folder. A new training starts over in a folder that
    holds an earlier one; the earlier ``checkpoint_final.pth`` is replaced only when the new one is complete. The model
    folder around it is the matter of :func:`synthct.training.train_fold.train_fold`.

    Args:
        what: to train.
        options: how.
        describe: called when all is found to be in order, before the first file is written.
        progress: a display like ``tqdm``.

    Returns:
        Path of ``checkpoint_final.pth``.

    Raises:
        TrainingError: where the training cannot start or go on.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once ``checkpoint_latest.pth``, or the final one, is saved.
    """
    with contextlib.ExitStack() as stack:
        device, device_reason = (options.device, "as given") if options.device is not None else select_device()
        # The caller's random numbers are left as they are.
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(joined(options.ranks, device))
        run = TrainingRun(what, options, device)
        log.info("synthct with torch %s on %s (%s)", torch.__version__, device, device_reason)
        dataset = run.on_train_start(options, describe, progress)
        if dataset is None:
            log.info("%d epochs are done already; give more than that to go on.", run.epoch)
            return run.on_done_already()

        stop = stack.enter_context(stop_on_signals())
        slow_steps = SlowSteps()
        ticks = iter(progress(range(run.steps_left), total=run.steps_left, desc=run.title, unit="step"))
        while not run.done:
            number = run.round
            with batches(dataset, options.loaders, start_step=run.step) as drawn:
                while not run.done and run.round == number:
                    run.on_epoch_start()
                    while run.step_in_epoch < run.iterations:
                        batch = next(drawn)
                        started = time.perf_counter()
                        run.train_step(batch)
                        if run.ranks.is_main_process and device.type != "cuda":  # a GPU works on after the call
                            slow_steps.note(time.perf_counter() - started)
                        next(ticks, None)
                        if run.agree_to_stop(bool(stop), options.checkpoint_minutes):
                            log.info("Stopped after step %d; --continue goes on from there.", run.step)
                            raise KeyboardInterrupt
                    run.on_epoch_end()
            if not run.done:
                dataset = run.on_round_start(options, _until(stop, progress))
        next(ticks, None)  # lets the display finish
        path = run.on_train_end()
        if stop:  # asked for in the last moments; what would follow the training is not for this process
            log.info("Stopped; the training is complete.")
            raise KeyboardInterrupt
        return path


def _until(stop: StopRequest, progress: Progress) -> Progress:
    """A display of work that may be thrown away: it ends as soon as that is asked for."""

    def display(iterable: Iterable, **options: Any) -> Iterator:
        for item in progress(iterable, **options):
            if stop:
                log.info("Stopped between two rounds; --continue goes on from there.")
                raise KeyboardInterrupt
            yield item

    return display
