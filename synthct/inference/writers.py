"""How an sCT is written: as an image file on the MR's own grid, or as a DICOM CT series on an axial one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import SimpleITK as sitk

from synthct import __version__
from synthct.dataset.raw import CaseFiles
from synthct.imaging.axial import axial_grid
from synthct.imaging.geometry import Grid
from synthct.imaging.io import write_image
from synthct.inference.prediction import Prediction

if TYPE_CHECKING:  # pydicom is loaded where DICOM is read or written, and not for a training
    from synthct.imaging.dicom.ct_series import CtSeriesSettings
    from synthct.inference.dicom_mrs import DicomMr


def mr_file(case: CaseFiles | DicomMr) -> Path | None:
    """The file whose grid is the MR's; None of a DICOM series."""
    return case.mr[0] if isinstance(case, CaseFiles) and case.mr else None


class Writer(Protocol):
    """What a prediction asks of an output format; travels to a worker."""

    def grid(self, mr: sitk.Image) -> Grid | None:
        """The grid on which the sCT is wanted; None for the MR's own."""

    def write(self, prediction: Prediction, case: CaseFiles | DicomMr, path: Path, model_hash: str) -> None:
        """Write the sCT of a case, atomically."""


@dataclass(frozen=True)
class ImageFileWriter:
    """An image file in the format that the path's ending says."""

    def grid(self, mr: sitk.Image) -> Grid | None:
        """The MR's own."""
        return None

    def write(self, prediction: Prediction, case: CaseFiles | DicomMr, path: Path, model_hash: str) -> None:
        """Write the file; where MR and sCT are files of one format, the sCT says where it lies as the MR does.

        Raises:
            DiskError: it cannot be written.
        """
        write_image(prediction.sct, path, like=mr_file(case))


@dataclass(frozen=True)
class CtSeriesWriter:
    """A folder with a DICOM CT series, in the patient and study of a DICOM MR or in new ones.

    Attributes:
        body_contour: write the outline of the head beside it, as an RT Structure Set.
    """

    settings: CtSeriesSettings
    body_contour: bool = False

    def grid(self, mr: sitk.Image) -> Grid | None:
        """Axial, over the MR's field of view: the network's slices are sampled on it directly."""
        return axial_grid(Grid.of(mr))

    def write(self, prediction: Prediction, case: CaseFiles | DicomMr, path: Path, model_hash: str) -> None:
        """Write the series.

        Raises:
            ImageError: the headers of the MR cannot be read.
            DiskError: the folder cannot be written.
        """
        from synthct.imaging.dicom.ct_series import write_ct_series

        derivation = f"Synthetic CT computed from MR by synthct {__version__}, model {model_hash}"
        source = case.patient if isinstance(case, CaseFiles) else case.files
        body = prediction.head if self.body_contour else None
        write_ct_series(prediction.sct, path, source, self.settings, derivation=derivation, body=body)
