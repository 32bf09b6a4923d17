"""A model folder -> one zip file to hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthct import __version__
from synthct.errors import ModelError
from synthct.exchange.anonymous import anonymise, is_anonymous
from synthct.exchange.archive import json_bytes, write_archive
from synthct.exchange.card import model_card
from synthct.exchange.file_format import CARD, FORMAT_VERSION, WEIGHTS, Manifest, of_fold
from synthct.exchange.model_file import FoldTraining, ModelFile
from synthct.exchange.output_file import check_output, output_file
from synthct.exchange.results import collect_results
from synthct.exchange.weights import expected_weights, to_safetensors
from synthct.files import read_json, sha256_of
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import read_model
from synthct.json_dataclasses import from_plain
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.parallel import Progress, quiet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import TrainingPlan
from synthct.planning.plan_text import upgraded_training
from synthct.planning.splits import Split
from synthct.plugins import TRAINERS
from synthct.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Exported:
    """A file that was written; ``sha256`` (64 hexadecimal digits) is to be compared by another way than the file's."""

    path: Path
    manifest: Manifest
    card: str  # in Markdown
    sha256: str


def export_model(
    model_folder: Path,
    output: Path | None = None,
    folds: Sequence[str] | None = None,
    *,
    checkpoint: str = CHECKPOINT_FINAL,
    anonymous: bool = False,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> Exported:
    """Write weights, plan, fingerprint, dataset.json, metrics and a model card to a zip file; nothing of it is pickled.

    Args:
        model_folder: such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``.
        output: the zip file; by default in the current folder, named after the model and its hash.
        folds: those to export; every trained one by default.
        checkpoint: the checkpoint's file name in each fold.
        anonymous: whether case ids are replaced by numbers.
        overwrite: whether a file that is there may be replaced.
        progress: a display like ``tqdm``.

    Raises:
        ModelError: something is missing, damaged or does not fit, or the output is there already.
        PlanError: plan or fingerprint are missing or malformed.
    """
    files = ModelFolder(Path(model_folder).absolute())
    if output is not None:
        check_output(Path(output), overwrite)
    model = read_model(files.path, folds, checkpoint)
    paths = {
        name: files.fold(name).checkpoint(checkpoint)
        for name in dict.fromkeys(folds or files.trained_folds(checkpoint))
    }
    read = {name: load_checkpoint(path) for name, path in progress(paths.items(), desc="Reading")}
    disjoint = {bool(content.get("disjoint", False)) for content in read.values()}
    if len(disjoint) > 1:
        raise ModelError(f"{files.path} holds folds trained on disjoint patients and others; choose with -f.")
    splits = {
        name: from_plain(Split, content["split"], f"{paths[name]}: split", error=ModelError)
        for name, content in read.items()
    }
    trainings = {name: _training(content, paths[name]) for name, content in read.items()}
    package = next(iter(read.values())).get("trainer_package")
    model_hash = Predictor(model, "cpu", "float32").model_hash
    results = collect_results(files.path, splits, model_hash, checkpoint)
    fingerprint, dataset = Fingerprint.load(files.fingerprint), read_json(files.dataset, ModelError)
    try:
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            synthct_version=__version__,
            dataset_name=model.plan.dataset_name,
            trainer=model.trainer,
            trainer_package=str(package or TRAINERS.package_of(model.trainer)),
            configuration=model.configuration_name,
            disjoint=disjoint.pop(),
            folds=tuple(paths),
            model_hash=model_hash,
            anonymous=anonymous,
            files={},
        )
        file = ModelFile(manifest, model, fingerprint, dataset, results, splits, trainings)
    except ValueError as fault:
        raise ModelError(f"{files.path}: {fault}, so that the model could not be installed.") from None
    file = anonymise(file) if anonymous else file
    file = replace(file, manifest=replace(manifest, anonymous=is_anonymous(file)))
    card = model_card(file)
    members = {name: json_bytes(text) for name, text in file.texts().items()} | {CARD: card.encode()}
    expected = expected_weights(model)
    for (name, path), networks in zip(paths.items(), model.networks):
        members[of_fold(name, WEIGHTS)] = to_safetensors(networks, expected, str(path))
    target = Path(output) if output is not None else Path(manifest.default_file_name)
    with output_file(target, overwrite) as temporary:
        write_archive(temporary, file.manifest, members)
    return Exported(target, file.manifest, card, sha256_of(target))


def _training(content: dict[str, Any], path: Path) -> FoldTraining:
    """What a checkpoint says of its training."""
    precision = content.get("precision")
    return FoldTraining(
        content["epoch"],
        content["step"],
        str(content.get("synthct_version", "unknown")),
        str(content.get("torch_version", "unknown")),
        precision.get("chosen") if isinstance(precision, dict) else None,
        from_plain(TrainingPlan, upgraded_training(content["training"]), f"{path}: training", error=ModelError),
    )
