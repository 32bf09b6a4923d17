"""The training loop that all trainers share: epochs and steps, and going on exactly after a stop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from synthct.parallel import Progress, quiet
from synthct.planning.plan import Plan, TrainingPlan
from synthct.training.device import select_device
from synthct.training.distributed import ALONE, Ranks, joined
from synthct.training.interrupt import stop_on_signals
from synthct.training.loader import batches
from synthct.training.run import TrainingRun
from synthct.training.slices import MEMORY_BUDGET

log = logging.getLogger("synthct")


def train(
    trainer_name: str,
    plan: Plan,
    configuration_name: str,
    *,
    preprocessed_folder: Path,
    fold_folder: Path,
    split: dict[str, list[str]],
    training: TrainingPlan | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    disjoint: bool = False,
    device: torch.device | None = None,
    workers: int = 1,
    resume: bool = False,
    checkpoint_minutes: float = 10.0,
    memory_budget: int = MEMORY_BUDGET,
    describe: Callable[[], None] | None = None,
    ranks: Ranks = ALONE,
    cuda_graph: bool = False,
    progress: Progress = quiet,
) -> Path:
    """Train one fold.

    Writes ``training_log.csv``, ``progress.png``, ``checkpoint_latest.pth`` and, at the end, ``checkpoint_final.pth``
    and ``split.json`` into ``fold_folder``. A new training starts over in a folder that holds an earlier one;
    the earlier ``checkpoint_final.pth`` is replaced only when the new one is complete.

    Args:
        trainer_name: ``cyclegan``, ``pix2pix``, or another registered one.
        plan, configuration_name: what to train.
        preprocessed_folder: holds ``<configuration>/<patient>.npz``.
        fold_folder: is made.
        split: patient ids under ``train`` and ``val``.
        training: in place of the plan's. None: when resuming that of the checkpoint, else the plan's.
        epochs, iterations: in place of that training's numbers; iterations are per epoch.
        disjoint: MR and CT from different patients; unpaired trainers only.
        device: None chooses.
        workers: background processes that load slices; 0 loads in this process.
        resume: go on from the latest checkpoint, exactly; with more epochs also after the end. Without a checkpoint
            the training starts.
        checkpoint_minutes: longest time without a checkpoint.
        memory_budget: bytes of slices held in memory.
        describe: called when all is found to be in order, before the first file is written.
        ranks: this process among those that train together; each calls this function, the first one writes.
        cuda_graph: record the step as a CUDA graph; not yet measured on a GPU.
        progress: a display like ``tqdm``.

    Returns:
        Path of ``checkpoint_final.pth``.

    Raises:
        TrainingError: where the training cannot start or go on.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once ``checkpoint_latest.pth``, or the final one, is saved.
    """
    with contextlib.ExitStack() as stack:
        device, device_reason = (device, "as given") if device is not None else select_device()
        # The caller's random numbers are left as they are.
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(joined(ranks, device))
        run = TrainingRun(
            trainer_name,
            plan,
            configuration_name,
            Path(fold_folder),
            split,
            training,
            (epochs, iterations),
            disjoint,
            device,
            resume,
            ranks,
            cuda_graph,
        )
        log.info("synthct with torch %s on %s (%s)", torch.__version__, device, device_reason)
        stacks = Path(preprocessed_folder) / configuration_name
        loader = run.on_train_start(stacks, workers, memory_budget, describe, progress)
        if run.epoch >= run.training.epochs:
            log.info("%d epochs are done already; give more than that to go on.", run.epoch)
            return run.on_done_already()

        stop = stack.enter_context(stop_on_signals())
        drawn = stack.enter_context(batches(loader, workers))
        ticks = iter(progress(range(run.steps_left), total=run.steps_left, desc=run.title, unit="step"))
        while run.epoch < run.training.epochs:
            run.on_epoch_start()
            while run.step_in_epoch < run.iterations:
                run.train_step(next(drawn))
                next(ticks, None)
                if run.agree_to_stop(bool(stop), checkpoint_minutes):
                    log.info("Stopped after step %d; --continue goes on from there.", run.step)
                    raise KeyboardInterrupt
            run.on_epoch_end()
        next(ticks, None)  # lets the display finish
        path = run.on_train_end()
        if stop:  # asked for in the last moments; what would follow the training is not for this process
            log.info("Stopped; the training is complete.")
            raise KeyboardInterrupt
        return path
