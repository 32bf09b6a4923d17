"""Of a fold that is to be trained: the configuration in force, and what its checkpoints remember it by."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from synthct.errors import TrainingError
from synthct.json_dataclasses import to_plain
from synthct.networks.discriminator import SMALLEST_IMAGE
from synthct.planning.plan import Configuration, TrainingPlan
from synthct.plugins import TRAINERS
from synthct.training.resume import plain_split, training_of
from synthct.training.schedule import shorten
from synthct.training.what_to_train import FoldToTrain, TrainingOptions


def configuration_in_force(
    what: FoldToTrain, options: TrainingOptions, device: torch.device, checkpoint: dict[str, Any] | None
) -> Configuration:
    """The plan's configuration, with the training plan of the method or of the checkpoint, shortened as asked for.

    Args:
        what: to train.
        options: how.
        device: where.
        checkpoint: that is resumed.

    Raises:
        TrainingError: it cannot be trained, and what to do instead.
    """
    method, settings = what.trainer_class, what.settings()
    planned = method.training_plan(what.planned.training, settings)
    training = training_of(checkpoint, what.fold_folder) if checkpoint else planned
    training = shorten(training, options.epochs, options.iterations)
    configuration = dataclasses.replace(what.planned, training=training)
    method.check_device(configuration, settings, device)
    if min(training.crop_size) < SMALLEST_IMAGE:
        raise TrainingError(f"crop_size {list(training.crop_size)} is below {SMALLEST_IMAGE}; raise it in plans.json.")
    return configuration


def identity_of(what: FoldToTrain, training: TrainingPlan, world_size: int) -> dict[str, Any]:
    """What a training's checkpoints and loggers say of it, plain; what a resumed one is compared with.

    Args:
        what: to train.
        training: the plan in force.
        world_size: number of processes that train together.
    """
    return {
        "trainer": what.trainer,
        "trainer_package": TRAINERS.package_of(what.trainer),
        "configuration": what.configuration,
        "plan": what.plan.to_plain(),
        "settings": to_plain(what.settings()),
        "training": to_plain(training),
        "split": plain_split(what.split),
        "disjoint": what.disjoint,
        "world_size": world_size,
    } | ({"refined_pairs": True} if what.refined_folder is not None else {})
