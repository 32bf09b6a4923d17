"""Scans that say in every header whose they are, and finding such words again in whatever is written."""

from __future__ import annotations

import base64
import gzip
import io
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from synthetic_dicom import BIRTH_DATE, NAME, PATIENT_ID, write_series
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.imaging.geometry import Grid

INSTITUTION, PHYSICIAN, PRIVATE = "East London Museum", "Trevenen^JLB", "Chalumna river mouth"
SERIES_UID = "1.2.3.193812221030"
HEADER_NOTE = "Goosen Nerine"  # in headers of image files
PERSON = "courtenaylatimer"  # in folders' names, as user and as host
IDENTITIES = (
    NAME, *NAME.split("^"), PATIENT_ID, BIRTH_DATE, INSTITUTION, PHYSICIAN, PHYSICIAN.split("^")[0], PRIVATE,
    SERIES_UID, HEADER_NOTE, PERSON,
)  # fmt: skip


# -- scans that identify ---------------------------------------------------------------------------------------------


def write_dicom_patient(folder: Path, number: int) -> None:
    """MR and CT of a patient, in a folder of the patient's name."""
    head = {"size": 0.95 + 0.02 * number}
    scans = {
        "MR": head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)), scale=3, **head),
        "CT": head_ct(make_grid((34, 42, 42), (6.0, 6.0, 6.0)), **head),
    }
    for modality, image in scans.items():
        low = 0 if modality == "MR" else -1024
        array = np.clip(sitk.GetArrayFromImage(image), low, low + 4095) - low
        write_series(
            folder / f"{NAME} {number}" / f"{PERSON} {modality}",
            array.astype(np.uint16),
            np.array([image.TransformIndexToPhysicalPoint((0, 0, index)) for index in range(len(array))]),
            modality=modality,
            pixel_spacing=image.GetSpacing()[1::-1],
            rescale=(1, low),
            patient_id=f"{PATIENT_ID}-{number}",
            series_uid=f"{SERIES_UID}.{number}.{len(modality)}{low + 1024}",
            description="T1 MPRAGE" if modality == "MR" else "Head",
            InstitutionName=INSTITUTION,
            ReferringPhysicianName=PHYSICIAN,
            OperatorsName=PHYSICIAN,
            OtherPatientIDs=PATIENT_ID,
            StudyDate="20251122",
            ImageComments=f"{NAME} {HEADER_NOTE}",
            RequestAttributesSequence=[_request()],
            each=lambda index: {"PatientSex": "F"},
        )


def _request() -> Dataset:
    request = Dataset()
    request.RequestedProcedureDescription = PRIVATE
    request.private_block(0x0011, "SYNTHCT TEST", create=True).add_new(1, "LO", PRIVATE)
    return request


def write_identifying_image(image: sitk.Image, path: Path) -> None:
    """An image file whose header holds identities wherever its format has room for text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.Image(image)
    if path.suffix == ".nrrd":
        for key in ("PatientName", "comment", HEADER_NOTE.replace(" ", "_")):
            image.SetMetaData(key, f"{NAME} {HEADER_NOTE} {PATIENT_ID}")
    sitk.WriteImage(image, str(path))
    if path.suffix == ".mha":
        content = path.read_bytes()
        lines = f"Comment = {NAME} {HEADER_NOTE}\nPatientName = {NAME} {PATIENT_ID}\n".encode()
        path.write_bytes(content.replace(b"ElementDataFile", lines + b"ElementDataFile", 1))
    if path.name.endswith((".nii", ".nii.gz")):
        write_into_nifti(path)
    packed = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert HEADER_NOTE.encode() in packed


def write_into_nifti(path: Path) -> None:
    """Put identities into db_name, descrip, aux_file and intent_name of a NIfTI file."""
    content = path.read_bytes()
    packed = path.suffix == ".gz"
    header = bytearray(gzip.decompress(content) if packed else content)
    for offset, length in ((14, 18), (148, 80), (228, 24), (328, 16)):
        struct.pack_into(f"{length}s", header, offset, f"{HEADER_NOTE} {NAME}".encode()[: length - 1])
    path.write_bytes(gzip.compress(header, 1) if packed else bytes(header))


# -- finding them again ----------------------------------------------------------------------------------------------


def identities_in(path: Path, root: Path) -> set[str]:
    """Which of :data:`IDENTITIES` a file holds, in its name below ``root`` or anywhere in it, packed or not."""
    name = str(path.relative_to(root)).encode()
    return {word for content in (name, *unpacked(path.read_bytes())) for word in IDENTITIES if holds(content, word)}


def holds(content: bytes, word: str) -> bool:
    """Whether bytes hold a word as ASCII or UTF-8 (in any case), or as UTF-16 or UTF-32."""
    codings = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    return word.lower().encode() in content.lower() or any(word.encode(coding) in content for coding in codings)


def unpacked(content: bytes) -> Iterator[bytes]:
    """A file's bytes; and those of what is packed in them: gzip, zip (npz, pth), base64, PNG's texts."""
    yield content
    if content[:2] == b"\x1f\x8b":
        yield from unpacked(gzip.decompress(content))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield member.encode()
                yield from unpacked(archive.read(member))
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            yield repr(picture.info).encode()
    elif content[:4] == b"NRRD" and b"encoding: gzip" in content[:2000]:
        yield gzip.decompress(content.partition(b"\n\n")[2])
    else:
        for coded in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", content):
            yield from unpacked(base64.b64decode(coded[: len(coded) // 4 * 4]))


def _grid() -> Grid:
    return make_grid((34, 42, 42), (6.0, 6.0, 6.0))


def identifying_mrs(folder: Path) -> None:
    """MRs in each format, whose case ids are the only names that may be seen again."""
    mr = sitk.Cast(head_mr(_grid(), scale=3), sitk.sitkInt16)
    for number, ending in enumerate((".nii.gz", ".mha", ".nrrd"), start=1):
        write_identifying_image(mr, folder / PERSON / ending.replace(".", "") / f"CASE_{number}{ending}")
