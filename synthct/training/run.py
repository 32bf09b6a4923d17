"""A training under way: its trainer, how far it is, and the hooks that the loop calls."""

from __future__ import annotations

import bisect
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthct.accelerate.cuda_graph import recorded_step
from synthct.errors import TrainingError
from synthct.files import remove_leftovers, write_json
from synthct.model_folder import CHECKPOINT_FINAL, CHECKPOINT_LATEST, FoldFolder
from synthct.parallel import Progress
from synthct.preprocessing.network_input import NetworkInput
from synthct.training.checkpoint import save_checkpoint
from synthct.training.device import out_of_memory
from synthct.training.distributed import agreed, gathered
from synthct.training.epoch_so_far import EpochSoFar
from synthct.training.finite_losses import FiniteLosses
from synthct.training.loader import Batch, SliceDataset, to_device
from synthct.training.log import TrainingLog
from synthct.training.logger import LoggedTraining, additional_loggers
from synthct.training.progress_figure import ProgressFigure
from synthct.training.random_state import random_state, restore_random_state
from synthct.training.resume import check_resumable, find_checkpoint, holds_model
from synthct.training.training_in_force import configuration_in_force, identity_of
from synthct.training.validation import Validation
from synthct.training.what_to_train import FoldToTrain, TrainingOptions

log = logging.getLogger("synthct")


