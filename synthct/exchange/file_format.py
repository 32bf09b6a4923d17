"""What a model file holds: its members by name with their greatest sizes, and the manifest that lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMAT_VERSION = 2  # 1 had the plan's earlier format, and another hash of the model

MANIFEST = "manifest.json"
PLANS, DATASET, FINGERPRINT = "plans.json", "dataset.json", "dataset_fingerprint.json"
REFERENCE, METRICS = "qa_reference.json", "metrics.json"  # may be missing
CARD, CARD_TEXT = "model_card.json", "model_card.md"
REQUIRED = (PLANS, DATASET, FINGERPRINT, CARD, CARD_TEXT)
OPTIONAL = (REFERENCE, METRICS)
WEIGHTS, SPLIT, TRAINING = "weights.safetensors", "split.json", "training.json"  # in every fold's folder
OF_A_FOLD = (WEIGHTS, SPLIT, TRAINING)

MIB = 1 << 20
MOST_MEMBERS = 400
MOST_BYTES = 3 << 30  # of a whole file; below 4 GiB, so that no zip64 is needed
_LIMITS = {MANIFEST: MIB, CARD: MIB, CARD_TEXT: MIB, SPLIT: 4 * MIB, TRAINING: MIB, WEIGHTS: 1024 * MIB}
_TEXT_LIMIT = 64 * MIB  # a fingerprint takes some 2 kB a patient
_MEMBER = re.compile(
    rf"(?:fold_(all|0|[1-9]\d?)/)?({'|'.join(map(re.escape, (MANIFEST, *REQUIRED, *OPTIONAL, *OF_A_FOLD)))})"
)


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 (64 hexadecimal digits) of a member."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``: which model it is, and every other member.

    Attributes:
        trainer_package: that has the trainer, such as ``my-method 0.1``.
        disjoint: whether MR and CT of its training were of different patients.
        folds: such as ``("0", "1", "all")``.
        model_hash: of all folds together, as ``synthct_predict`` tells it.
        anonymous: whether the patients' ids were replaced by numbers.
    """

    format_version: int
    synthct_version: str
    dataset_name: str
    trainer: str
    trainer_package: str
    configuration: str
    disjoint: bool
    folds: tuple[str, ...]
    model_hash: str
    anonymous: bool
    files: dict[str, FileRecord]


def of_fold(fold: str, name: str) -> str:
    """The member ``name`` of a fold, such as ``fold_0/split.json``."""
    return f"fold_{fold}/{name}"


def is_known(member: str) -> bool:
    """Whether this version of the format has such a member, in that place."""
    match = _MEMBER.fullmatch(member)
    return match is not None and (match[1] is not None) == (match[2] in OF_A_FOLD)


def most_bytes(member: str) -> int:
    """Above what size a member is refused unread."""
    return _LIMITS.get(member.rpartition("/")[2], _TEXT_LIMIT)


def is_package(text: str) -> bool:
    """Whether a text is a package with its version, such as ``my-method 0.1``, or empty: it stands in messages."""
    return re.fullmatch(r"([A-Za-z0-9][\w.-]{0,99} [\w.+!-]{1,50})?", text, re.ASCII) is not None


def is_safe_name(name: str, longest: int = 100) -> bool:
    """Whether a text may be the name of a file or folder on every system, and be printed on a terminal."""
    return (
        0 < len(name) <= longest
        and name.isprintable()
        and not set(name) & set('/\\:*?"<>|')
        and name[0] not in ". -"
        and name[-1] not in ". "
    )
