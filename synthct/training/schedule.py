"""The learning rate over the epochs (Wolterink et al., section 4: 100 epochs constant, 100 linearly to 0)."""

from __future__ import annotations

import dataclasses

from synthct.errors import TrainingError
from synthct.planning.plan import TrainingPlan


def learning_rate_factor(epoch: int, training: TrainingPlan) -> float:
    """Share of the full learning rate in an epoch, counted from 0.

    As in pytorch-CycleGAN: 1 for ``epochs_constant``, then down in equal steps that would reach 0 one epoch after the
    last, so that every epoch still learns.
    """
    return 1 - max(0, epoch + 1 - training.epochs_constant) / (training.epochs_decay + 1)


def shorten(training: TrainingPlan, epochs: int | None, iterations: int | None) -> TrainingPlan:
    """The same training in another number of epochs and of iterations an epoch; None keeps the plan's.

    The proportion of constant to decaying epochs is kept, with at least one constant epoch.

    Raises:
        TrainingError: where a number is below 1.
    """
    for name, number in (("epochs", epochs), ("iterations", iterations)):
        if number is not None and number < 1:
            raise TrainingError(f"The number of {name} must be at least 1, not {number}.")
    if epochs is not None:
        constant = max(1, round(epochs * training.epochs_constant / training.epochs))
        training = dataclasses.replace(training, epochs_constant=constant, epochs_decay=epochs - constant)
    if iterations is not None:
        training = dataclasses.replace(training, iterations_per_epoch=iterations)
    return training
