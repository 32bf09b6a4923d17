"""One DICOM file to its voxels, by GDCM, which sees a clean copy of what decoding needs and nothing else.

GDCM believes files: for a value that claims two gigabytes it takes two gigabytes, whatever there is of it, and it reads
on after the voxels. So a damaged file of a kilobyte could end the process. pydicom, which does not, writes the copy.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pydicom
import SimpleITK as sitk
from pydicom.uid import ImplicitVRLittleEndian

_DECODING = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData",
]  # fmt: skip


def decode(path: Path) -> sitk.Image:
    """The voxels of a file, with RescaleSlope and RescaleIntercept applied.

    The copy lies in a folder for temporary files while it is decoded; it holds no patient's or study's attribute.

    Raises:
        Exception: of many kinds, whose texts may hold values of the file and its path.
    """
    image = pydicom.dcmread(path, specific_tags=_DECODING, force=True)
    voxels = image.Rows * image.Columns * image.get("SamplesPerPixel", 1) * int(image.get("NumberOfFrames") or 1)
    syntax = image.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    # A missing PixelData ends here as well. What is compressed GDCM finds too short itself.
    if not syntax.is_compressed and len(image.PixelData) < voxels * image.BitsAllocated // 8:
        raise ValueError("cut off")
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if name in image:
            _ = image[name].value  # parsed, so that they are encoded anew and not copied as they are
    with tempfile.TemporaryDirectory(prefix="synthct_") as folder:
        copy = os.path.join(folder, "image.dcm")
        image.save_as(copy, enforce_file_format=False)
        return sitk.ReadImage(copy, imageIO="GDCMImageIO")
