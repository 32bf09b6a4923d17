"""One damaged or odd file among those of a DICOM series: found, read, and its identity taken over."""

from __future__ import annotations

import io
import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import numpy as np
import SimpleITK as sitk

with atheris.instrument_imports(include=["synthct", "pydicom"]):
    import pydicom

    from synthct.imaging.dicom import find_series, read_series
    from synthct.imaging.dicom.identity import identity_of_mr

from fuzzing.harness import fuzz, refused

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from synthetic_dicom import straight_positions, write_multi_frame, write_series

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
VOXELS = np.random.default_rng(0).integers(0, 1000, (4, 6, 5)).astype(np.uint16)
POSITIONS = straight_positions(4, 2.0, (1, 0, 0, 0, 1, 0))
ODD = (
    "", "0", "-1", "1", "2", "3", "16", "17", "40000", "65535", "65536", "99999999999", "nan", "inf", "-inf", "1e308",
    "1e-320", "x", "\\", "1\\2", "1\\2\\3", "0\\0\\0", "nan\\0\\0", "1e30\\0\\0",
    "1\\0\\0\\0\\1\\0", "0\\1\\0\\0\\0\\-1",
    "ORIGINAL\\PRIMARY", "MONOCHROME1", "MONOCHROME2", "RGB", "MR", "CT", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2",
)  # fmt: skip
NAMES = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "NumberOfFrames", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "SliceThickness", "InstanceNumber", "SeriesNumber", "PhotometricInterpretation", "Modality",
    "ImageType", "EchoTime", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID",
    "PatientID", "PatientName", "SpecificCharacterSet", "PatientPosition", "SeriesDescription",
)  # fmt: skip


def series(folder: Path) -> list[Path]:
    """Four files of an MR series, in order."""
    write_series(folder, VOXELS, POSITIONS, modality="MR", rescale=(1, 0), series_uid="1.2.3.4")
    return sorted(folder.iterdir())


def seeds() -> dict[str, bytes]:
    """A file of one image and one of several frames."""
    with tempfile.TemporaryDirectory() as folder:
        files = series(Path(folder) / "series")
        write_multi_frame(Path(folder) / "frames.dcm", VOXELS, POSITIONS)
        return {"image": files[0].read_bytes(), "frames": (Path(folder) / "frames.dcm").read_bytes()}


def test_one(data: bytes, folder: Path) -> None:
    """The series with this file in place of its first."""
    place = folder / "series"
    if not place.exists():
        series(place)
    first = sorted(place.iterdir())[0]
    first.write_bytes(data)
    for found in find_series(place):
        image: list[sitk.Image] = []
        if not refused(lambda found=found, image=image: image.append(read_series(found)), found.name):
            geometry = (*image[0].GetSpacing(), *image[0].GetOrigin(), *image[0].GetDirection())
            assert np.isfinite(geometry).all() and np.isfinite(sitk.GetArrayViewFromImage(image[0])).all()
            assert min(image[0].GetSpacing()) > 0
    refused(lambda: identity_of_mr([first]), "MR series")


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """An odd value in an attribute, or bytes changed as libFuzzer does."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        return atheris.Mutate(data, longest)
    try:
        image = pydicom.dcmread(io.BytesIO(data))
        groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        elements = [element for name in groups for group in image.get(name, []) for element in group]
        holders = [image, *(item for element in elements for item in element.value)]
        for _ in range(chance.randint(1, 3)):
            holder = chance.choice(holders)
            name = chance.choice([str(one.keyword) for one in holder if one.keyword] or NAMES)
            name = chance.choice((name, chance.choice(NAMES)))
            value = chance.choice(ODD)
            if name in holder and chance.random() < 0.1:
                del holder[name]
            elif holder is image and name == "TransferSyntaxUID":
                continue
            else:
                _set(holder, name, value)
        changed = io.BytesIO()
        image.save_as(changed, enforce_file_format=False)
        return changed.getvalue()[:longest]
    except Exception:
        return atheris.Mutate(data, longest)


def _set(holder: pydicom.Dataset, name: str, value: str) -> None:
    kind = pydicom.datadict.dictionary_VR(name)
    if kind in ("US", "SS", "UL"):
        numbers = [part for part in value.split("\\") if part.lstrip("-").isdecimal()]
        holder.add_new(name, kind, int(numbers[0]) % 65536 if numbers else 0)
    else:  # as text of another kind, so that pydicom does not refuse to write it
        holder.add_new(name, "LO" if kind in ("DS", "IS") else kind, value)
        holder[name].VR = kind if kind not in ("DS", "IS") else "LO"


if __name__ == "__main__":
    fuzz("dicom", seeds(), test_one, mutate)
