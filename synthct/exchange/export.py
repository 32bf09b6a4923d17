"""A model folder -> one zip file to hand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from synthct import __version__, locks
from synthct.errors import ModelError
from synthct.exchange import file_format
from synthct.exchange.archive import write_archive
from synthct.exchange.card_text import to_markdown
from synthct.exchange.file_format import FORMAT_VERSION, FileRecord, Manifest, of_fold
from synthct.exchange.model_card import ModelCard, make_card
from synthct.exchange.model_texts import FoldTraining, ModelTexts, is_case_id
from synthct.exchange.results import collect_results
from synthct.exchange.weights import expected_weights, to_safetensors
from synthct.files import read_json, remove_leftovers
from synthct.inference.predictor import Predictor
from synthct.inference.read_model import Model, predicting_networks, read_checkpoint
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.parallel import Progress, quiet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan, TrainingPlan
from synthct.planning.plan_text import upgraded_training
from synthct.planning.splits import Split
from synthct.plugins import TRAINERS
from synthct.qa.qa_reference import Reference
from synthct.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        sha256: of the whole file, 64 hexadecimal digits, to compare by another way than the file's.
    """

    path: Path
    card: ModelCard
    sha256: str


@dataclass(frozen=True)
class _Fold:
    """What is taken of a checkpoint."""

    model: Model
    trainer_package: str
    disjoint: bool
    split: Split
    training: FoldTraining

    @property
    def identity(self) -> tuple[str, str, bool]:
        """What all folds of a model have in common."""
        return self.model.trainer, self.model.configuration_name, self.disjoint


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how.

    Attributes:
        checkpoint: the checkpoint's file name in each fold.
        anonymous: replace case ids by numbers.
        overwrite: whether a file that is there may be replaced.
        today: the card's date, YYYY-MM-DD; today's by default.
    """

    checkpoint: str = CHECKPOINT_FINAL
    anonymous: bool = False
    overwrite: bool = False
    today: str | None = None


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
        output: the zip file; one that tells which model it is, in the current folder, by default.
        folds: those to export; every trained one by default.
        options: what is exported, and how.
        progress: a display like ``tqdm``.

    Raises:
        ModelError: something is missing, damaged or does not fit, or the output is there already.
        PlanError: plan or fingerprint are missing or malformed.
    """
    folder = Path(model_folder).absolute()
    files = ModelFolder(folder)
    if not files.plans.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no plans.json; give the folder that holds fold_0.")
    if output is not None:
        _check_output(Path(output), options.overwrite)
    plan = Plan.load(files.plans)
    names = list(dict.fromkeys(folds or files.trained_folds(options.checkpoint)))
    if not names:
        raise ModelError(f"{folder} holds no {options.checkpoint} in any fold; train it, or choose another with -chk.")
    read = {
        name: _read_fold(files.fold(name).checkpoint(options.checkpoint), plan, files.plans)
        for name in progress(names, desc="Reading")
    }
    first = read[names[0]]
    for name, fold in read.items():
        if fold.identity != first.identity:
            raise ModelError(f"{folder}: fold {name} is of another trainer or configuration than fold {names[0]}.")
        if not file_format.is_known(of_fold(name, file_format.WEIGHTS)):
            raise ModelError(f"{folder}: there is no fold '{name[:40]}'; folds are 0 to 99 and all.")
    model = replace(first.model, networks=[states for fold in read.values() for states in fold.model.networks])
    expected = expected_weights(lambda: predicting_networks(model.method, model.configuration, model.settings))
    predictor = Predictor(model, "cpu", "float32")
    splits = {name: fold.split for name, fold in read.items()}
    results, why_not = collect_results(folder, splits, predictor.model_hash, options.checkpoint)
    texts = ModelTexts(
        plan,
        _dataset(files.dataset),
        Fingerprint.load(files.fingerprint),
        Reference.load(folder),
        results,
        splits,
        {name: fold.training for name, fold in read.items()},
    )
    _check_names(texts, first, folder)
    texts = texts.anonymous() if options.anonymous else texts
    manifest = Manifest(
        FORMAT_VERSION,
        __version__,
        plan.dataset_name,
        model.trainer,
        first.trainer_package,
        model.configuration_name,
        first.disjoint,
        tuple(names),
        predictor.model_hash,
        options.anonymous or _is_anonymous(texts),
        {},
    )
    card = make_card(
        texts,
        manifest,
        model,
        has_cycle=predictor.has_cycle,
        why_no_results=why_not,
        today=options.today or date.today().isoformat(),
    )
    members = {name: _to_bytes(text) for name, text in (texts.members() | {file_format.CARD: to_plain(card)}).items()}
    members[file_format.CARD_TEXT] = to_markdown(card).encode()
    for name, fold in read.items():
        where = str(files.fold(name).checkpoint(options.checkpoint))
        members[of_fold(name, file_format.WEIGHTS)] = to_safetensors(fold.model.networks[0], expected, where)
    path = Path(output) if output is not None else Path(default_name(manifest))
    with locks.section(path, "synthct_export_model"):
        _check_output(path, options.overwrite)
        remove_leftovers(path.parent, of=path.name)  # of a killed export
        _write(path, members, manifest)
    return Exported(path, card, _sha256(path))


