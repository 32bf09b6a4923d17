"""What every importer hands over: patients, and where their images are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthct.imaging.dicom import DicomSeries

Source = Path | DicomSeries


@dataclass(frozen=True)
class ImportCase:
    """One patient to import."""

    patient: str  # the case id in the raw dataset
    mr: Source | None
    ct: Source | None
    mask: Path | None
    source: str  # what the key file says; may identify the patient, so it is written nowhere else
    public_id: str = ""  # the id in a public dataset

    @property
    def same_frame(self) -> bool | None:
        """Whether MR and CT lie in one frame of reference; None where the format does not say."""
        if isinstance(self.mr, DicomSeries) and isinstance(self.ct, DicomSeries):
            return bool(self.mr.frame_of_reference_uid) and (
                self.mr.frame_of_reference_uid == self.ct.frame_of_reference_uid
            )
        return None


@dataclass(frozen=True)
class Listing:
    """What a folder holds, before any voxel is read."""

    format: str
    cases: tuple[ImportCase, ...]
    problems: dict[str, str] = field(default_factory=dict)  # by patient, who is then not among the cases
    remarks: tuple[str, ...] = ()  # what was passed over on purpose
    table: tuple[str, ...] = ()  # lines that show what was found, for a user to choose from
    sources: dict[str, str] = field(default_factory=dict)  # what the key file says of every patient

    def renamed(self, name: str) -> Listing:
        """The same with patients called NAME_001, NAME_002, ... in an order that says nothing about them."""
        names = numbered(name, (case.patient for case in self.cases))
        return replace(
            self,
            cases=tuple(sorted((replace(case, patient=names[case.patient], public_id="") for case in self.cases),
                               key=lambda case: case.patient)),
            table=(),
            sources={names[patient]: source for patient, source in self.sources.items()},
        )  # fmt: skip


def numbered(name: str, keys: Iterable[str]) -> dict[str, str]:
    """``{key: NAME_001, ...}``: the same keys get the same numbers, and the order says nothing about the keys."""
    ordered = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    digits = max(3, len(str(len(ordered))))
    return {key: f"{name}_{number:0{digits}d}" for number, key in enumerate(ordered, start=1)}
