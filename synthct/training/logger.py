"""What follows a training from epoch to epoch: a protocol of three methods, for our loggers and other packages'.

A logger reads and never changes the training: it is called by the first process alone, and what it does has no part in
what is learnt or in where a resumed training goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synthct.errors import TrainingError
from synthct.plugins import TRAINING_LOGGERS
from synthct.training.validation import ExampleImages

Row = Mapping[str, float | None]
SECONDS_BETWEEN_IMAGES = 30.0  # of the example, which takes a prediction
_NOT_LOSSES = ("epoch", "step", "learning_rate", "seconds", "ms_per_step", "val_mae_hu")

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class LoggedTraining:
    """The training that a logger follows.

    Attributes:
        title: trainer, configuration and fold, for a heading.
        folder: of the fold; a logger that writes files writes them there.
        facts: plain values that JSON can hold: trainer, package, configuration, settings, training plan. No case ids.
        epoch: finished ones; 0 where the training starts anew. What an earlier run logged of later epochs is to be
            dropped: they are done again.
        step: steps of the finished epochs, as in the last of their rows.
        epochs: at the end.
        has_pairs: whether ``val_mae_hu`` is measured.
        example: images of one slice as the networks are now; None where no patient has an MR. Takes a prediction.
    """

    title: str
    folder: Path
    facts: Mapping[str, Any]
    epoch: int
    step: int
    epochs: int
    has_pairs: bool
    example: Callable[[], ExampleImages | None]


class TrainingLogger:
    """Base of all loggers; made without arguments where it comes from a package, before any file is written.

    Making one raises TrainingError where what it needs is not installed.
    """

    def start(self, training: LoggedTraining) -> None:
        """The training starts, or is resumed after ``training.epoch`` epochs."""

    def epoch(self, row: Row) -> None:
        """An epoch is finished.

        Args:
            row: ``epoch`` (from 1), ``step``, ``learning_rate``, ``seconds``, ``ms_per_step``, the mean of each loss
                over the epoch by its name, and ``val_mae_hu`` in HU (None where it is not measured).
        """
        raise NotImplementedError

    def finish(self) -> None:
        """All epochs are finished. Not called where a training is stopped: what is logged must be in place by then."""


class Guarded(TrainingLogger):
    """An additional logger, which may fail, or draw random numbers, without an effect on the training."""

    def __init__(self, name: str, logger: TrainingLogger) -> None:
        self.name, self.logger = name, logger
        self.failed = False

    def start(self, training: LoggedTraining) -> None:
        self._call(self.logger.start, training)

    def epoch(self, row: Row) -> None:
        self._call(self.logger.epoch, row)

    def finish(self) -> None:
        self._call(self.logger.finish)

    def _call(self, method: Callable[..., None], *arguments: Any) -> None:
        if self.failed:
            return
        try:
            with torch.random.fork_rng(devices=[]):
                method(*arguments)
        except Exception as fault:
            self.failed = True
            log.warning(
                "The training logger '%s' failed (%s: %s); the training goes on without it.",
                self.name, type(fault).__name__, str(fault).strip().rstrip("."),
            )  # fmt: skip


def additional_loggers(names: Sequence[str]) -> list[TrainingLogger]:
    """Loggers by name, each once; nothing is written yet.

    Raises:
        TrainingError: there is no such logger, it cannot be made, or what it needs is not installed.
    """
    return [Guarded(name, _made(name)) for name in dict.fromkeys(names)]


def _made(name: str) -> TrainingLogger:
    kind = TRAINING_LOGGERS.load(name)
    try:
        return kind()
    except TrainingError:
        raise
    except Exception as fault:
        package = TRAINING_LOGGERS.package_of(name)
        raise TrainingError(f"The training logger '{name}' ({package}) cannot be made: {fault}.") from fault


def loss_names(row: Iterable[str]) -> list[str]:
    """Those columns of a row that are losses."""
    return [name for name in row if name not in _NOT_LOSSES]
