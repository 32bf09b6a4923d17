"""A training under way: its trainer, how far it is, and the hooks that the loop calls."""

from __future__ import annotations

import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthct.errors import TrainingError
from synthct.files import write_json
from synthct.networks.discriminator import SMALLEST_IMAGE
from synthct.parallel import Progress
from synthct.planning.plan import Plan, TrainingPlan
from synthct.records import to_plain
from synthct.training.checkpoint import save_checkpoint
from synthct.training.loader import Batch, SliceLoader, to_device
from synthct.training.log import TrainingLog
from synthct.training.progress_figure import ProgressFigure
from synthct.training.registry import find_trainer
from synthct.training.resume import check_resumable, find_checkpoint, plain_split, training_of
from synthct.training.sampling import PairedOrder, UnpairedOrder
from synthct.training.schedule import learning_rate_factor, shorten
from synthct.training.slices import TrainingSlices
from synthct.training.validation import Validation

STEPS_BETWEEN_CHECKS = 50  # looking at the losses waits for the device
SECONDS_BETWEEN_FIGURES = 30.0

log = logging.getLogger("synthct")


class TrainingRun:
    """A training under way: the trainer, and how far it is.

    Attributes:
        epoch: finished epochs. step: finished steps of all epochs. step_in_epoch: of the epoch at hand.
    """

    def __init__(
        self,
        trainer_name: str,
        plan: Plan,
        configuration_name: str,
        fold_folder: Path,
        split: dict[str, list[str]],
        training: TrainingPlan | None,
        length: tuple[int | None, int | None],
        disjoint: bool,
        device: torch.device,
        resume: bool,
    ) -> None:
        trainer_class = find_trainer(trainer_name)
        configuration = plan.configuration(configuration_name)
        self.checkpoint = find_checkpoint(fold_folder) if resume else None
        if resume and self.checkpoint is None:
            log.warning("There is no checkpoint in %s to continue from; a new training starts.", fold_folder)
        if training is None:
            training = training_of(self.checkpoint, fold_folder) if self.checkpoint else configuration.training
        training = shorten(training, *length)
        if min(training.crop_size) < SMALLEST_IMAGE:
            raise TrainingError(
                f"crop_size {list(training.crop_size)} is below {SMALLEST_IMAGE}; raise it in plans.json."
            )

        self.fold_folder, self.split, self.disjoint, self.training = fold_folder, plain_split(split), disjoint, training
        self.title = f"{trainer_name} {configuration_name} {fold_folder.name}"
        self.identity = {
            "trainer": trainer_name,
            "configuration": configuration_name,
            "plan": to_plain(plan),
            "training": to_plain(training),
            "split": self.split,
            "disjoint": disjoint,
        }
        if self.checkpoint:
            check_resumable(self.checkpoint, self.identity, fold_folder)
        self.device = device
        self.trainer = trainer_class(dataclasses.replace(configuration, training=training), device)
        self.preprocessing, self.network = configuration.preprocessing, configuration.network
        self.log = TrainingLog(fold_folder / "training_log.csv")
        self.figure = ProgressFigure(fold_folder / "progress.png", self.title)
        self.figure_at = -SECONDS_BETWEEN_FIGURES

        self.epoch = self.step = self.step_in_epoch = 0
        self.loss_sums: dict[str, Tensor] = {}
        self.seconds = 0.0  # of the epoch at hand, in earlier runs
        self.unchecked: list[tuple[int, Batch, dict[str, Tensor]]] = []  # losses not yet looked at
        self.saved_step: int | None = None
        self.saved_at = time.monotonic()

    @property
    def steps_left(self) -> int:
        return (self.training.epochs - self.epoch) * self.iterations - self.step_in_epoch

    # -- hooks -------------------------------------------------------------------------------------------------------

    def on_train_start(self, stacks: Path, workers: int, memory_budget: int, progress: Progress) -> SliceLoader:
        """Read the slices, restore or write the first checkpoint, say what is trained on what."""
        training, paired = self.training, self.trainer.paired
        slices = TrainingSlices(
            stacks,
            self.split["train"],
            mr_channels=self.network.mr_channels,
            min_head_fraction=training.min_head_fraction,
            paired=paired,
            disjoint=self.disjoint,
            seed=training.seed,
            budget=memory_budget // max(1, workers),
            progress=progress,
        )
        if paired:
            order = PairedOrder(slices.mr, training.seed, batch_size=training.batch_size)
        else:
            order = UnpairedOrder(slices.mr, slices.ct, training.seed, batch_size=training.batch_size)
        self.iterations = training.iterations_per_epoch or order.steps_per_epoch
        self.validation = Validation.read(stacks, self.split["val"], self.split["train"], self.preprocessing)

        log.info("precision: %s", self.trainer.precision)
        log.info("slices: %d MR of %d patients, %d CT of %d patients%s", len(slices.mr), len(slices.mr_patients),
                 len(slices.ct), len(slices.ct_patients), ", paired" if paired else "")  # fmt: skip
        log.info("steps: %d epochs of %d", training.epochs, self.iterations)
        torch.manual_seed(training.seed)
        torch.backends.cudnn.benchmark = self.device.type == "cuda"  # all crops have one size
        if self.checkpoint:
            self._restore(self.checkpoint)
            log.info("continuing after epoch %d, step %d", self.epoch, self.step)
        else:
            if (self.fold_folder / "checkpoint_final.pth").exists():
                log.info("training anew; the earlier checkpoint_final.pth stays until this training is complete")
            self.save("checkpoint_latest.pth")  # so that --continue never takes up an earlier training's
        return SliceLoader(slices, order, training, start_step=self.step, workers=workers)

    def on_epoch_start(self) -> None:
        self.started = time.monotonic()
        self.learning_rate = self.training.learning_rate * learning_rate_factor(self.epoch, self.training)
        self.trainer.set_learning_rate(self.learning_rate)

    def train_step(self, batch: Batch) -> None:
        """One step; the losses stay on the device and are looked at now and then."""
        try:
            losses = self.trainer.training_step(to_device(batch, self.device, self.preprocessing.grey_levels))
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"The memory of {self.device} is too small for crops of {list(self.training.crop_size)} in batches of "
                f"{self.training.batch_size}; use the configuration 2d_lowres, or end other programs that use it."
            ) from None
        for name, loss in losses.items():
            self.loss_sums[name] = self.loss_sums[name] + loss if name in self.loss_sums else loss
        self.step += 1
        self.step_in_epoch += 1
        self.unchecked.append((self.step, batch, losses))
        if len(self.unchecked) >= STEPS_BETWEEN_CHECKS:
            self._check_losses()

    def on_epoch_end(self) -> None:
        self._check_losses()
        means = {name: float(total) / max(1, self.step_in_epoch) for name, total in self.loss_sums.items()}
        seconds = self.seconds + time.monotonic() - self.started
        mae_hu = self.validation.mae_hu(self.trainer)
        self.epoch += 1
        self.log.add(
            {
                "epoch": self.epoch,
                "step": self.step,
                "learning_rate": self.learning_rate,
                "seconds": round(seconds, 1),
                "ms_per_step": round(1000 * seconds / max(1, self.step_in_epoch), 1),
                **means,
                "val_mae_hu": mae_hu,
            }
        )
        losses = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        log.info("epoch %d/%d: %s%s", self.epoch, self.training.epochs, losses,
                 "" if mae_hu is None else f", held-out MAE {mae_hu:.1f} HU")  # fmt: skip
        self.step_in_epoch, self.loss_sums, self.seconds = 0, {}, 0.0
        self.save("checkpoint_latest.pth")
        if time.monotonic() - self.figure_at > SECONDS_BETWEEN_FIGURES or self.epoch == self.training.epochs:
            self.figure.draw(self.log, self.trainer, self.validation)
            self.figure_at = time.monotonic()

    def on_train_end(self) -> Path:
        """Only now does the fold belong to this training: until here split.json is that of the earlier final model."""
        path = self.save("checkpoint_final.pth")
        write_json(self.split, self.fold_folder / "split.json")
        return path

    # -- state -------------------------------------------------------------------------------------------------------

    def save(self, name: str) -> Path:
        """Write a checkpoint, unless a loss or a weight is no finite number."""
        self._check_losses()
        if not self.trainer.is_finite():
            raise TrainingError(f"A network weight is not finite after step {self.step}; {self._last_good()}.")
        path = self.fold_folder / name
        now = time.monotonic()
        seconds = self.seconds + (now - self.started if self.step_in_epoch else 0.0)
        progress = {
            "step_in_epoch": self.step_in_epoch,
            "loss_sums": self.loss_sums,
            "seconds": seconds,
        }
        rng = {"torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state(self.device)
        state = {"epoch": self.epoch, "step": self.step, "epoch_so_far": progress, "rng": rng}
        save_checkpoint(path, self.identity | state | self.trainer.state_dict())
        self.saved_step, self.saved_at = self.step, time.monotonic()
        return path

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self.trainer.load_state_dict(checkpoint)
        self.epoch, self.step = checkpoint["epoch"], checkpoint["step"]
        so_far = checkpoint["epoch_so_far"]
        self.step_in_epoch, self.seconds = so_far["step_in_epoch"], so_far["seconds"]
        self.loss_sums = {name: total.to(self.device) for name, total in so_far["loss_sums"].items()}
        torch.set_rng_state(checkpoint["rng"]["torch"])
        if self.device.type == "cuda" and "cuda" in checkpoint["rng"]:
            torch.cuda.set_rng_state(checkpoint["rng"]["cuda"], self.device)
        self.log.read(self.epoch)
        self.saved_step = self.step
        self.checkpoint = None  # its tensors need not stay in memory

    def _check_losses(self) -> None:
        """Stop at the first step since the last look whose losses are not finite."""
        if not self.unchecked:
            return
        of_steps = torch.stack([torch.stack(list(losses.values())).sum() for _, _, losses in self.unchecked])
        bad = (~of_steps.isfinite()).nonzero().flatten().tolist()
        if bad:
            step, batch, losses = self.unchecked[bad[0]]
            names = ", ".join(name for name, loss in losses.items() if not loss.isfinite())
            raise TrainingError(
                f"The loss {names} is not finite at step {step} (MR {_words(batch.get('mr_keys'))}; CT "
                f"{_words(batch.get('ct_keys'))}); {self._last_good()}, or train with precision float32."
            )
        self.unchecked = []

    def _last_good(self) -> str:
        return f"go on with --continue from {self.fold_folder / 'checkpoint_latest.pth'} (step {self.saved_step})"


def _words(keys: list[tuple[str, int]] | None) -> str:
    return ", ".join(f"{patient} slice {i}" for patient, i in keys or [])
