"""A model folder -> one zip file to hand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from synthct import __version__, locks
from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.archive import write_archive
from synthct.exchange.card import ModelCard, make_card
from synthct.exchange.card_text import to_markdown
from synthct.exchange.file_format import FileRecord, Manifest, of_fold
from synthct.exchange.results import collect_results
from synthct.exchange.texts import FoldTraining, ModelTexts
from synthct.exchange.weights import expected_weights, to_safetensors
from synthct.files import read_json, remove_leftovers, sha256_of
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import predicting_networks, read_model
from synthct.json_dataclasses import from_plain, to_plain
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
    card: ModelCard
    sha256: str


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how."""

    checkpoint: str = CHECKPOINT_FINAL  # the checkpoint's file name in each fold
    anonymous: bool = False  # replace case ids by numbers
    overwrite: bool = False  # whether a file that is there may be replaced
    today: str | None = None  # the card's date, YYYY-MM-DD; today's by default


@dataclass(frozen=True)
class _Fold:
    """What is taken of a checkpoint beside the weights."""

    trainer_package: str
    disjoint: bool
    split: Split
    training: FoldTraining


DEFAULTS = ExportOptions()


def export_model(
    model_folder: Path,
    output: Path | None = None,
    folds: Sequence[str] | None = None,
    options: ExportOptions = DEFAULTS,
    *,
    progress: Progress = quiet,
) -> Exported:
    """Write weights, plan, fingerprint, dataset.json, metrics and a model card to a zip file; nothing of it is pickled.

    Args:
        model_folder: such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``.
        output: the zip file; by default in the current folder, named after the model and its hash.
        folds: those to export; every trained one by default.
        options: what is exported, and how.
        progress: a display like ``tqdm``.

    Raises:
        ModelError: something is missing, damaged or does not fit, or the output is there already.
        PlanError: plan or fingerprint are missing or malformed.
    """
    folder = Path(model_folder).absolute()
    files = ModelFolder(folder)
    if output is not None:
        _check_output(Path(output), options.overwrite)
    model = read_model(folder, folds, options.checkpoint)
    names = list(dict.fromkeys(folds or files.trained_folds(options.checkpoint)))
    paths = {name: files.fold(name).checkpoint(options.checkpoint) for name in names}
    read = {name: _read_fold(paths[name], model.trainer) for name in progress(names, desc="Reading")}
    if len({fold.disjoint for fold in read.values()}) > 1:
        raise ModelError(f"{folder} holds folds trained on disjoint patients and others; choose with -f.")
    predictor = Predictor(model, "cpu", "float32")
    splits = {name: fold.split for name, fold in read.items()}
    results, why_not = collect_results(folder, splits, predictor.model_hash, options.checkpoint)
    texts = ModelTexts(
        model.plan,
        read_json(files.dataset, ModelError),
        Fingerprint.load(files.fingerprint),
        model.reference,
        results,
        splits,
        {name: fold.training for name, fold in read.items()},
    ).checked(str(folder))
    texts = texts.anonymous() if options.anonymous else texts
    try:
        manifest = Manifest(
            format_version=file_format.FORMAT_VERSION,
            synthct_version=__version__,
            dataset_name=model.plan.dataset_name,
            trainer=model.trainer,
            trainer_package=read[names[0]].trainer_package,
            configuration=model.configuration_name,
            disjoint=read[names[0]].disjoint,
            folds=tuple(names),
            model_hash=predictor.model_hash,
            anonymous=options.anonymous or texts.is_anonymous,
            files={},
        )
    except ValueError as fault:
        raise ModelError(f"{folder}: {fault}; a model with it cannot be installed, so it is not exported.") from None
    today = options.today or date.today().isoformat()
    card = make_card(texts, manifest, model, has_cycle=predictor.has_cycle, why_no_results=why_not, today=today)
    members = {name: _to_bytes(text) for name, text in (texts.members() | {file_format.CARD: to_plain(card)}).items()}
    members[file_format.CARD_TEXT] = to_markdown(card).encode()
    expected = expected_weights(partial(predicting_networks, model.method, model.configuration, model.settings))
    for name, networks in zip(names, model.networks):
        members[of_fold(name, file_format.WEIGHTS)] = to_safetensors(networks, expected, str(paths[name]))
    path = Path(output) if output is not None else Path(manifest.default_file_name)
    with locks.section(path, "synthct_export_model"):
        _check_output(path, options.overwrite)
        remove_leftovers(path.parent, of=path.name)  # of a killed export
        _write(path, members, manifest)
    return Exported(path, card, sha256_of(path))


def _write(path: Path, members: dict[str, bytes], manifest: Manifest) -> None:
    for name, data in members.items():
        if len(data) > (file_format.max_bytes(name) or 0):
            raise ModelError(f"{path} cannot be written: {name} would have {len(data):,} bytes, too many to be read.")
    if sum(map(len, members.values())) > file_format.MAX_BYTES:
        raise ModelError(f"{path} cannot be written: it would have more than 3 GiB; export fewer folds with -f.")
    listed = {name: FileRecord(len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(members.items())}
    write_archive(path, {file_format.MANIFEST: _to_bytes(to_plain(replace(manifest, files=listed))), **members})


def _check_output(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name a zip file with -o.")
    if path.exists() and not overwrite:
        raise ModelError(f"{path} is there already; name another file with -o, or add --overwrite.")


def _read_fold(path: Path, trainer: str) -> _Fold:
    content = load_checkpoint(path)
    precision = content.get("precision")
    return _Fold(
        str(content.get("trainer_package", "")) or TRAINERS.package_of(trainer),
        bool(content.get("disjoint", False)),
        from_plain(Split, content["split"], f"{path}: split", error=ModelError),
        FoldTraining(
            content["epoch"],
            content["step"],
            str(content.get("synthct_version", "unknown")),
            str(content.get("torch_version", "unknown")),
            precision.get("chosen") if isinstance(precision, dict) else None,
            from_plain(TrainingPlan, upgraded_training(content["training"]), f"{path}: training", error=ModelError),
        ),
    )


def _to_bytes(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
