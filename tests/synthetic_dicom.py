"""DICOM files made by hand: one image a file, as scanners write them, or multi-frame."""

from __future__ import annotations

import locale
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

STORAGE = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
NAME = "Quastenflosser^Latimeria"  # must not be found anywhere but in the files
PATIENT_ID = "QF-1938-1222"
BIRTH_DATE = "19381222"


def straight_positions(n: int, gap_mm: float, orientation: Sequence[float], first=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Positions (n, 3) of slices stacked along their normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(first, float) + np.arange(n)[:, None] * gap_mm * normal


def write_series(
    folder: Path,
    volume: np.ndarray,
    positions: np.ndarray,
    *,
    modality: str = "CT",
    orientation: Sequence[float] = AXIAL,
    pixel_spacing: tuple[float, float] = (1.0, 1.0),
    rescale: tuple[float, float] | Sequence[tuple[float, float]] = (1, -1024),
    patient_id: str = PATIENT_ID,
    number: int = 1,
    description: str = "Head",
    image_type: Sequence[str] = ("ORIGINAL", "PRIMARY", "AXIAL"),
    series_uid: str | None = None,
    file_name: str = "IM{:04d}",
    each: Callable[[int], Mapping[str, Any]] = lambda index: {},
    **others: Any,
) -> str:
    """Write stored values (slices, rows, columns) as a file each, in a scrambled order; returns the series' UID.

    ``each(index)`` gives attributes of one image, ``others`` of all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = series_uid or generate_uid()
    rescales = [rescale] * len(volume) if np.ndim(rescale) == 1 else rescale
    order = np.random.default_rng(0).permutation(len(volume))
    start = len(list(folder.iterdir()))
    for name, index in enumerate(map(int, order), start=start):
        image = _common(modality, STORAGE[modality], patient_id, series_uid, volume[index])
        image.SeriesNumber, image.SeriesDescription, image.ImageType = number, description, list(image_type)
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [f"{value:.6f}" for value in positions[index]]
        image.ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
        image.PixelSpacing, image.SliceThickness = list(pixel_spacing), 0.5
        image.RescaleSlope, image.RescaleIntercept = rescales[index]
        for key, value in {**others, **each(index)}.items():
            setattr(image, key, value)
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.save_as(folder / file_name.format(name), enforce_file_format=True)
    return series_uid


def write_mr(mr: sitk.Image, folder: Path, **attributes: Any) -> str:
    """Write an image as an MR series, slices along its third axis, as values of 0 to 4095; returns the series' UID."""
    x_mm, y_mm, z_mm = mr.GetSpacing()
    values = np.clip(np.rint(sitk.GetArrayFromImage(mr)), 0, 4095).astype(np.uint16)
    positions = np.array([mr.TransformIndexToPhysicalPoint((0, 0, index)) for index in range(len(values))])
    options = {
        "modality": "MR",
        "orientation": tuple(np.reshape(mr.GetDirection(), (3, 3)).T[:2].ravel()),
        "pixel_spacing": (y_mm, x_mm),
        "rescale": (1, 0),
        "image_type": ("ORIGINAL", "PRIMARY", "M"),
        "SliceThickness": z_mm,
    }
    return write_series(folder, values, positions, **(options | attributes))


def write_multi_frame(
    path: Path, volume: np.ndarray, positions: np.ndarray, *, modality: str = "MR", orientation=AXIAL,
    rescale: Sequence[tuple[float, float]] = ((1, 0),), **others: Any,
) -> str:  # fmt: skip
    """Write an enhanced multi-frame file; frames in the order given. Several rescales: one a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid()
    image = _common(modality, ENHANCED[modality], PATIENT_ID, series_uid, volume)
    image.NumberOfFrames, image.SeriesNumber, image.SeriesDescription = len(volume), 7, "Enhanced"
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [1.0, 1.0], 1.0, 1.0
    plane.ImageOrientationPatient = list(orientation)
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = DicomSequence([measures]), DicomSequence([plane])
    if len(rescale) == 1:
        shared.PixelValueTransformationSequence = DicomSequence([_transformation(*rescale[0])])
    image.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames = []
    for index, position in enumerate(positions):
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = [f"{value:.6f}" for value in position]
        frame.PlanePositionSequence = DicomSequence([place])
        if len(rescale) > 1:
            frame.PixelValueTransformationSequence = DicomSequence([_transformation(*rescale[index])])
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    for key, value in others.items():
        setattr(image, key, value)
    image.save_as(path, enforce_file_format=True)
    return series_uid


def compress(folder: Path, compressor: str) -> None:
    """Write every file of a folder anew with the pixels compressed without loss, ``RLE`` or by GDCM."""
    before = locale.setlocale(locale.LC_ALL)  # GDCM's codecs leave another one, and so another encoding of texts
    for path in sorted(folder.iterdir()):
        if compressor == "RLE":
            image = dcmread(path)
            image.compress(RLELossless, generate_instance_uid=False)
            image.save_as(path)
            continue
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        image = reader.Execute()
        target = path.with_name(path.name + ".dcm")
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetFileName(str(target))
        writer.Execute(image)
        path.unlink()
    locale.setlocale(locale.LC_ALL, before)


def _transformation(slope: float, intercept: float) -> Dataset:
    values = Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, intercept, "US"
    return values


def _common(modality: str, sop_class: str, patient_id: str, series_uid: str, values: np.ndarray) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = sop_class
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.Modality, image.PatientID, image.PatientName, image.PatientBirthDate = modality, patient_id, NAME, BIRTH_DATE
    image.StudyInstanceUID = generate_uid(entropy_srcs=[patient_id, modality])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=[series_uid])
    image.SeriesInstanceUID = series_uid
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = values.shape[-2:]
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16 if values.dtype == np.int16 else 12, 15
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, int(values.dtype == np.int16)
    image.PixelData = np.ascontiguousarray(values).tobytes()
    return image
