"""A 3-D volume as DICOM files hold it: what their headers say, without the voxels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthct.imaging.dicom.persons import Person


@dataclass(frozen=True)
class DicomSlice:
    """One image of a series: a file, or a frame of a multi-frame file."""

    path: Path
    frame: int  # from 0; 0 in a file of one image
    instance: int  # InstanceNumber, or the frame's number from 1; what messages call the image by
    position_mm: tuple[float, float, float]  # ImagePositionPatient: centre of the first voxel, LPS
    thickness_mm: float  # SliceThickness; 0 where it is not given. Never taken for the distance of slices
    rescale: tuple[float, float]  # slope, intercept: stored value to HU or scanner units


@dataclass(frozen=True)
class DicomSeries:
    """A stack of parallel slices with one image a position; a series with more is split into several of these.

    ``patient_id`` is as in the files, or the folder where they have none: it groups series and is never shown. What
    messages show is :attr:`name`.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    modality: str  # MR or CT
    description: str
    number: int  # SeriesNumber; 0 where there is none
    part: int  # 0, or from 1 where a series was split into several volumes
    split: str  # what the part has of its own, such as "echo time 4.6"; empty for a whole series
    frame_of_reference_uid: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]  # distance of rows, of columns
    orientation: tuple[float, ...]  # ImageOrientationPatient: unit vectors (LPS) along a row and down a column
    slices: tuple[DicomSlice, ...]  # ordered along the slice normal (row vector x column vector)
    stored_range: tuple[int, int]  # least and greatest value that the stored bits can hold
    unfit: str  # why this is not a volume to train on, such as "localizer"; empty for a proper one
    person: Person = field(default=Person(), compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, ordered along the slice normal; a multi-frame file once."""
        return tuple(dict.fromkeys(image.path for image in self.slices))

    @property
    def label(self) -> str:
        """Series number, and after a dot the part: ``4`` or ``4.2``."""
        return f"{self.number}.{self.part}" if self.part else str(self.number)

    @property
    def name(self) -> str:
        """What messages call the series: nothing in it identifies the patient."""
        described = f" '{self.description}'" if self.description else ""
        return f"{self.modality} series {self.label}{described}" + (f" ({self.split})" if self.split else "")

    @property
    def derived(self) -> bool:
        """Whether it was computed from other images (reformatted, a map, a subtraction) and not acquired."""
        return bool(self.image_type) and (self.image_type[0] == "DERIVED" or "SECONDARY" in self.image_type[1:2])

    @property
    def axes(self) -> np.ndarray:
        """Orthonormal unit vectors (LPS) along a row, down a column and along the slice normal, as columns (3, 3)."""
        row, column = np.reshape(self.orientation, (2, 3))
        row = row / np.linalg.norm(row)
        column = column - (column @ row) * row
        column = column / np.linalg.norm(column)
        return np.stack([row, column, np.cross(row, column)], axis=1)

    @property
    def positions_mm(self) -> np.ndarray:
        """Centre of the first voxel of every slice, LPS; (slices, 3)."""
        return np.array([image.position_mm for image in self.slices])

    @property
    def slice_gap_mm(self) -> float:
        """Median distance of neighbouring slices along the normal; 0 for a single slice."""
        gaps = np.diff(self.positions_mm @ self.axes[:, 2])
        return float(np.median(gaps)) if len(gaps) else 0.0
