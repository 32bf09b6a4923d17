"""What goes from one machine to another: a model, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synthct.exchange.file_format import (
    DATASET,
    FINGERPRINT,
    METRICS,
    PLANS,
    REFERENCE,
    SPLIT,
    TRAINING,
    Manifest,
    of_fold,
)
from synthct.exchange.results import Results
from synthct.inference.read_model import Model
from synthct.json_dataclasses import is_name, shown, to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import TrainingPlan
from synthct.planning.splits import Split


@dataclass(frozen=True)
class FoldTraining:
    """How a fold was trained: ``fold_N/training.json``."""

    epoch: int
    step: int
    synthct_version: str
    torch_version: str
    precision: str | None  # that was chosen for the device; None where the checkpoint does not say
    training: TrainingPlan  # with what was asked for in place of the plan's numbers


@dataclass(frozen=True)
class ModelFile:
    """A model and what goes with it; neither a path nor a terminal's control characters get in by a case id.

    Attributes:
        manifest: which model it is; its ``files`` are empty before the file is written.
        model: the networks are those of the manifest's folds, in their order; ``reference`` may be missing.
        fingerprint: of the training dataset.
        dataset: its dataset.json.
        results: of the evaluation; None where there are none.
        splits, trainings: by fold.

    Raises:
        ValueError: naming the case id that could not name a file, or what dataset.json lacks.
    """

    manifest: Manifest
    model: Model
    fingerprint: Fingerprint
    dataset: dict[str, Any]
    results: Results | None
    splits: dict[str, Split]
    trainings: dict[str, FoldTraining]

    def __post_init__(self) -> None:
        for patient in sorted(self.patients):
            if not is_name(patient) or patient[0] == ".":
                raise ValueError(f"the case id {shown(patient)} cannot name a file")
        channels = self.dataset.get("channel_names") if isinstance(self.dataset, dict) else None
        if not isinstance(channels, dict) or not all(isinstance(name, str) for name in channels.values()):
            raise ValueError(f'{DATASET} has no table "channel_names"')

    @property
    def patients(self) -> set[str]:
        """Every case id that occurs anywhere."""
        reference, results = self.model.reference, self.results
        scored = (*results.held_out, *results.test) if results else ()
        of_splits = (patient for split in self.splits.values() for patient in (*split.train, *split.val))
        return {
            *self.fingerprint.cases,
            *(reference.patients if reference else ()),
            *of_splits,
            *(row["patient"] for row in scored),
        }

    def texts(self) -> dict[str, Any]:
        """Its members of JSON but for the manifest, by name."""
        texts = {
            PLANS: self.model.plan.to_plain(),
            DATASET: self.dataset,
            FINGERPRINT: to_plain(self.fingerprint),
            REFERENCE: to_plain(self.model.reference),
            METRICS: to_plain(self.results),
        }
        texts |= {of_fold(fold, SPLIT): to_plain(split) for fold, split in self.splits.items()}
        texts |= {of_fold(fold, TRAINING): to_plain(training) for fold, training in self.trainings.items()}
        return {name: text for name, text in texts.items() if text is not None}
