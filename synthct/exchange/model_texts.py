"""All of a model but its weights: plan, dataset, fingerprint, reference, splits and how each fold was trained."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.file_format import FINGERPRINT, PLANS, REFERENCE, SPLIT, TRAINING, of_fold
from synthct.exchange.results import Results
from synthct.json_dataclasses import from_plain, to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan, TrainingPlan
from synthct.planning.splits import Split
from synthct.qa.qa_reference import Reference

KEPT_OF_DATASET = ("channel_names", "file_ending")  # what synthct reads; the rest of dataset.json is its author's


@dataclass(frozen=True)
class FoldTraining:
    """How a fold was trained: ``fold_N/training.json``.

    Attributes:
        precision: that was chosen for the device; None where the checkpoint does not tell.
        training: with what was asked for in place of the plan's numbers.
    """

    epoch: int
    step: int
    synthct_version: str
    torch_version: str
    precision: str | None
    training: TrainingPlan


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
        """Every case id that stands anywhere."""
        of_splits = {patient for split in self.splits.values() for patient in (*split.train, *split.val)}
        of_reference = set(self.reference.patients) if self.reference else set()
        return {*self.fingerprint.cases, *of_reference, *of_splits, *(self.results.patients if self.results else ())}

    def members(self) -> dict[str, Any]:
        """What JSON can hold, by the member's name."""
        texts = {
            PLANS: self.plan.to_plain(),
            file_format.DATASET: self.dataset,
            FINGERPRINT: to_plain(self.fingerprint),
        }
        if self.reference is not None:
            texts[REFERENCE] = to_plain(self.reference)
        if self.results is not None:
            texts[file_format.METRICS] = to_plain(self.results)
        texts |= {of_fold(fold, SPLIT): to_plain(split) for fold, split in self.splits.items()}
        return texts | {of_fold(fold, TRAINING): to_plain(one) for fold, one in self.trainings.items()}

    def anonymous(self) -> ModelTexts:
        """The same with CASE_001, ... in place of the case ids, in random order, and only what is read of the dataset.

        Raises:
            ModelError: a case id stands in a text all the same.
        """
        order = sorted(self.patients)
        secrets.SystemRandom().shuffle(order)
        width = max(3, len(str(len(order))))
        new = {patient: f"CASE_{number:0{width}d}" for number, patient in enumerate(order, 1)}
        renamed = replace(
            self,
            dataset={key: self.dataset[key] for key in KEPT_OF_DATASET if key in self.dataset},
            fingerprint=replace(
                self.fingerprint,  # whose files_key is a hash of file names, which can be guessed
                cases={one: replace(case, files_key="") for one, case in _renamed(self.fingerprint.cases, new).items()},
            ),
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


def texts_from_plain(read: Callable[[str], Any], folds: tuple[str, ...], where: Callable[[str], str]) -> ModelTexts:
    """Build the texts of what JSON held, every key checked.

    Args:
        read: the parsed JSON of a member; None of an optional one that is not there.
        folds: of the model.
        where: a member's name in messages.

    Raises:
        ModelError: naming the member and the key.
    """

    def one(kind: Any, name: str) -> Any:
        return from_plain(kind, read(name), where(name), error=ModelError)

    optional = {
        name: None if read(name) is None else one(kind, name)
        for name, kind in ((REFERENCE, Reference), (file_format.METRICS, Results))
    }
    texts = ModelTexts(
        Plan.from_plain(read(PLANS), where(PLANS), ModelError),
        _checked_dataset(read(file_format.DATASET), where(file_format.DATASET)),
        one(Fingerprint, FINGERPRINT),
        optional[REFERENCE],
        optional[file_format.METRICS],
        {fold: one(Split, of_fold(fold, SPLIT)) for fold in folds},
        {fold: one(FoldTraining, of_fold(fold, TRAINING)) for fold in folds},
    )
    for patient in sorted(texts.patients):
        if not is_case_id(patient):
            raise ModelError(f"{where('')}: {patient[:80]!r} is no case id that could name a file; export it again.")
    return texts


def is_case_id(patient: str) -> bool:
    """Whether a case id may name a file; so that neither a path nor a terminal's control characters get in by it."""
    return 0 < len(patient) <= 200 and patient.isprintable() and not set(patient) & set("/\\") and patient[0] != "."


def _checked_dataset(plain: Any, where: str) -> dict[str, Any]:
    channels = plain.get("channel_names") if isinstance(plain, dict) else None
    if not isinstance(channels, dict) or not all(isinstance(name, str) for name in channels.values()):
        raise ModelError(f'{where}: "channel_names" must be a table of names; export the model again.')
    return plain


def _renamed(by_patient: Mapping[str, Any], new: Mapping[str, str]) -> dict[str, Any]:
    return dict(sorted((new[patient], value) for patient, value in by_patient.items()))


def _mentions(value: Any, patient: str) -> bool:
    """Whether a text in ``value``, or a key, has the case id as a word of its own."""
    if isinstance(value, dict):
        return any(_mentions(key, patient) or _mentions(item, patient) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(_mentions(item, patient) for item in value)
    return isinstance(value, str) and re.search(rf"(?<!\w){re.escape(patient)}(?!\w)", value) is not None
