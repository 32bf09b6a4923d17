"""Trainers by name: ours are listed here, other packages name theirs in the entry-point group ``synthct.trainers``."""

from __future__ import annotations

from importlib.metadata import entry_points

from synthct.errors import TrainingError
from synthct.training.cyclegan import CycleGAN
from synthct.training.pix2pix import Pix2Pix
from synthct.training.trainer import Trainer

TRAINERS: dict[str, type[Trainer]] = {
    "cyclegan": CycleGAN,
    "pix2pix": Pix2Pix,
}
ENTRY_POINT_GROUP = "synthct.trainers"


def trainer_names() -> list[str]:
    """All names that :func:`find_trainer` knows."""
    return [*TRAINERS, *sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)} - set(TRAINERS))]


def find_trainer(name: str) -> type[Trainer]:
    """The trainer of that name; ours before those of other packages.

    Raises:
        TrainingError: naming those that there are, or the package whose trainer cannot be used.
    """
    if name in TRAINERS:
        return TRAINERS[name]
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            try:
                trainer = point.load()
            except Exception as fault:
                raise TrainingError(f"The trainer '{name}' ({point.value}) cannot be imported: {fault}.") from fault
            if not (isinstance(trainer, type) and issubclass(trainer, Trainer)):
                raise TrainingError(f"The trainer '{name}' ({point.value}) is no synthct.training.trainer.Trainer.")
            return trainer
    raise TrainingError(f"There is no trainer '{name}'; there are {', '.join(trainer_names())}.")
