"""What one DICOM file says about its images. Voxels stay unread; of who it is, PatientID alone is kept as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from synthct.imaging.dicom.persons import ATTRIBUTES, Person
from synthct.imaging.dicom.series import DicomSlice
from synthct.imaging.image_header import MAX_MM
from synthct.tuples import triple_of

MODALITIES = ("MR", "CT")
MIN_SPACING_MM = 1e-3
MAX_RESCALE = 1e9  # slope and intercept
ROUNDING = 1e-2  # of unit vectors in text
# What tells images at one position apart, in the order in which it is asked, and what a user calls it.
TRAITS = {
    "ImageType": "image type",
    "EchoTime": "echo time",
    "EchoNumbers": "echo",
    "InversionTime": "inversion time",
    "DiffusionBValue": "b-value",
    "TemporalPositionIdentifier": "time",
    "StackID": "stack",
    "AcquisitionNumber": "acquisition",
    "TriggerTime": "trigger time",
}
_ENHANCED = {  # where a multi-frame file keeps what a file of one image has at its top: (sequence, attribute)
    "ImageType": (("MRImageFrameTypeSequence", "FrameType"), ("CTImageFrameTypeSequence", "FrameType")),
    "EchoTime": (("MREchoSequence", "EffectiveEchoTime"),),
    "InversionTime": (("MRModifierSequence", "InversionTimes"),),
    "DiffusionBValue": (("MRDiffusionSequence", "DiffusionBValue"),),
    "TemporalPositionIdentifier": (("FrameContentSequence", "TemporalPositionIndex"),),
    "StackID": (("FrameContentSequence", "StackID"),),
    "AcquisitionNumber": (("FrameContentSequence", "FrameAcquisitionNumber"),),
    "TriggerTime": (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),),
    "ImagePositionPatient": (("PlanePositionSequence", "ImagePositionPatient"),),
    "ImageOrientationPatient": (("PlaneOrientationSequence", "ImageOrientationPatient"),),
    "PixelSpacing": (("PixelMeasuresSequence", "PixelSpacing"),),
    "SliceThickness": (("PixelMeasuresSequence", "SliceThickness"),),
    "RescaleSlope": (("PixelValueTransformationSequence", "RescaleSlope"),),
    "RescaleIntercept": (("PixelValueTransformationSequence", "RescaleIntercept"),),
}
IMAGE_STORAGE = (  # CT, enhanced CT, MR, enhanced MR, and CT and MR converted from old files
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
DICOMDIR = "1.2.840.10008.1.3.10"
_READ = [
    "SOPClassUID",
    "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription",
    "SeriesNumber", "InstanceNumber", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsStored",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", *TRAITS, *ATTRIBUTES,
]  # fmt: skip

SeriesKey = tuple[str, str, str, str]  # patient id, study UID, series UID, modality


@dataclass(frozen=True)
class ImageHeader:
    """One image of a file. ``series`` is the same for all images of a series; ``plane`` for all of one stack."""

    sop_uid: str
    series: SeriesKey
    description: str
    number: int
    frame_of_reference_uid: str
    image_type: tuple[str, ...]
    plane: tuple[float, ...]  # rows, columns, distance of rows, of columns (mm)
    orientation: tuple[float, ...]
    stored_range: tuple[int, int]
    traits: tuple[str, ...]  # in the order of TRAITS; empty text where the file says nothing
    slice: DicomSlice
    person: Person = Person()

    @property
    def name(self) -> str:
        """What messages call the series: nothing in it identifies the patient."""
        return f"{self.series[3]} series {self.number}" + (f" '{self.description}'" if self.description else "")


def read_headers(path: Path, key: bytes = b"") -> list[ImageHeader]:
    """The grey-value MR or CT images of a DICOM file that state their place in the patient; often one, or none.

    Args:
        path: the file.
        key: of the digests in :class:`Person`.

    Raises:
        ValueError: the file begins as DICOM and is damaged, or is an MR or CT that does not say where it lies.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_READ, force=True)
        storage = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
        if storage == DICOMDIR:
            return []
        is_wanted = header.get("Modality") in MODALITIES and header.get("SamplesPerPixel", 1) == 1
        images = list(_images(header, path, key)) if is_wanted else []
        if images and not _is_compressed(header):  # else the library that decodes it would take memory for all it says
            rows, columns = images[0].plane[:2]
            if rows * columns * len(images) > path.stat().st_size:
                raise ValueError("cut off")
    except Exception as fault:  # whatever a damaged file leads pydicom to
        raise ValueError(type(fault).__name__) from None  # its text may hold values of the file
    if not images and (storage is None or storage in IMAGE_STORAGE):
        raise ValueError("cut off, or without a place in the patient")
    return images


