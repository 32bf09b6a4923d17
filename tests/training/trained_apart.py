"""Tiny trainings in processes of their own, which can be killed at a chosen moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_training import TRAIN, VAL, make_configuration, make_plan, what_to_train

# The server has imported what takes seconds, and has computed nothing yet, so that forks of it are quick and safe.
# (The first optimiser of a process imports torch._dynamo.)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["torch._dynamo", "synthct.training.loop"])
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Moment:
    """The ``call``-th time, from 1, that something happens in a training.

    ``what``: ``update`` (before a network update; both trainers make two a step), or, of the file ``name``, ``half``
    (half of it is in the temporary file), ``whole`` (it is whole, but not yet in its place), ``moved`` (it is).
    """

    what: str
    name: str = ""
    call: int = 1

    def __str__(self) -> str:
        return " ".join(word for word in (self.what, self.name, str(self.call)) if word)


def train_apart(
    folder: Path,
    data: Path,
    trainer: str,
    *,
    until: Moment | None = None,
    after_s: float | None = None,
    **arguments: Any,
) -> list[int]:
    """Train in a process of its own.

    Args:
        folder: the fold folder.
        data: the preprocessed folder.
        trainer: its name.
        until: the training is killed with SIGKILL at this moment, which must come. None: it must end well.
        after_s: it is killed this long after its start, unless it ends well before that.
        arguments: options of the training; ``values`` are of the training plan, ``split`` is another split.

    Returns:
        Ids of the loader processes that it had at the moment.
    """
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_train, args=(there, until, folder, data, trainer, arguments))
    process.start()
    there.close()
    try:
        if after_s is not None:
            process.join(after_s)
            return []
        try:
            assert here.poll(PATIENCE_SECONDS), f"the training neither came to {until or 'its end'} nor failed"
            reached, loaders = here.recv()
        except EOFError:
            raise AssertionError(f"the training failed before {until or 'its end'}; see its traceback") from None
        assert reached == str(until), f"the training came to its end, but never to {until}"
        if until is None:
            process.join(PATIENCE_SECONDS)
            assert process.exitcode == 0
        return loaders
    finally:
        if process.is_alive():
            process.kill()  # SIGKILL
        process.join(PATIENCE_SECONDS)


def has_ended(process_id: int) -> bool:
    """Whether a process is gone, or is dead and only not yet collected by its new parent."""
    try:
        os.kill(process_id, 0)
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def _train(there: Connection, until: Moment | None, folder: Path, data: Path, trainer: str, arguments: Any) -> None:
    from synthct.training import run
    from synthct.training.loop import train
    from synthct.training.what_to_train import TrainingOptions

    multiprocessing.set_start_method("fork", force=True)  # as in a training that is started in the ordinary way
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test
    run.ProgressFigure.draw = lambda *_: None  # takes longer than the training
    # Whatever these generators hold when a training starts must not matter.
    random.seed()
    np.random.seed()
    torch.seed()
    if until is not None:
        _stand_still_at(until, there)
    plan = make_plan(make_configuration(**arguments.pop("values", {})))
    split = arguments.pop("split", {"train": TRAIN, "val": VAL})
    options = TrainingOptions(device=torch.device("cpu"), **arguments)
    train(what_to_train(trainer, plan, data, folder, split), options)
    there.send((str(None), []))


def _stand_still_at(moment: Moment, there: Connection) -> None:
    """Patch what happens at the moment such that this process says that it is there, and then waits for its end."""
    from synthct.training.trainer import Trainer

    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == moment.call:
            there.send((str(moment), [process.pid for process in multiprocessing.active_children()]))
            time.sleep(2 * PATIENCE_SECONDS)

    def is_named(path: Any) -> bool:
        return Path(path).name.endswith(f"partial.{moment.name}")

    update, save, replace = Trainer.update, torch.save, os.replace

    def counted_update(self: Trainer, *arguments: Any) -> None:
        count()
        update(self, *arguments)

    def halting_save(content: Any, path: Path) -> None:
        save(content, path)
        if is_named(path):
            whole = Path(path).read_bytes()
            Path(path).write_bytes(whole[: len(whole) // 2])
            count()
            Path(path).write_bytes(whole)

    def halting_replace(source: Path, destination: Path) -> None:
        if is_named(source) and moment.what == "whole":
            count()
        replace(source, destination)
        if is_named(source) and moment.what == "moved":
            count()

    if moment.what == "update":
        Trainer.update = counted_update
    elif moment.what == "half":
        torch.save = halting_save
    else:
        os.replace = halting_replace
