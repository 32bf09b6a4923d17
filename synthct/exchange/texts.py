"""All of a model but its weights: plan, dataset, fingerprint, reference, splits and how each fold was trained."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthct.errors import ModelError
from synthct.exchange.archive import ModelArchive
from synthct.exchange.file_format import DATASET, FINGERPRINT, METRICS, PLANS, REFERENCE, SPLIT, TRAINING, of_fold
from synthct.exchange.results import Results
from synthct.json_dataclasses import from_plain, is_name, to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan, TrainingPlan
from synthct.planning.splits import Split
from synthct.qa.qa_reference import Reference

KEPT_OF_DATASET = ("channel_names", "file_ending")  # what synthct reads; the rest of dataset.json is its author's


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
class ModelTexts:
    """What goes with the weights; ``dataset`` is dataset.json, ``splits`` and ``trainings`` are by fold."""

    plan: Plan
    dataset: dict[str, Any]
    fingerprint: Fingerprint
    reference: Reference | None
    results: Results | None
    splits: dict[str, Split]
    trainings: dict[str, FoldTraining]

    @property
    def patients(self) -> set[str]:
        """Every case id that occurs anywhere."""
        of_splits = {patient for split in self.splits.values() for patient in (*split.train, *split.val)}
        of_reference = self.reference.patients.keys() if self.reference else set()
        return {*self.fingerprint.cases, *of_reference, *of_splits, *(self.results.patients if self.results else ())}

    @property
    def is_anonymous(self) -> bool:
        """Whether case ids are those of :meth:`anonymous`, as of a model that came without its own."""
        return all(re.fullmatch(r"CASE_[0-9]+", patient) for patient in self.patients)

    def members(self) -> dict[str, Any]:
        """What JSON can hold, by the member's name."""
        texts = {
            PLANS: self.plan.to_plain(),
            DATASET: self.dataset,
            FINGERPRINT: to_plain(self.fingerprint),
            REFERENCE: to_plain(self.reference),
            METRICS: to_plain(self.results),
        }
        texts |= {of_fold(fold, SPLIT): to_plain(split) for fold, split in self.splits.items()}
        texts |= {of_fold(fold, TRAINING): to_plain(training) for fold, training in self.trainings.items()}
        return {name: text for name, text in texts.items() if text is not None}

    def checked(self, where: str) -> ModelTexts:
        """The same; so that neither a path nor a terminal's control characters get in by a file.

        Raises:
            ModelError: ``where``, and the case id that could not name a file, or what dataset.json lacks.
        """
        for patient in sorted(self.patients):
            if not is_name(patient) or patient[0] == ".":
                raise ModelError(
                    f"{where}: the case id {patient[:80]!r} cannot name a file; rename it and export again."
                )
        channels = self.dataset.get("channel_names") if isinstance(self.dataset, dict) else None
        if not isinstance(channels, dict) or not all(isinstance(name, str) for name in channels.values()):
            raise ModelError(f'{where}: {DATASET} has no table "channel_names"; restore it and export again.')
        return self

    def anonymous(self) -> ModelTexts:
        """The same with CASE_001, ... in place of the case ids, in random order, and only what is read of the dataset.

        Raises:
            ModelError: a case id occurs in a text all the same.
        """
        order = sorted(self.patients)
        secrets.SystemRandom().shuffle(order)
        width = max(3, len(str(len(order))))
        new = {patient: f"CASE_{number:0{width}d}" for number, patient in enumerate(order, 1)}
        # files_key is a hash of file names, which can be guessed
        cases = {patient: replace(case, files_key="") for patient, case in self.fingerprint.cases.items()}
        renamed = replace(
            self,
            dataset={key: self.dataset[key] for key in KEPT_OF_DATASET if key in self.dataset},
            fingerprint=replace(self.fingerprint, cases=_renamed(cases, new)),
            reference=self.reference and replace(self.reference, patients=_renamed(self.reference.patients, new)),
            results=self.results and self.results.renamed(new),
            splits={
                fold: Split(*(tuple(sorted(new[patient] for patient in side)) for side in (split.train, split.val)))
                for fold, split in self.splits.items()
            },
        )
        for name, text in renamed.members().items():
            for patient in order:
                if len(patient) > 3 and patient not in new.values() and _mentions(text, patient):
                    raise ModelError(f"{name} still names the patient '{patient}' in a text; take the name out of it.")
        return renamed


def read_texts(archive: ModelArchive) -> ModelTexts:
    """The texts of a model file, every key checked.

    Raises:
        ModelError: naming the member and the key.
    """

    def built(kind: Any, name: str) -> Any:
        return from_plain(kind, archive.read_json(name), archive.where(name), error=ModelError)

    folds = archive.manifest.folds
    return ModelTexts(
        Plan.from_plain(archive.read_json(PLANS), archive.where(PLANS), ModelError),
        archive.read_json(DATASET),
        built(Fingerprint, FINGERPRINT),
        built(Reference | None, REFERENCE),
        built(Results | None, METRICS),
        {fold: built(Split, of_fold(fold, SPLIT)) for fold in folds},
        {fold: built(FoldTraining, of_fold(fold, TRAINING)) for fold in folds},
    ).checked(str(archive.path))


def _renamed(by_patient: Mapping[str, Any], new: Mapping[str, str]) -> dict[str, Any]:
    return dict(sorted((new[patient], value) for patient, value in by_patient.items()))


def _mentions(value: Any, patient: str) -> bool:
    """Whether a text in ``value``, or a key, has the case id as a word of its own."""
    if isinstance(value, dict):
        return any(_mentions(key, patient) or _mentions(item, patient) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(_mentions(item, patient) for item in value)
    return isinstance(value, str) and re.search(rf"(?<!\w){re.escape(patient)}(?!\w)", value) is not None
