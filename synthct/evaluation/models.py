"""The trained models of a dataset and their predictions of patients whom they did not train on."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synthct.errors import ModelError
from synthct.files import read_json
from synthct.imaging.io import image_name

log = logging.getLogger("synthct")

_MODEL_FOLDER = re.compile(r"(?P<trainer>.+?)__plans__(?P<configuration>.+)")
_FOLD_FOLDER = re.compile(r"fold_(\d+)")  # fold_all holds no patient out


@dataclass(frozen=True)
class HeldOut:
    """The sCT of a patient, predicted by the fold that held him out, and the patients that this fold trained on."""

    sct: Path
    fold: int
    trained_on: tuple[str, ...]


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with at least one held-out prediction.

    ``label`` names it in tables and file names: the trainer, with the configuration where there are several.
    """

    folder: Path
    trainer: str
    configuration: str
    label: str
    held_out: dict[str, HeldOut] = field(default_factory=dict)  # by patient


def find_models(results_folder: Path) -> tuple[TrainedModel, ...]:
    """All models with held-out predictions in the results folder of one dataset, by label.

    Raises:
        ModelError: a fold's ``split.json`` is malformed.
    """
    found = []
    for folder in sorted(Path(results_folder).iterdir()) if Path(results_folder).is_dir() else []:
        name = _MODEL_FOLDER.fullmatch(folder.name)
        if name is None or not folder.is_dir():
            continue
        held_out = _held_out(folder)
        if held_out:
            found.append((folder, name["trainer"], name["configuration"], held_out))
    count = Counter(trainer for _, trainer, _, _ in found)
    models = [
        TrainedModel(
            folder, trainer, configuration, trainer if count[trainer] == 1 else f"{trainer}__{configuration}", held_out
        )
        for folder, trainer, configuration, held_out in found
    ]
    return tuple(sorted(models, key=lambda model: model.label))


def _held_out(model_folder: Path) -> dict[str, HeldOut]:
    """Predictions by patient, each patient once: from the first fold whose split holds him out."""
    folds = sorted(
        (int(match[1]), folder)
        for folder in model_folder.iterdir()
        if (match := _FOLD_FOLDER.fullmatch(folder.name)) and folder.is_dir()
    )
    held_out: dict[str, HeldOut] = {}
    for fold, folder in folds:
        predictions = _images(folder / "validation")
        if not predictions:
            continue
        split = _read_split(folder / "split.json")
        for patient, path in predictions.items():
            if patient not in split["val"]:
                log.warning(f"{path} is left out: fold {fold} did not hold {patient} out (see its split.json).")
            elif patient in held_out:
                log.warning(f"{path} is left out: {patient} is scored on fold {held_out[patient].fold} already.")
            else:
                held_out[patient] = HeldOut(path, fold, tuple(split["train"]))
    return dict(sorted(held_out.items()))


def _images(folder: Path) -> dict[str, Path]:
    """Image files by name without ending; hidden files are half-written ones."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {image_name(path): path for path in files if not path.name.startswith(".") and image_name(path) is not None}


def _read_split(path: Path) -> Mapping[str, list[str]]:
    split = read_json(path, ModelError)
    if not isinstance(split, dict) or not all(isinstance(split.get(part), list) for part in ("train", "val")):
        raise ModelError(
            f'{path} must hold the lists "train" and "val" of patients; restore it or train this fold again.'
        )
    return split
