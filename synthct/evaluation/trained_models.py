"""The trained models of a dataset and their predictions of patients whom they did not train on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synthct.errors import ModelError
from synthct.evaluation.score import PatientSet
from synthct.files import read_json
from synthct.imaging.io import image_name
from synthct.inference.predict_test_set import TestSetRecord
from synthct.model_folder import ModelFolder

log = logging.getLogger("synthct")


@dataclass(frozen=True)
class HeldOut:
    """The sCT of a patient by the fold that held the patient out, and the patients that this fold trained on.

    ``fold`` is None for a patient of the test set, whom all folds held out; ``trained_on`` is then of all of them.
    """

    sct: Path
    fold: int | None
    trained_on: tuple[str, ...]


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with at least one held-out prediction or one of a test patient.

    ``label`` names it in tables and file names: the trainer, with the configuration where there are several.
    ``tested`` are the sCTs of test patients, which ``synthct_predict --test_set`` makes.
    """

    folder: Path
    trainer: str
    configuration: str
    label: str
    held_out: dict[str, HeldOut] = field(default_factory=dict)  # by patient
    tested: dict[str, HeldOut] = field(default_factory=dict)

    @property
    def files(self) -> ModelFolder:
        """Every path in the model folder."""
        return ModelFolder(self.folder)

    def predictions(self, patients: PatientSet) -> dict[str, HeldOut]:
        """The sCTs by patient of a set: held out in turn, or the test set."""
        return self.tested if patients == "test" else self.held_out


def find_models(results_folder: Path) -> tuple[TrainedModel, ...]:
    """All models with held-out predictions or a predicted test set in the results folder of one dataset, by label.

    Raises:
        ModelError: a fold's ``split.json`` is malformed.
    """
    found = []
    for folder in sorted(Path(results_folder).iterdir()) if Path(results_folder).is_dir() else []:
        name = ModelFolder.parts_of(folder.name)
        if name is None or not folder.is_dir():
            continue
        held_out, tested = _held_out(ModelFolder(folder)), _tested(ModelFolder(folder))
        if held_out or tested:
            found.append((folder, *name, held_out, tested))
    count = Counter(trainer for _, trainer, *_ in found)
    models = [
        TrainedModel(
            folder,
            trainer,
            configuration,
            trainer if count[trainer] == 1 else f"{trainer}__{configuration}",
            held_out,
            tested,
        )
        for folder, trainer, configuration, held_out, tested in found
    ]
    return tuple(sorted(models, key=lambda model: model.label))


def _held_out(model_folder: ModelFolder) -> dict[str, HeldOut]:
    """Predictions by patient, each patient once: from the first fold whose split holds the patient out."""
    folds = {
        fold.number: fold for fold in model_folder.folds() if fold.number is not None
    }  # "all" holds out no patient
    held_out: dict[str, HeldOut] = {}
    for fold, files in sorted(folds.items()):
        predictions = _images(files.validation)
        if not predictions:
            continue
        split = _read_split(files.split)
        for patient, path in predictions.items():
            if patient not in split["val"]:
                log.warning(f"{path} is left out: fold {fold} did not hold {patient} out (see its {files.split.name}).")
            elif patient in held_out:
                log.warning(f"{path} is left out: {patient} is scored on fold {held_out[patient].fold} already.")
            else:
                held_out[patient] = HeldOut(path, fold, tuple(split["train"]))
    return dict(sorted(held_out.items()))


def _tested(model_folder: ModelFolder) -> dict[str, HeldOut]:
    """Predictions of test patients, whom none of the folds that predicted together has seen in training."""
    predictions = _images(model_folder.test)
    if not predictions:
        return {}
    try:
        record = TestSetRecord.load(model_folder.path)
    except ModelError as fault:  # such as of a prediction that was interrupted
        log.warning(f"{model_folder.test} is left out: {fault}")
        return {}
    if changed := record.changed_folds(model_folder.path):
        log.warning(
            f"{model_folder.test} is left out: fold {', '.join(changed)} was trained again or removed "
            "since; predict it again with synthct_predict --test_set."
        )
        return {}
    trained_on: set[str] = set()
    for fold in record.folds:
        trained_on.update(_read_split(model_folder.fold(fold).split)["train"])
    tested = {}
    for patient, path in predictions.items():
        if patient in trained_on:
            log.warning(f"{path} is left out: the model was trained on {patient}, who cannot test it.")
        elif patient not in record.patients:
            log.warning(f"{path} is left out: it is not of the test set that was predicted last.")
        else:
            tested[patient] = HeldOut(path, None, tuple(sorted(trained_on)))
    return tested


def _images(folder: Path) -> dict[str, Path]:
    """Image files by name without ending; hidden files are half-written ones."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    shown = [path for path in files if not path.name.startswith(".")]
    return {name: path for path in shown if (name := image_name(path)) is not None}


def _read_split(path: Path) -> Mapping[str, list[str]]:
    split = read_json(path, ModelError)
    lists = [split.get(part) for part in ("train", "val")] if isinstance(split, dict) else []
    if not lists or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists
    ):
        raise ModelError(
            f'{path} must hold the lists "train" and "val" of patients; restore it or train this fold again.'
        )
    return split