class TrainingRun:
    """A training under way: the trainer, and how far it is.

    Attributes:
        epoch: finished epochs. step: finished steps of all epochs.
        epoch_so_far: of the epoch at hand.
        iterations: steps of every epoch.
    """

    def __init__(self, what: FoldToTrain, options: TrainingOptions, device: torch.device) -> None:
        method, settings = what.trainer_class, what.settings()
        if what.disjoint and method.needs_pairs:
            raise TrainingError(f"{what.trainer} needs MR and CT of the same patients; leave out --disjoint.")
        self.fold = FoldFolder(what.fold_folder)
        self.checkpoint = find_checkpoint(self.fold) if options.resume else None
        if options.resume and self.checkpoint is None:
            log.warning("There is no checkpoint in %s to continue from; a new training starts.", self.fold.path)
        configuration = configuration_in_force(what, options, device, self.checkpoint)
        self.what, self.training = what, configuration.training
        self.title = f"{what.trainer} {what.configuration} {self.fold.path.name}"
        self.identity = identity_of(what, self.training, options.ranks.world_size)
        self.split = self.identity["split"]
        if self.checkpoint:
            check_resumable(self.checkpoint, self.identity, configuration, self.fold.path)
        self.device, self.ranks = device, options.ranks
        self.trainer = method(configuration, settings, device, ranks=self.ranks)
        self.perform_step: Callable[[Batch], dict[str, Tensor]] = self.trainer.training_step
        if options.cuda_graph:
            self.perform_step = recorded_step(self.trainer, options.ranks.world_size)
        self.input = NetworkInput(configuration.input, method.coding(settings), method.slab(settings))
        rows = TrainingLog(self.fold.log)
        self.loggers = [rows, ProgressFigure(self.fold.progress, rows), *additional_loggers(options.loggers)]
        if not self.ranks.is_main_process:
            self.loggers = []

        self.epoch = self.step = 0
        self.iterations = self.training.iterations_per_epoch or 0  # 0: as many as the first round's slices give
        self.epoch_so_far = EpochSoFar(settings.learning_rate)
        self.finite_losses = FiniteLosses()
        self.saved_step: int | None = None
        self.saved_at = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether all epochs are finished."""
        return self.epoch >= self.training.epochs

    @property
    def round(self) -> int:
        """Number of the round at hand, from 0; see :meth:`Trainer.rounds`."""
        return bisect.bisect_right(self.trainer.rounds(self.training.epochs), self.epoch) - 1

    @property
    def step_in_epoch(self) -> int:
        """Finished steps of the epoch at hand."""
        return self.epoch_so_far.steps

    @property
    def steps_left(self) -> int:
        """Until all epochs are finished."""
        return (self.training.epochs - self.epoch) * self.iterations - self.step_in_epoch

    # -- hooks -------------------------------------------------------------------------------------------------------

    def on_train_start(
        self, options: TrainingOptions, describe: Callable[[], None] | None, progress: Progress
    ) -> SliceDataset | None:
        """Restore or write the first checkpoint, read what there is to draw, say what is trained on what.

        Returns:
            The batches of the round at hand; None where all epochs are done already.
        """
        training, resumed = self.training, self.checkpoint is not None
        changed = self.checkpoint is not None and self.identity["training"] != self.checkpoint["training"]
        log.info("precision: %s (%s)", self.trainer.precision, self.trainer.precision_reason)
        torch.manual_seed(training.seed)
        torch.backends.cudnn.benchmark = self.device.type == "cuda"  # all crops have one size
        if self.checkpoint is not None:
            self._restore(self.checkpoint)
        dataset = None if self.done else self.on_round_start(options, progress)
        self.validation = Validation.read(self.what.slices_folder, self.split["val"], self.split["train"], self.input)
        if not self.validation.slices and self.split["val"]:
            log.warning("No held-out patient has an MR and a CT that are aligned: their MAE is not measured.")
        if dataset is not None:
            log.info("steps: %d epochs of %d", training.epochs, self.iterations)
        if describe is not None:
            describe()
        if self.ranks.is_main_process:
            remove_leftovers(self.fold.path)
        for logger in self.loggers:
            logger.start(self._logged())
        if resumed:
            log.info("continuing after epoch %d, step %d", self.epoch, self.step)
            if changed and not self.done:
                self.save(CHECKPOINT_LATEST)  # so that it is remembered, however soon this training is killed
        else:
            if self.fold.final.exists():
                log.info("training anew; the earlier checkpoint_final.pth stays until this training is complete")
            self.save(CHECKPOINT_LATEST)  # so that --continue never takes up an earlier training's
        return dataset

    def on_round_start(self, options: TrainingOptions, progress: Progress) -> SliceDataset:
        """Make, or find, the slices that are drawn until the next round; most methods have one round."""
        paired, disjoint = self.trainer.paired, self.what.disjoint
        cached = self.what.cached(self.split["train"])
        dataset = SliceDataset.of(
            *self.trainer.training_slices(cached, self.fold.path, self.round, progress),
            self.input,
            self.training,
            paired=paired,
            disjoint=disjoint and not paired,
            position_matched=self.trainer.position_matched,
            ranks=self.ranks,
            budget=options.memory_budget // max(1, options.loaders),
            progress=progress,
        )
        slices = dataset.slices
        log.info("slices: %d MR of %d patients, %d CT of %d patients%s", len(slices.mr), len(slices.mr_patients),
                 len(slices.ct), len(slices.ct_patients), ", paired" if paired else "")  # fmt: skip
        self.iterations = self.iterations or dataset.order.steps_per_epoch
        return dataset

    def on_epoch_start(self) -> None:
        self.epoch_so_far.start()

    def train_step(self, batch: Batch) -> None:
        """One step; the losses stay on the device and are looked at now and then."""
        steps = self.training.epochs * self.iterations
        factor = self.trainer.learning_rate_factor(self.epoch, self.step, steps)
        self.epoch_so_far.learning_rate = self.trainer.settings.learning_rate * factor
        self.trainer.set_learning_rate(self.epoch_so_far.learning_rate)
        self.trainer.before_step(self.step, steps)
        try:
            losses = self.perform_step(self.trainer.augment(to_device(batch, self.device)))
        except torch.OutOfMemoryError:
            raise out_of_memory(self.device, batch["ct"], in_3d=self.trainer.dimensions == 3) from None
        self.epoch_so_far.add(losses)
        self.step += 1
        self.finite_losses.note(self.step, batch, losses)
        if self.finite_losses.due:
            self.finite_losses.check(self._remedy())

    def on_epoch_end(self) -> None:
        self.finite_losses.check(self._remedy())
        means, seconds = self.epoch_so_far.mean_losses(self.ranks), self.epoch_so_far.seconds
        self.epoch += 1
        if self.ranks.is_main_process:
            self._report(means, seconds)
        self.epoch_so_far.end()
        self.save(CHECKPOINT_LATEST)

    def _report(self, means: dict[str, float], seconds: float) -> None:
        """The epoch's row for the loggers, and its line on the terminal."""
        mae_hu = self.validation.mae_hu(self.trainer)
        row = {
            "epoch": self.epoch,
            "step": self.step,
            "learning_rate": self.epoch_so_far.learning_rate,
            "seconds": round(seconds, 1),
            "ms_per_step": round(1000 * seconds / max(1, self.step_in_epoch), 1),
            **means,
            "val_mae_hu": mae_hu,
        }
        for logger in self.loggers:
            logger.epoch(row)
        losses = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        log.info("epoch %d/%d: %s%s", self.epoch, self.training.epochs, losses,
                 "" if mae_hu is None else f", held-out MAE {mae_hu:.1f} HU")  # fmt: skip

    def on_train_end(self) -> Path:
        """Only now does the fold belong to this training: until here split.json is that of the earlier final model."""
        for logger in self.loggers:
            logger.finish()
        path = self.save(CHECKPOINT_FINAL)
        if self.ranks.is_main_process:
            write_json(self.split, self.fold.split)
        self.trainer.on_train_end(self.fold.path)
        return path

    def agree_to_stop(self, asked: bool, checkpoint_minutes: float) -> bool:
        """Whether to stop now, for one rank or all; on the way, a checkpoint where the last is too old.

        All ranks take part in a checkpoint, so that all must decide alike, at the same step.
        """
        due = self.ranks.is_main_process and time.monotonic() - self.saved_at > 60 * checkpoint_minutes
        stop, due = agreed([asked, due], self.ranks)
        if stop or due:
            self.save(CHECKPOINT_LATEST)
        return stop

    def on_done_already(self) -> Path:
        """Write what a training that was killed at its very end had not yet written, and nothing else."""
        final = self.fold.final
        written = final.is_file() and holds_model(final, self.trainer.state_dict()["networks"])
        # of an earlier end; this training has gone beyond the end that is asked for
        earlier = final.is_file() and (self.epoch > self.training.epochs or self.step_in_epoch > 0)
        if written:
            if self.ranks.is_main_process:
                write_json(self.split, self.fold.split)
            self.trainer.on_train_end(self.fold.path)
        if not agreed([self.ranks.is_main_process and not (written or earlier)], self.ranks)[0]:
            return final
        log.info("The training had not written its final model; it is written now.")
        return self.on_train_end()

    def _logged(self) -> LoggedTraining:
        facts = {name: value for name, value in self.identity.items() if name not in ("plan", "split")}
        return LoggedTraining(
            self.title,
            self.fold.path,
            facts,
            epoch=self.epoch,
            step=self.step - self.step_in_epoch,
            epochs=self.training.epochs,
            has_pairs=bool(self.validation.slices),
            example=lambda: self.validation.images(self.trainer),
        )

    # -- state -------------------------------------------------------------------------------------------------------

    def save(self, name: str) -> Path:
        """Write a checkpoint, unless a loss or a weight is not finite; all ranks give to it, rank 0 writes it."""
        self.finite_losses.check(self._remedy())
        if not self.trainer.is_finite():
            raise TrainingError(f"A network weight is not finite after step {self.step}; {self._remedy()}.")
        path = self.fold.checkpoint(name)
        so_far, rng = self.epoch_so_far.state_dict(), random_state(self.device)
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "iterations": self.iterations,
            "precision": {"chosen": self.trainer.precision, "reason": self.trainer.precision_reason},
        }
        trainer_state = self.trainer.state_dict()
        # What differs between the ranks: the rest is the same on all of them.
        own = {"epoch_so_far": so_far, "rng": rng} | {name: trainer_state[name] for name in ("pools", "generators")}
        rank_states = gathered(own, self.ranks)
        if self.ranks.is_main_process:
            others = {"other_ranks": rank_states[1:]} if self.ranks.world_size > 1 else {}
            save_checkpoint(path, self.identity | state | trainer_state | own | others)
        self.saved_step, self.saved_at = self.step, time.monotonic()
        return path

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        if self.ranks.rank:
            checkpoint = checkpoint | checkpoint["other_ranks"][self.ranks.rank - 1]
        self.trainer.load_state_dict(checkpoint)
        self.epoch, self.step = checkpoint["epoch"], checkpoint["step"]
        self.iterations = self.iterations or checkpoint.get("iterations", 0)  # later rounds' slices may be others
        self.epoch_so_far.load_state_dict(checkpoint["epoch_so_far"], self.device)
        restore_random_state(checkpoint["rng"], self.device)
        self.saved_step = self.step
        self.checkpoint = None  # its tensors need not stay in memory

    def _remedy(self) -> str:
        last = self.fold.latest if self.fold.latest.is_file() else self.fold.final
        return f"go on with --continue from {last} (step {self.saved_step})"
