"""The dataset fingerprint: what was measured in the raw images, a record a case, for the rules to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthct.errors import PlanError
from synthct.files import read_json, write_json
from synthct.imaging.image_header import PLAUSIBLE_SPACING_MM
from synthct.imaging.planes import body_axes
from synthct.json_dataclasses import from_plain, is_name, shown, to_plain
from synthct.tuples import triple_of

FORMAT_VERSION = 1
HEAD_PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
LARGEST_INTENSITY = 1e12  # scanner units


@dataclass(frozen=True)
class VolumeFacts:
    """What was measured in one MR channel or one CT. Orders: SimpleITK's (x, y, z), as stored in the file."""

    size_xyz: tuple[int, int, int]
    spacing_mm_xyz: tuple[float, float, float]
    orientation: str  # towards which the axes run, such as LPS
    oblique_deg: float  # largest angle between an axis and the body axis it is named after
    minimum: float  # scanner units or HU, whole volume
    maximum: float
    head_volume_l: float  # of the head that was found, as are its intensities; see dataset.images.found_heads
    head_size_mm: tuple[float, float, float]  # box around the head mask (LR, AP, SI)
    head_mean: float  # scanner units or HU, inside the head
    head_percentiles: dict[str, float]  # of the intensities inside the head, keyed by HEAD_PERCENTILES

    def __post_init__(self) -> None:
        if not all(1 <= size <= 2**31 for size in self.size_xyz):
            raise ValueError(f"size_xyz must be numbers of voxels, not {shown(list(self.size_xyz))}")
        low, high = PLAUSIBLE_SPACING_MM
        if not all(low - 1e-4 <= spacing <= high for spacing in self.spacing_mm_xyz):  # they are rounded
            raise ValueError(f"spacing_mm_xyz must lie between {low} and {high} mm, not {list(self.spacing_mm_xyz)}")
        if not set(self.orientation) <= set("LRAPSI") or sorted(body_axes(self.orientation)) != [0, 1, 2]:
            raise ValueError(f"orientation must be three sides such as LPS, not {shown(self.orientation)}")
        wanted = [f"{percent:g}" for percent in HEAD_PERCENTILES]
        if missing := [percent for percent in wanted if percent not in self.head_percentiles]:
            raise ValueError(f"head_percentiles lacks {', '.join(missing)}")
        intensities = {"minimum": self.minimum, "maximum": self.maximum, "head_mean": self.head_mean}
        intensities |= {f"head_percentiles.{percent}": value for percent, value in self.head_percentiles.items()}
        for name, value in intensities.items():
            if not abs(value) <= LARGEST_INTENSITY:
                raise ValueError(f"{name} is not an intensity of a scanner: {value:g}")
        lengths: dict[str, tuple[float, ...]] = {
            "oblique_deg": (self.oblique_deg,),
            "head_volume_l": (self.head_volume_l,),
            "head_size_mm": self.head_size_mm,
        }
        for name, values in lengths.items():
            if not all(0 <= value <= 1e5 for value in values):
                raise ValueError(f"{name} must not be negative nor above 100000, not {list(values)}")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Along the body's axes: LR, AP, SI."""
        return self._along_body(self.spacing_mm_xyz)

    @property
    def field_of_view_mm(self) -> tuple[float, float, float]:
        """Along the body's axes: LR, AP, SI."""
        return self._along_body([size * mm for size, mm in zip(self.size_xyz, self.spacing_mm_xyz)])

    def _along_body(self, values_xyz: Sequence[float]) -> tuple[float, float, float]:
        return triple_of(value for _, value in sorted(zip(body_axes(self.orientation), values_xyz)))


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
            raise ValueError(f"format_version is {shown(self.format_version)} but this synthct reads {FORMAT_VERSION}")
        for patient in self.cases:
            if not is_name(patient):
                raise ValueError(f"cases holds {shown(patient)}, which cannot be a patient's files' name")
        if len({len(case.mr) for case in self.cases.values() if case.mr}) > 1:
            raise ValueError("cases differ in their number of MR channels")

    @staticmethod
    def load(path: Path) -> Fingerprint:
        """Read ``dataset_fingerprint.json``.

        Raises:
            PlanError: naming the file and the offending key.
        """
        return from_plain(Fingerprint, read_json(path, PlanError, missing="run synthct_plan_and_preprocess"), str(path))

    def save(self, path: Path) -> None:
        """Write ``dataset_fingerprint.json``."""
        write_json(to_plain(self), path)
