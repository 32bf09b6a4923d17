"""What a model file holds: its members by name with their greatest sizes, and the manifest that lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synthct.json_dataclasses import is_name, shown
from synthct.model_folder import ModelFolder

FORMAT_VERSION = 3
READABLE = (2, FORMAT_VERSION)  # 2 had a card for programs too; 1 had the plan's earlier format, and another hash
MIB = 1 << 20
MAX_BYTES = 3 << 30  # of a whole file; below 4 GiB, so that no zip64 is needed

MANIFEST, CARD = "manifest.json", "model_card.md"
PLANS, DATASET, FINGERPRINT = "plans.json", "dataset.json", "dataset_fingerprint.json"
REFERENCE, METRICS, CARD_OF_FORMAT_2 = "qa_reference.json", "metrics.json", "model_card.json"
WEIGHTS, SPLIT, TRAINING = "weights.safetensors", "split.json", "training.json"

# bytes that a member may have; a fingerprint takes some 2 kB a patient
REQUIRED = {PLANS: 64 * MIB, DATASET: 64 * MIB, FINGERPRINT: 64 * MIB, CARD: MIB}
OPTIONAL = {REFERENCE: 64 * MIB, METRICS: 64 * MIB, CARD_OF_FORMAT_2: MIB}
OF_A_FOLD = {WEIGHTS: 1024 * MIB, SPLIT: 4 * MIB, TRAINING: MIB}  # in every fold's folder


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 (64 hexadecimal digits) of a member."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``: which model it is, and every other member.

    Raises:
        ValueError: a name could not be a folder's on every system, or what stands in messages is malformed.
    """

    format_version: int
    synthct_version: str
    dataset_name: str
    trainer: str
    trainer_package: str  # that has the trainer, such as ``my-method 0.1``
    configuration: str
    disjoint: bool  # whether MR and CT of its training were of different patients
    folds: tuple[str, ...]  # such as ``("0", "1", "all")``
    model_hash: str  # of all folds together, as ``synthct_predict`` reports it
    anonymous: bool  # whether the patients' ids were replaced by numbers
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        known = [fold for fold in self.folds if max_bytes(of_fold(fold, SPLIT))]
        proper = {
            "dataset_name": _is_folder_name(self.dataset_name) and re.match(r"Dataset\d{3}_.", self.dataset_name),
            "trainer": _is_folder_name(self.trainer),
            "configuration": _is_folder_name(self.configuration),
            "trainer_package": re.fullmatch(
                r"([A-Za-z0-9][\w.-]{0,99} [\w.+!-]{1,50})?", self.trainer_package, re.ASCII
            ),
            "model_hash": re.fullmatch(r"[0-9a-f]{12}", self.model_hash),
            "folds": known and len(set(known)) == len(self.folds),
        }
        for name, is_proper in proper.items():
            if not is_proper:
                raise ValueError(f"{name} cannot be {shown(getattr(self, name))}")

    @property
    def folder_name(self) -> str:
        """The model folder's, such as ``cyclegan__plans__2d``."""
        return ModelFolder.name_of(self.trainer, self.configuration, disjoint=self.disjoint)

    @property
    def default_file_name(self) -> str:
        """Such as ``Dataset001_Brain__cyclegan__2d__0123456789ab.zip``."""
        trainer = self.trainer + "_disjoint" * self.disjoint
        return f"{self.dataset_name}__{trainer}__{self.configuration}__{self.model_hash}.zip"


def of_fold(fold: str, name: str) -> str:
    """The member ``name`` of a fold, such as ``fold_0/split.json``."""
    return f"fold_{fold}/{name}"


def max_bytes(member: str) -> int:
    """The greatest size of a member; 0 of a name that the format does not have in that place."""
    if fold := re.fullmatch(r"fold_(?:all|0|[1-9][0-9]?)/(.+)", member):
        return OF_A_FOLD.get(fold[1], 0)
    return ({MANIFEST: MIB} | REQUIRED | OPTIONAL).get(member, 0)


def _is_folder_name(name: str) -> bool:
    """On every system."""
    proper = is_name(name) and len(name) <= 100 and not set(name) & set(':*?"<>|')
    return proper and name[0] not in ". -" and name[-1] not in ". "
