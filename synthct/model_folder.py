"""A model folder: one trainer and configuration on one dataset. Every path in it is spelt here and nowhere else."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_FINAL = "checkpoint_final.pth"  # whose presence makes a fold count as trained
CHECKPOINT_LATEST = "checkpoint_latest.pth"
PLANS_NAME = "plans"
_NAME = re.compile(r"(?P<trainer>.+?)__plans__(?P<configuration>.+)")


@dataclass(frozen=True)
class FoldFolder:
    """One fold's files."""

    path: Path

    @property
    def name(self) -> str:
        """Such as ``0`` or ``all``."""
        return self.path.name.removeprefix("fold_")

    @property
    def number(self) -> int | None:
        """Of the cross-validation; None of ``all`` and of a folder that is not a fold's."""
        return int(self.name) if re.fullmatch(r"[0-9]+", self.name) else None

    def checkpoint(self, name: str = CHECKPOINT_FINAL) -> Path:
        """A checkpoint by its file name."""
        return self.path / name

    @property
    def final(self) -> Path:
        """The weights of a training that is complete."""
        return self.path / CHECKPOINT_FINAL

    @property
    def latest(self) -> Path:
        """The state of a training under way."""
        return self.path / CHECKPOINT_LATEST

    @property
    def split(self) -> Path:
        """Which patients the final model was trained on, and which it held out."""
        return self.path / "split.json"

    @property
    def log(self) -> Path:
        """A row an epoch."""
        return self.path / "training_log.csv"

    @property
    def progress(self) -> Path:
        """The figure of how the training goes."""
        return self.path / "progress.png"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard, where that was asked for."""
        return self.path / "tensorboard"

    @property
    def validation(self) -> Path:
        """The synthetic CTs of the held-out patients."""
        return self.path / "validation"

    @property
    def validation_qa(self) -> Path:
        """The quality assurance of these, a JSON file a patient."""
        return self.path / "validation_qa"


@dataclass(frozen=True)
class ModelFolder:
    """A model folder, such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``."""

    path: Path

    @staticmethod
    def name_of(trainer: str, configuration: str, *, disjoint: bool = False) -> str:
        """Such as ``cyclegan__plans__2d``; a training on disjoint patients is a model of its own."""
        return f"{trainer}{'_disjoint' * disjoint}__{PLANS_NAME}__{configuration}"

    @staticmethod
    def parts_of(name: str) -> tuple[str, str] | None:
        """Trainer (with ``_disjoint``) and configuration that a folder's name says; None of another name."""
        match = _NAME.fullmatch(name)
        return (match["trainer"], match["configuration"]) if match else None

    @property
    def plans(self) -> Path:
        """The plan that the model was trained with."""
        return self.path / "plans.json"

    @property
    def dataset(self) -> Path:
        """Description of the training dataset."""
        return self.path / "dataset.json"

    @property
    def fingerprint(self) -> Path:
        """What was measured in the training dataset."""
        return self.path / "dataset_fingerprint.json"

    @property
    def qa_reference(self) -> Path:
        """What was measured in the patients that a new one is compared with."""
        return self.path / "qa_reference.json"

    @property
    def metrics(self) -> Path:
        """The evaluation that came with a model which was installed."""
        return self.path / "metrics.json"

    @property
    def test(self) -> Path:
        """The synthetic CTs of the dataset's test patients."""
        return self.path / "test"

    def beside(self) -> list[ModelFolder]:
        """The models of the same trainer beside this one, such as those of other configurations, by their names."""
        parts = self.parts_of(self.path.name)
        if parts is None:
            return []
        pattern = f"{glob.escape(parts[0])}__{PLANS_NAME}__*"
        return [ModelFolder(path) for path in sorted(self.path.parent.glob(pattern)) if path.name != self.path.name]

    def fold(self, name: int | str) -> FoldFolder:
        """A fold by its name, whether it is there or not."""
        return FoldFolder(self.path / f"fold_{name}")

    def folds(self) -> list[FoldFolder]:
        """All fold folders, in order of their names: ``fold_10`` comes before ``fold_2``."""
        return [FoldFolder(path) for path in sorted(self.path.glob("fold_*")) if path.is_dir()]

    def trained_folds(self, checkpoint: str = CHECKPOINT_FINAL) -> list[str]:
        """Names of the folds that hold that checkpoint, such as ``["0", "1", "all"]``."""
        return [fold.name for fold in self.folds() if fold.checkpoint(checkpoint).is_file()]
