"""The outline of the head as an RT Structure Set: one ROI, BODY, of the type EXTERNAL, on the slices of an sCT series.

Made with pydicom and scikit-image, which synthct needs anyway: rt-utils writes no ROI type and lays contours through
the centres of the outermost pixels, so that they lack half a pixel all around, and highdicom has no structure sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, RTStructureSetStorage
from scipy.ndimage import binary_fill_holes
from skimage.measure import approximate_polygon, find_contours

from synthct import __version__
from synthct.imaging.dicom.identity import Identity, new_uid
from synthct.imaging.geometry import Grid

ROI_NAME = "BODY"
TOLERANCE = 0.1  # pixels by which a contour may be straightened; its corners pass pixel centres at 0.35
DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # what the reference to a study is still asked to name
_OF_IMAGES = ("PatientPosition", "AcquisitionDate", "AcquisitionTime", "LossyImageCompression",
              "LossyImageCompressionRatio", "LossyImageCompressionMethod")  # fmt: skip


@dataclass(frozen=True)
class ReferencedSeries:
    """The CT series on which contours lie.

    Attributes:
        series_uid: SeriesInstanceUID.
        number: SeriesNumber.
        slices: SOPInstanceUID of each slice, from the lowest upwards.
        manufacturer: of the equipment.
    """

    series_uid: str
    number: int
    slices: Sequence[str]
    manufacturer: str


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outer contours of a mask; float (points, 2) each, in pixels (row, column), closed without a repeated point.

    They run half a pixel outside the centres of the outermost pixels, so that a pixel is in the mask where its centre
    is inside a contour. Holes, such as air cavities, are inside.

    Args:
        mask: bool (rows, cols).
    """
    filled = np.pad(binary_fill_holes(mask), 1)
    contours = [
        approximate_polygon(contour, TOLERANCE)[:-1] - 1 for contour in find_contours(filled.astype(np.float32), 0.5)
    ]
    return [contour for contour in contours if len(contour) >= 3]


def structure_set(mask: np.ndarray, grid: Grid, series: ReferencedSeries, identity: Identity, now: datetime) -> Dataset:
    """An RT Structure Set (DICOM PS3.3, A.19) of the outline of a mask.

    Args:
        mask: bool (slices, rows, cols).
        grid: of the CT series, axial; LPS, mm.
        series: the CT series.
        identity: patient, study and frame of reference, as in the CT series.
        now: when it is made.

    Returns:
        The data set with its file meta, implicit VR little endian: contours of more than 64 kB are legal there.
    """
    rt = Dataset()
    rt.file_meta = FileMetaDataset()
    rt.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    rt.SOPClassUID = rt.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    rt.SOPInstanceUID = rt.file_meta.MediaStorageSOPInstanceUID = new_uid()
    if identity.character_set or not series.manufacturer.isascii():
        rt.SpecificCharacterSet = identity.character_set or "ISO_IR 192"
    rt.update({element.tag: element for element in identity.shared if element.keyword not in _OF_IMAGES})
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")

    rt.Modality = "RTSTRUCT"
    rt.SeriesInstanceUID = new_uid()
    rt.SeriesNumber = series.number + 1
    rt.SeriesDescription = "Body contour of a synthetic CT"
    rt.SeriesDate, rt.SeriesTime = day, time
    rt.OperatorsName = ""
    rt.InstanceCreationDate, rt.InstanceCreationTime = day, time
    rt.Manufacturer, rt.ManufacturerModelName, rt.SoftwareVersions = series.manufacturer, "synthct", __version__

    rt.StructureSetLabel, rt.StructureSetName = ROI_NAME, "Synthetic CT"
    rt.StructureSetDescription = "Outline of the head that synthct found in the MR. Not for clinical use."
    rt.StructureSetDate, rt.StructureSetTime = day, time
    rt.ReferencedFrameOfReferenceSequence = [_referenced_frame(series, identity)]

    roi = Dataset()
    roi.ROINumber = 1
    roi.ReferencedFrameOfReferenceUID = identity.shared.FrameOfReferenceUID
    roi.ROIName = ROI_NAME
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    rt.StructureSetROISequence = [roi]

    contour = Dataset()
    contour.ROIDisplayColor = [0, 255, 0]
    contour.ContourSequence = [
        _contour(points, index, grid, uid)
        for index, (plane, uid) in enumerate(zip(mask, series.slices))
        if plane.any()
        for points in outlines(plane)
    ]
    contour.ReferencedROINumber = 1
    rt.ROIContourSequence = [contour]

    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = 1
    observation.RTROIInterpretedType = "EXTERNAL"
    observation.ROIInterpreter = ""
    rt.RTROIObservationsSequence = [observation]
    rt.ApprovalStatus = "UNAPPROVED"
    return rt


def _referenced_frame(series: ReferencedSeries, identity: Identity) -> Dataset:
    series_item = Dataset()
    series_item.SeriesInstanceUID = series.series_uid
    series_item.ContourImageSequence = [_image(uid) for uid in series.slices]
    study_item = Dataset()
    study_item.ReferencedSOPClassUID = DETACHED_STUDY_MANAGEMENT
    study_item.ReferencedSOPInstanceUID = identity.shared.StudyInstanceUID
    study_item.RTReferencedSeriesSequence = [series_item]
    frame = Dataset()
    frame.FrameOfReferenceUID = identity.shared.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study_item]
    return frame


def _contour(points: np.ndarray, index: int, grid: Grid, uid: str) -> Dataset:
    """``points`` are pixels (row, column) of the slice ``index``."""
    contour = Dataset()
    contour.ContourImageSequence = [_image(uid)]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    places = [grid.point((col, row, index)) for row, col in points.tolist()]
    contour.ContourData = [f"{round(float(mm), 3) + 0.0:.3f}" for place in places for mm in place]
    return contour


def _image(uid: str) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = CTImageStorage
    image.ReferencedSOPInstanceUID = uid
    return image