def _is_compressed(header: Dataset) -> bool:
    syntax = header.file_meta.get("TransferSyntaxUID")
    return syntax is not None and (not syntax.is_transfer_syntax or syntax.is_compressed)


def _images(header: Dataset, path: Path, key: bytes) -> Iterator[ImageHeader]:
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        if int(header.get("NumberOfFrames") or 1) == 1 and (image := _image(_Lookup(header), path, 0, key)):
            yield image
        return
    if int(header.get("NumberOfFrames") or 1) != len(per_frame):
        raise ValueError("other frames than it says")
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for frame, groups in enumerate(per_frame):
        if image := _image(_Lookup(header, groups, shared[0]), path, frame, key):
            yield image


class _Lookup:
    """An attribute of an image, wherever the file keeps it."""

    def __init__(self, header: Dataset, *groups: Dataset) -> None:
        self.header, self.groups = header, groups

    def __call__(self, name: str) -> Any:
        for groups in self.groups:
            for sequence, attribute in _ENHANCED.get(name, ()):
                items = groups.get(sequence)
                if items and items[0].get(attribute) is not None:
                    return items[0].get(attribute)
        return self.header.get(name)

    def text(self, name: str) -> str:
        value = self(name)
        if isinstance(value, (list, pydicom.multival.MultiValue)):
            return "\\".join(map(str, value))
        return "" if value is None else str(value).strip()

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        value = self(name)
        if value is None or isinstance(value, str) or (count > 1 and len(value) != count):
            return None
        return tuple(map(float, value)) if count > 1 else (float(value),)

    def number(self, name: str, default: float) -> float:
        value = self.numbers(name, 1)
        return default if value is None else value[0]


def _image(look: _Lookup, path: Path, frame: int, key: bytes) -> ImageHeader | None:
    position = look.numbers("ImagePositionPatient", 3)
    orientation = look.numbers("ImageOrientationPatient", 6)
    spacing = look.numbers("PixelSpacing", 2)
    if position is None or orientation is None or spacing is None or min(spacing) <= 0:
        return None  # a screenshot, a report or a picture of a curve: it has no place in the patient
    if not (np.abs([*position, *orientation]).max() <= MAX_MM and _are_unit_vectors(orientation)):
        return None
    if not MIN_SPACING_MM <= min(spacing) <= max(spacing) <= MAX_MM:
        return None
    if look.text("PhotometricInterpretation") != "MONOCHROME2":
        return None
    bits, signed = int(look("BitsStored")), int(look("PixelRepresentation"))
    rows, columns = int(look("Rows")), int(look("Columns"))
    if not (1 <= bits <= 32 and signed in (0, 1) and rows >= 1 and columns >= 1):
        raise ValueError("voxels of no size")
    instance = frame + 1 if look.groups else int(look.number("InstanceNumber", 0))
    thickness = look.number("SliceThickness", 0.0)
    rescale = look.number("RescaleSlope", 1.0), look.number("RescaleIntercept", 0.0)
    if not (np.abs(rescale).max() <= MAX_RESCALE and rescale[0] != 0 and 0 <= thickness <= MAX_MM):
        raise ValueError("a rescale slope or a thickness that is none")
    image_type = tuple(part.strip().upper() for part in look.text("ImageType").split("\\") if part.strip())
    return ImageHeader(
        sop_uid=look.text("SOPInstanceUID"),
        series=(
            look.text("PatientID"),
            look.text("StudyInstanceUID"),
            look.text("SeriesInstanceUID"),
            look.text("Modality"),
        ),
        description=" ".join(look.text("SeriesDescription").split()),
        number=int(look.number("SeriesNumber", 0)),
        frame_of_reference_uid=look.text("FrameOfReferenceUID"),
        image_type=image_type,
        plane=(rows, columns, *spacing),
        orientation=orientation,
        stored_range=(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1),
        traits=tuple(map(look.text, TRAITS)),
        slice=DicomSlice(path, frame, instance, triple_of(position), thickness, rescale),
        person=Person.of(look.text, key),
    )


def _are_unit_vectors(orientation: tuple[float, ...]) -> bool:
    """Whether the vectors along rows and columns are perpendicular and of length 1, but for rounding."""
    row, column = np.reshape(orientation, (2, 3))
    return bool(np.allclose([row @ row, column @ column, row @ column], [1, 1, 0], rtol=0, atol=ROUNDING))
