"""``qa_reference.json``: what was measured in the patients that a new one is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from synthct import __version__
from synthct.errors import ModelError
from synthct.files import read_json, write_json
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import ModelFolder
from synthct.qa.measure_sct import HuFacts, OutputFacts
from synthct.qa.mr_facts import MrFacts
from synthct.qa.usefulness import HeldOutError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PatientRecord:
    """One patient of the training dataset.

    Attributes:
        fold: that held the patient out and made the sCT; None of a patient of whom only the scans were measured.
        mr: None without an MR.
        ct: the HU of the patient's CT; None without one.
        output: of the sCT by the fold that held the patient out.
        ensemble_folds: how many folds the uncertainty below is the SD over; all but one were trained on the patient.
        error: of the sCT and of a constant CT; None without an aligned CT, and in files of earlier versions.
    """

    fold: str | None
    mr: MrFacts | None
    ct: HuFacts | None
    output: OutputFacts | None
    ensemble_folds: int = 0
    uncertainty_head_hu: float | None = None
    uncertainty_bone_hu: float | None = None
    error: HeldOutError | None = None


@dataclass(frozen=True)
class Reference:
    """The records of a model, by patient."""

    format_version: int = FORMAT_VERSION
    synthct_version: str = __version__
    patients: dict[str, PatientRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version is {self.format_version} but this synthct reads {FORMAT_VERSION}")

    @staticmethod
    def load(model_folder: Path) -> Reference | None:
        """Read the reference of a model folder; None where it has none.

        Raises:
            ModelError: naming the file and the key that is wrong.
        """
        path = ModelFolder(Path(model_folder)).qa_reference
        if not path.is_file():
            return None
        where = f"{path} (remove it, and synthct_train ... --val makes it again)"
        return from_plain(Reference, read_json(path, ModelError), where, error=ModelError)

    def save(self, model_folder: Path) -> None:
        """Write the file into a model folder."""
        write_json(to_plain(replace(self, synthct_version=__version__)), ModelFolder(Path(model_folder)).qa_reference)

    def with_fold(self, fold: str, records: dict[str, PatientRecord]) -> Reference:
        """The reference with the records of a fold's patients in place of what this fold left earlier.

        A patient whom another fold predicted keeps that fold's record: it says more than the scans alone.
        """
        kept = {patient: record for patient, record in self.patients.items() if record.fold not in (fold, None)}
        scans_only = {patient: record for patient, record in self.patients.items() if record.fold is None}
        fresh = {
            patient: record for patient, record in records.items() if record.fold is not None or patient not in kept
        }
        return replace(self, patients=dict(sorted((scans_only | kept | fresh).items())))

    def without(self, patient: str) -> Reference:
        """The reference that a patient of it is compared with.

        Of this patient it keeps only how far the model's sCT was from the CT: that says what the model is worth.
        """
        others = {name: record for name, record in self.patients.items() if name != patient}
        own = self.patients.get(patient)
        if own is None or own.error is None:
            return replace(self, patients=others)
        model_reasons = PatientRecord(own.fold, None, None, None, error=own.error)
        return replace(self, patients=dict(sorted((others | {patient: model_reasons}).items())))

    @property
    def errors(self) -> tuple[HeldOutError, ...]:
        """Of the held-out patients of whom they were measured."""
        return tuple(record.error for record in self.patients.values() if record.error is not None)
