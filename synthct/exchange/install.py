"""A zip file from a colleague -> a model folder; checked to the last byte before anything of it is believed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from synthct import locks
from synthct.errors import ModelError
from synthct.exchange.archive import REMEDY, ModelArchive, open_archive
from synthct.exchange.card import ModelCard
from synthct.exchange.file_format import CARD, OPTIONAL, PLANS, REQUIRED, WEIGHTS, Manifest, of_fold
from synthct.exchange.texts import ModelTexts, read_texts
from synthct.exchange.weights import Networks, expected_weights, from_safetensors, max_bytes
from synthct.files import folder_written_whole, write_json
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import Model, installed_method, predicting_networks
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import ModelFolder
from synthct.parallel import Progress, quiet
from synthct.training.checkpoint import save_checkpoint


@dataclass(frozen=True)
class ModelFile:
    """A model file that has passed every check."""

    manifest: Manifest
    card: ModelCard
    texts: ModelTexts
    networks: dict[str, Networks]  # by fold
    kept: dict[str, bytes]  # members that go into the model folder as they are


def check_model_file(path: Path, *, progress: Progress = quiet) -> ModelFile:
    """Read a model file; nothing is written, and nothing in it is executed.

    Raises:
        ModelError: in one sentence, naming the file and the member, what is wrong.
    """
    with open_archive(path) as archive:
        return _read(archive, progress)


def install_model(
    path: Path,
    results: Path | None = None,
    folder: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> tuple[Path, ModelFile]:
    """Make a model folder of a model file, atomically.

    Args:
        path: the zip file.
        results: the folder ``synthct_results``; the model's place in it is recognised by its manifest.
        folder: the model folder itself, in place of ``results``.
        overwrite: whether a model folder that is there may be replaced.

    Returns:
        The model folder, and what it was made of.

    Raises:
        ModelError: the file is refused, or the folder is there already.
    """
    with open_archive(path) as archive:
        manifest = archive.manifest
        target = Path(folder) if folder else Path(results or "") / manifest.dataset_name / manifest.folder_name
        _check_target(target, overwrite)
        model = _read(archive, progress)
    with ExitStack() as held:
        for one in (target, *(fold.path for fold in ModelFolder(target).folds())):  # none of them is being trained
            held.enter_context(locks.writing(one, "synthct_install_model"))
        making = held.enter_context(folder_written_whole(target))
        for name, data in model.kept.items():
            (making / name).write_bytes(data)
        for fold, networks in model.networks.items():
            files = ModelFolder(making).fold(fold)
            files.path.mkdir()
            write_json(to_plain(model.texts.splits[fold]), files.split)
            save_checkpoint(files.final, _checkpoint(model, fold, networks))
    return target, model


def _read(archive: ModelArchive, progress: Progress) -> ModelFile:
    manifest = archive.manifest
    texts = read_texts(archive)
    card = from_plain(ModelCard, archive.read_json(CARD), archive.where(CARD), error=ModelError)
    configuration = texts.plan.configurations.get(manifest.configuration)
    if configuration is None or texts.plan.dataset_name != manifest.dataset_name:
        raise ModelError(f"{archive.where(PLANS)} is not of the model that the manifest names; {REMEDY}.")
    method = installed_method(manifest.trainer, manifest.trainer_package, archive.path)
    model = Model(texts.plan, manifest.configuration, manifest.trainer, [], plan_path=archive.where(PLANS))
    # the settings are checked before anything is built by them
    expected = expected_weights(partial(predicting_networks, method, configuration, model.settings))
    networks = {}
    for fold in progress(manifest.folds, desc="Checking"):
        name = of_fold(fold, WEIGHTS)
        data = archive.read(name, max_bytes(expected))
        weights = from_safetensors(data, expected, archive.where(name), REMEDY)
        networks[fold] = {one: weights.get(one, {}) for one in method.to_predict}  # some have no weights
    predictor = Predictor(replace(model, networks=list(networks.values())), "cpu", "float32")
    if not manifest.model_hash == card.model_hash == predictor.model_hash:
        raise ModelError(
            f"{archive.path}: weights and plan have the hash {predictor.model_hash} and not {manifest.model_hash}, as "
            f"the manifest tells, or the model card is of another model; {REMEDY}."
        )
    kept = {name: archive.read(name) for name in (*REQUIRED, *OPTIONAL) if name in archive}
    return ModelFile(manifest, card, texts, networks, kept)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ModelError(f"{target} is not a folder; remove it, or name another with -o.")
    if not target.exists() or not any(target.iterdir()):
        return
    if not ModelFolder(target).plans.is_file():  # never replaced
        raise ModelError(f"{target} is there already and is not a model folder; name another with -o.")
    if not overwrite:
        trained = any(fold.latest.is_file() for fold in ModelFolder(target).folds())
        what = "a model that was trained here" if trained else "a model"
        raise ModelError(
            f"{target} holds {what} already; install to another folder with -o, or replace it, its folds and all, "
            "with --overwrite."
        )


def _checkpoint(model: ModelFile, fold: str, networks: Networks) -> dict[str, Any]:
    """What a prediction, and ``synthct_train --val``, read of a checkpoint; without it no training goes on."""
    training = model.texts.trainings[fold]
    return {
        "trainer": model.manifest.trainer,
        "trainer_package": model.manifest.trainer_package,
        "configuration": model.manifest.configuration,
        "plan": model.texts.plan.to_plain(),
        "training": to_plain(training.training),
        "split": to_plain(model.texts.splits[fold]),
        "disjoint": model.manifest.disjoint,
        "epoch": training.epoch,
        "step": training.step,
        "networks": networks,
    }
