"""A synthetic CT as a DICOM CT series that planning systems take: axial slices, HU, one file a slice."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from synthct import __version__
from synthct.errors import DiskError, ImageError, os_error_sentence
from synthct.files import folder_written_whole
from synthct.imaging.axial import ALONG_BODY, on_axial_grid
from synthct.imaging.coding import AIR_HU
from synthct.imaging.dicom.body_contour import ReferencedSeries, structure_set
from synthct.imaging.dicom.identity import Identity, identity_of_mr, new_identity, new_uid
from synthct.imaging.geometry import Grid

HU_RANGE = (-1024, 3071)
SOFT_TISSUE_WINDOW = (40, 400)  # centre and width (HU) that viewers open it with
IMPLEMENTATION_UID = "2.25.251105822171494302172782463475727874452"  # of this writer, whatever its version
_logger = logging.getLogger(__name__)
BODY_FILE = "body_contour.dcm"
_FILE = re.compile(rf"sCT_\d{{4,}}\.dcm|{re.escape(BODY_FILE)}")


@dataclass(frozen=True)
class CtSeriesSettings:
    """What planning systems choose their HU table by, and what the series is called.

    Attributes:
        kvp: tube voltage (kV) that the series claims; no tube made it.
        manufacturer: of the equipment; at most 64 characters.
        series_description: at most 64 characters.
        series_number: of the series in the study.

    Raises:
        ImageError: a value that DICOM has no room for.
    """

    kvp: float = 120.0
    manufacturer: str = "synthct"
    series_description: str = "Synthetic CT, not for clinical use"
    series_number: int = 9001

    def __post_init__(self) -> None:
        if not 0 < self.kvp < 1e6:
            raise ImageError(f"A CT of {self.kvp:g} kV cannot be written; give a tube voltage such as 120 (kV).")
        for what, text in (("manufacturer", self.manufacturer), ("series description", self.series_description)):
            if len(text) > 64 or "\\" in text or not text.isprintable():
                raise ImageError(
                    f"The {what} '{text}' does not fit into DICOM; give at most 64 characters without a backslash."
                )


def write_ct_series(
    sct: sitk.Image,
    folder: Path,
    source: Sequence[Path] | str,
    settings: CtSeriesSettings | None = None,
    *,
    derivation: str = "",
    body: sitk.Image | None = None,
) -> list[Path]:
    """Write an sCT as a CT series, the whole folder or nothing.

    CT Image Storage, one file a slice, explicit VR little endian, uncompressed uint16 with slope 1 and intercept -1024,
    clipped to [-1024, 3071] HU. Slices are axial (see :func:`on_axial_grid`; an sCT on such a grid is not
    interpolated), with square pixels and equal gaps, numbered and named upwards. Patient, study, frame of
    reference and PatientPosition are the MR's; the MR's patient is thus named in every file. An earlier series of this
    writer in ``folder`` is replaced.

    Args:
        sct: HU, any orthogonal grid, in the patient space (LPS, mm) of the MR.
        folder: of the series; made, its parents too.
        source: all files of the MR series; or the case id, for an MR that is not DICOM.
        settings: what is the user's to choose.
        derivation: how the sCT was made, for DerivationDescription; at most 1024 characters count.
        body: uint8 on the sCT's grid, 1 inside the head; its outline is written as an RT Structure Set,
            ``body_contour.dcm`` in the folder. None: there is none.

    Returns:
        The files of the series, from the lowest slice upwards.

    Raises:
        ImageError: the MR's headers cannot be read, or the folder holds other files.
        DiskError: the folder cannot be written to.
    """
    folder, settings, now = Path(folder), settings or CtSeriesSettings(), datetime.now()
    if folder.exists() and not (folder.is_dir() and all(_FILE.fullmatch(path.name) for path in folder.iterdir())):
        raise ImageError(f"{folder} holds other files than an earlier synthetic CT; remove it or choose another place.")
    identity = new_identity(source, now) if isinstance(source, str) else identity_of_mr(source)
    if identity.made_up:
        _logger.warning(
            "%s: the MR has no %s; made up (documentation/how_to.md, DICOM to DICOM).",
            folder,
            ", ".join(identity.made_up),
        )
    axial = on_axial_grid(sct, outside=AIR_HU)
    series = _encoded(_series_attributes(identity, Grid.of(axial), settings, derivation, now))
    stored = (np.rint(np.clip(sitk.GetArrayFromImage(axial), *HU_RANGE)) - HU_RANGE[0]).astype("<u2")
    names = [f"sCT_{number:04d}.dcm" for number in range(1, len(stored) + 1)]
    try:
        with folder_written_whole(folder) as temporary:
            slices = []
            for index, (name, plane) in enumerate(zip(names, stored)):
                _add_slice(series, Grid.of(axial), index, plane)
                pydicom.dcmwrite(temporary / name, series, enforce_file_format=True)
                slices.append(series.SOPInstanceUID)
            if body is not None:
                inside = sitk.GetArrayFromImage(on_axial_grid(body, outside=0)) > 0
                of = ReferencedSeries(series.SeriesInstanceUID, settings.series_number, slices, settings.manufacturer)
                contours = structure_set(inside, Grid.of(axial), of, identity, now)
                contours.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
                contours.file_meta.ImplementationVersionName = series.file_meta.ImplementationVersionName
                pydicom.dcmwrite(temporary / BODY_FILE, contours, enforce_file_format=True)
    except OSError as fault:
        raise DiskError(os_error_sentence(fault)) from None
    return [folder / name for name in names]


def _series_attributes(
    identity: Identity, grid: Grid, settings: CtSeriesSettings, derivation: str, now: datetime
) -> Dataset:
    """All that the slices have in common, in the order of the CT image's modules (DICOM PS3.3, A.3)."""
    series = Dataset()
    series.file_meta = FileMetaDataset()
    series.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    series.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    series.file_meta.ImplementationVersionName = f"SYNTHCT {__version__}"[:16]

    series.update(identity.shared)  # patient, study, frame of reference
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")

    series.Modality = "CT"
    series.SeriesInstanceUID = new_uid()
    series.SeriesNumber = settings.series_number
    series.SeriesDescription = settings.series_description
    series.SeriesDate, series.SeriesTime = day, time
    series.BodyPartExamined = "HEAD"

    series.Manufacturer = settings.manufacturer
    series.ManufacturerModelName = "synthct"
    series.SoftwareVersions = __version__

    series.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    series.ContentDate, series.ContentTime = day, time
    series.InstanceCreationDate, series.InstanceCreationTime = day, time
    series.AcquisitionNumber = None
    series.BurnedInAnnotation = "NO"
    series.ImageComments = "Synthetic CT computed from MR by a neural network. Not acquired by a CT scanner."
    if derivation:
        series.DerivationDescription = derivation[:1024]
    if identity.sources:
        series.SourceImageSequence = [_reference(*source) for source in identity.sources]

    series.ImageOrientationPatient = [_decimal(cosine) for cosine in ALONG_BODY[:6]]
    series.PixelSpacing = [_decimal(grid.spacing_mm_xyz[1]), _decimal(grid.spacing_mm_xyz[0])]  # of rows, of columns
    series.SliceThickness = series.SpacingBetweenSlices = _decimal(grid.spacing_mm_xyz[2])

    series.Columns, series.Rows = grid.size_xyz[:2]
    series.SamplesPerPixel = 1
    series.PhotometricInterpretation = "MONOCHROME2"
    series.BitsAllocated, series.BitsStored, series.HighBit = 16, 16, 15
    series.PixelRepresentation = 0

    series.RescaleSlope, series.RescaleIntercept, series.RescaleType = "1", _decimal(HU_RANGE[0]), "HU"
    series.WindowCenter, series.WindowWidth = map(_decimal, SOFT_TISSUE_WINDOW)
    series.KVP = _decimal(settings.kvp)

    series.SOPClassUID = series.file_meta.MediaStorageSOPClassUID = CTImageStorage
    own = settings.manufacturer + settings.series_description + derivation
    character_set = identity.character_set if own.isascii() else "ISO_IR 192"
    if character_set:
        series.SpecificCharacterSet = character_set
    return series


def _encoded(series: Dataset) -> Dataset:
    """The same attributes as bytes, which pydicom passes on: references are encoded once, not for every slice."""
    series.SOPInstanceUID = series.file_meta.MediaStorageSOPInstanceUID = new_uid()
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, series, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def _add_slice(series: Dataset, grid: Grid, index: int, stored: np.ndarray) -> None:
    """What one slice has of its own; ``stored`` is uint16 (rows, columns)."""
    position = grid.point((0, 0, index))
    series.SOPInstanceUID = series.file_meta.MediaStorageSOPInstanceUID = new_uid()
    series.InstanceNumber = index + 1
    series.ImagePositionPatient = [_decimal(coordinate) for coordinate in position]
    series.SliceLocation = _decimal(position[2])
    series.add_new("PixelData", "OW", stored.tobytes())


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    return reference


def _decimal(value: float) -> str:
    """A number in the 16 characters of a decimal string (DS)."""
    text = f"{round(float(value), 8) + 0.0:.8f}".rstrip("0").rstrip(".")  # + 0.0: no minus before a zero
    return text if len(text) <= 16 else format_number_as_ds(float(value))
