"""The dataset fingerprint: what was measured in the raw images, a record a case, for the rules to decide by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthct.errors import PlanError
from synthct.files import read_json, write_json
from synthct.records import from_plain, to_plain

FORMAT_VERSION = 1
HEAD_PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)


@dataclass(frozen=True)
class VolumeFacts:
    """What was measured in one MR channel or one CT. Orders: SimpleITK's (x, y, z), as stored in the file."""

    size_xyz: tuple[int, int, int]
    spacing_mm_xyz: tuple[float, float, float]
    orientation: str  # towards which the axes run, such as LPS
    oblique_deg: float  # largest angle between an axis and the body axis it is named after
    minimum: float  # scanner units or HU, whole volume
    maximum: float
    head_volume_l: float
    head_size_mm: tuple[float, float, float]  # bounding box (left-right, front-back, foot-head) along the file's axes
    head_mean: float  # scanner units or HU, inside the head mask
    head_percentiles: dict[str, float]  # of the intensities inside the head mask, keyed by HEAD_PERCENTILES


@dataclass(frozen=True)
class CaseFacts:
    """One patient; ``mr`` holds a record a channel and is empty without an MR."""

    mr: tuple[VolumeFacts, ...]
    ct: VolumeFacts | None
    files_key: str  # of the files that were measured; another key means that they have changed since
    aligned: bool = True  # false where the registration of CT to MR failed

    @property
    def paired(self) -> bool:
        """Whether the patient has both an MR and a CT, and they are aligned."""
        return bool(self.mr) and self.ct is not None and self.aligned


@dataclass(frozen=True)
class Fingerprint:
    """All training cases of a dataset, by patient."""

    format_version: int
    synthct_version: str
    dataset_name: str
    cases: dict[str, CaseFacts]

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version is {self.format_version} but this synthct reads {FORMAT_VERSION}")

    @staticmethod
    def load(path: Path) -> Fingerprint:
        """Read ``dataset_fingerprint.json``.

        Raises:
            PlanError: naming the file and the offending key.
        """
        return from_plain(Fingerprint, read_json(path, PlanError), str(path))

    def save(self, path: Path) -> None:
        """Write ``dataset_fingerprint.json``."""
        write_json(to_plain(self), path)
