"""What a training is determined by, and how it is carried out: two objects that every part of the loop is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from synthct.json_dataclasses import to_plain
from synthct.model_folder import ModelFolder
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import check_dimensions, settings_of
from synthct.planning.plan import Configuration, Plan
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cached_path
from synthct.training.distributed import ALONE, Ranks
from synthct.training.slices import MEMORY_BUDGET
from synthct.training.trainer import CachedSlices, Trainer


@dataclass(frozen=True)
class FoldToTrain:
    """One fold of one method on one configuration: all that decides which weights come out.

    Attributes:
        trainer: its name, such as ``cyclegan``.
        plan: of the dataset; it states the method's settings, see :func:`with_settings_of`.
        configuration: its name.
        split: patient ids under ``train`` and ``val``.
        slices_folder: holds ``PATIENT.npz``.
        fold_folder: where the training writes.
        disjoint: MR and CT from different patients; unpaired trainers only.
        refined_folder: holds ``PATIENT.npz`` of the refined pairs, where the method is to be trained on them; what is
            held out is compared with ``slices_folder`` all the same.
    """

    trainer: str
    plan: Plan
    configuration: str
    split: dict[str, list[str]]
    slices_folder: Path
    fold_folder: Path
    disjoint: bool = False
    refined_folder: Path | None = None

    @property
    def trainer_class(self) -> type[Trainer]:
        """The method.

        Raises:
            TrainingError: it is not installed.
        """
        return TRAINERS.load(self.trainer)

    @property
    def planned(self) -> Configuration:
        """The configuration."""
        return self.plan.configuration(self.configuration)

    def cached(self, patients: Sequence[str]) -> CachedSlices:
        """The slices of the patients who train; of refined pairs, those of the patients who have both scans."""
        if self.refined_folder is None:
            return CachedSlices(self.slices_folder, patients, self.disjoint)
        pairs = [patient for patient in patients if cached_path(self.refined_folder, patient).is_file()]
        return CachedSlices(self.refined_folder, pairs, self.disjoint)

    def settings(self) -> Any:
        """The method's settings.

        Raises:
            PlanError: naming the key that is unknown, missing or out of range.
        """
        return settings_of(self.trainer, self.planned, f"plans.json: configurations.{self.configuration}")


@dataclass(frozen=True)
class TrainingOptions:
    """How a training is carried out; none of it is part of the plan.

    Attributes:
        epochs, iterations: in place of the plan's numbers; iterations are per epoch.
        resume: go on from the latest checkpoint, exactly; with more epochs also after the end. Without a checkpoint
            the training starts.
        checkpoint_minutes: longest time without a checkpoint.
        device: None chooses.
        ranks: this process among those that train together; each trains, the first one writes.
        loaders: background processes that load slices; 0 loads in this process.
        memory_budget: bytes of slices held in memory.
        cuda_graph: record the step as a CUDA graph where one GPU trains.
        loggers: names of those that follow the training beside ``training_log.csv`` and ``progress.png``, such as
            ``tensorboard``.
    """

    epochs: int | None = None
    iterations: int | None = None
    resume: bool = False
    checkpoint_minutes: float = 10.0
    device: torch.device | None = None
    ranks: Ranks = field(default=ALONE)
    loaders: int = 1
    memory_budget: int = MEMORY_BUDGET
    cuda_graph: bool = True
    loggers: tuple[str, ...] = ()


def with_settings_of(trainer: str, plan: Plan, configuration: str, fingerprint: Fingerprint | None) -> Plan:
    """The plan, stating the settings of a trainer; one installed after the plan was made plans them now.

    Raises:
        PlanError: the configuration is not for this trainer.
    """
    planned = plan.configuration(configuration)
    check_dimensions(trainer, planned, f"plans.json: configurations.{configuration}")
    if trainer in planned.methods:
        return plan
    settings = TRAINERS.load(trainer).plan_settings(planned, fingerprint).settings
    methods = {**planned.methods, trainer: to_plain(settings)}
    return replace(plan, configurations={**plan.configurations, configuration: replace(planned, methods=methods)})


def fold_folder(results: Path, trainer: str, configuration: str, fold: str, *, disjoint: bool = False) -> Path:
    """Where a fold is trained, in the results folder of a dataset."""
    return ModelFolder(Path(results) / ModelFolder.name_of(trainer, configuration, disjoint=disjoint)).fold(fold).path