def default_name(manifest: Manifest) -> str:
    """Such as ``Dataset001_Brain__cyclegan__2d__0123456789ab.zip``."""
    trainer = manifest.trainer + "_disjoint" * manifest.disjoint
    return f"{manifest.dataset_name}__{trainer}__{manifest.configuration}__{manifest.model_hash}.zip"


def _write(path: Path, members: dict[str, bytes], manifest: Manifest) -> None:
    for name, data in members.items():
        if len(data) > file_format.most_bytes(name):
            raise ModelError(f"{path} cannot be written: {name} would have {len(data):,} bytes, too many to be read.")
    if sum(map(len, members.values())) > file_format.MOST_BYTES:
        raise ModelError(f"{path} cannot be written: it would have more than 3 GiB; export fewer folds with -f.")
    listed = {name: FileRecord(len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(members.items())}
    of_manifest = to_plain(manifest) | {"files": to_plain(listed)}
    write_archive(path, {file_format.MANIFEST: _to_bytes(of_manifest), **members})


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(file_format.MIB):
            digest.update(part)
    return digest.hexdigest()


def _check_output(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name a zip file with -o.")
    if path.exists() and not overwrite:
        raise ModelError(f"{path} is there already; name another file with -o, or add --overwrite.")


def _read_fold(path: Path, plan: Plan, plan_path: Path) -> _Fold:
    model, content = read_checkpoint(path, plan, plan_path), load_checkpoint(path)
    precision = content.get("precision")
    return _Fold(
        model,
        str(content.get("trainer_package", "")) or TRAINERS.package_of(model.trainer),
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


def _dataset(path: Path) -> dict[str, Any]:
    dataset = read_json(path, ModelError)
    if not isinstance(dataset, dict) or not isinstance(dataset.get("channel_names"), dict):
        raise ModelError(f"{path} has no table of channel_names; restore it from the preprocessed dataset.")
    return dataset


def _check_names(texts: ModelTexts, fold: _Fold, folder: Path) -> None:
    """What could not be installed is not exported."""
    for name in (texts.plan.dataset_name, fold.model.trainer, fold.model.configuration_name):
        if not file_format.is_safe_name(name):
            raise ModelError(f"{folder}: {name!r} cannot be a folder's name on every system; rename it in plans.json.")
    if not file_format.is_package(fold.trainer_package):
        raise ModelError(f"{folder}: {fold.trainer_package[:80]!r} is not a package with its version; train again.")
    if bad := [patient for patient in sorted(texts.patients) if not is_case_id(patient)]:
        raise ModelError(f"{folder}: the case id {bad[0]!r} cannot be a file's name on every system.")


def _is_anonymous(texts: ModelTexts) -> bool:
    """Whether a model that was installed came without case ids."""
    return all(patient.startswith("CASE_") and patient[5:].isdecimal() for patient in texts.patients)


def _to_bytes(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
