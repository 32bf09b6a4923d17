"""A zip file from a colleague -> a model folder; checked to the last byte before anything of it is believed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthct import locks
from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.archive import REMEDY, ModelArchive, open_archive
from synthct.exchange.card import model_card
from synthct.exchange.file_format import of_fold
from synthct.exchange.model_file import FoldTraining, ModelFile
from synthct.exchange.results import Results
from synthct.exchange.weights import MAX_HEADER_BYTES, expected_weights, from_safetensors
from synthct.files import folder_written_whole, write_json, write_text
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import Model, States, installed_method
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import ModelFolder
from synthct.parallel import Progress, quiet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan
from synthct.planning.splits import Split
from synthct.qa.qa_reference import Reference
from synthct.training.checkpoint import save_checkpoint


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
        file = _read(archive, progress)
    with ExitStack() as held:
        for busy in (target, *(fold.path for fold in ModelFolder(target).folds())):  # none of them is being trained
            held.enter_context(locks.writing(busy, "synthct_install_model"))
        making = held.enter_context(folder_written_whole(target))
        for name, text in file.texts().items():
            if not name.endswith(file_format.TRAINING):  # which the checkpoint says
                write_json(text, making / name)
        write_text(model_card(file), making / file_format.CARD)
        for fold, networks in zip(manifest.folds, file.model.networks):
            save_checkpoint(ModelFolder(making).fold(fold).final, _checkpoint(file, fold, networks))
    return target, file


def _read(archive: ModelArchive, progress: Progress) -> ModelFile:
    manifest = archive.manifest

    def built(kind: Any, name: str) -> Any:
        return from_plain(kind, archive.read_json(name), archive.where(name), error=ModelError)

    plan_path = archive.where(file_format.PLANS)
    plan = Plan.from_plain(archive.read_json(file_format.PLANS), plan_path, ModelError)
    if manifest.configuration not in plan.configurations or plan.dataset_name != manifest.dataset_name:
        raise ModelError(f"{plan_path} is not of the model that the manifest names; {REMEDY}.")
    method = installed_method(manifest.trainer, manifest.trainer_package, archive.path)
    reference = built(Reference | None, file_format.REFERENCE)
    model = Model(plan, manifest.configuration, manifest.trainer, [], reference=reference, plan_path=plan_path)
    expected = expected_weights(model)
    most = MAX_HEADER_BYTES + sum(weight.nbytes for weight in expected.values())
    networks = []
    for fold in progress(manifest.folds, desc="Checking"):
        name = of_fold(fold, file_format.WEIGHTS)
        weights = from_safetensors(archive.read(name, most), expected, archive.where(name), REMEDY)
        networks.append({network: weights.get(network, {}) for network in method.to_predict})  # some have no weights
    model = replace(model, networks=networks)
    model_hash = Predictor(model, "cpu", "float32").model_hash
    if model_hash != manifest.model_hash:
        raise ModelError(
            f"{archive.path}: weights and plan have the hash {model_hash} and not {manifest.model_hash}, as the "
            f"manifest says; {REMEDY}."
        )
    archive.read(file_format.CARD)  # must be whole, but is not believed: it is made anew
    parts = (
        built(Fingerprint, file_format.FINGERPRINT),
        archive.read_json(file_format.DATASET),
        built(Results | None, file_format.METRICS),
        {fold: built(Split, of_fold(fold, file_format.SPLIT)) for fold in manifest.folds},
        {fold: built(FoldTraining, of_fold(fold, file_format.TRAINING)) for fold in manifest.folds},
    )
    try:
        return ModelFile(manifest, model, *parts)
    except ValueError as fault:
        raise ModelError(f"{archive.path}: {fault}; {REMEDY}.") from None


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ModelError(f"{target} is not a folder; remove it, or name another with -o.")
    if not target.exists() or not any(target.iterdir()):
        return
    if not ModelFolder(target).plans.is_file():  # never replaced
        raise ModelError(f"{target} is there already and is not a model folder; name another with -o.")
    if not overwrite:
        trained = any(fold.latest.is_file() for fold in ModelFolder(target).folds())
        raise ModelError(
            f"{target} holds a model{' that was trained here' * trained} already; install to another folder with -o, "
            "or replace it, its folds and all, with --overwrite."
        )


def _checkpoint(file: ModelFile, fold: str, networks: States) -> dict[str, Any]:
    """What a prediction, and ``synthct_train --val``, read of a checkpoint; without it no training goes on."""
    training = file.trainings[fold]
    return {
        "trainer": file.manifest.trainer,
        "trainer_package": file.manifest.trainer_package,
        "configuration": file.manifest.configuration,
        "plan": file.model.plan.to_plain(),
        "training": to_plain(training.training),
        "split": to_plain(file.splits[fold]),
        "disjoint": file.manifest.disjoint,
        "epoch": training.epoch,
        "step": training.step,
        "networks": networks,
    }
