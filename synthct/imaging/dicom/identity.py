"""Whose CT it is: what a CT series has in common with the MR that it was made from, or a new patient and study."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from synthct.errors import ImageError
from synthct.imaging.dicom.beginning import looks_like_dicom

# Attributes that must be there, though they may be empty (DICOM PS3.3, type 2 of the patient, study, series and frame
# of reference modules).
REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
# Attributes that are copied where the MR has them.
OPTIONAL = (
    "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription", "InstitutionName",
    "AcquisitionDate", "AcquisitionTime", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
ANONYMISED = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")
IDENTIFIES = ("PatientName", "PatientID")  # kept as they are: another spelling would be another patient
SEXES = ("M", "F", "O")
HEAD_FIRST_SUPINE = "HFS"


@dataclass(frozen=True)
class Identity:
    """What a CT series shares with its source.

    Attributes:
        shared: attributes for every slice: patient, study, frame of reference, position of the patient.
        sources: SOP class and instance UID of every image that the CT was made from.
        character_set: of the texts in ``shared`` that are not ASCII; empty where all are.
        made_up: names of attributes that a CT must have and the MR lacks.
    """

    shared: Dataset
    sources: tuple[tuple[str, str], ...]
    character_set: str | list[str]
    made_up: tuple[str, ...] = ()


def identity_of_mr(files: Sequence[Path]) -> Identity:
    """The identity of an MR series.

    What is missing in the MR, as after anonymisation, stays empty. A missing or malformed StudyInstanceUID or
    FrameOfReferenceUID is made anew; a missing PatientPosition is head first, supine, which is how heads are scanned
    and what planning systems must know. Values that DICOM does not allow are left out.

    Args:
        files: all files of the series; patient and study are taken from the first.

    Raises:
        ImageError: a file cannot be read.
    """
    with _silent_pydicom():
        first = _header(files, 0)
        headers = [_header(files, i, specific_tags=["SOPClassUID", "SOPInstanceUID"]) for i in range(1, len(files))]
        sources = [_instance(header) for header in (first, *headers)]
        shared = Dataset()
        for name in REQUIRED:
            setattr(shared, name, _text(first, name))
        for name in OPTIONAL:
            if value := _text(first, name):
                setattr(shared, name, value.split("\\") if name.startswith("Lossy") else value)
        if shared.PatientSex not in SEXES:
            shared.PatientSex = ""
        if shared.get("LossyImageCompression") != "01":  # losses stay in what is made from the images; others have none
            for name in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
                shared.pop(name, None)
            shared.LossyImageCompression = "00"
        if any(first.get(name) for name in ANONYMISED[1:]):  # PatientIdentityRemoved alone is not allowed
            for name in ANONYMISED:
                if name in first:
                    shared[name] = copy.deepcopy(first[name])
        needed = {name: _uid(first, name) for name in ("StudyInstanceUID", "FrameOfReferenceUID")}
        needed["PatientPosition"] = _text(first, "PatientPosition")
        for name, value in needed.items():
            setattr(shared, name, value or (HEAD_FIRST_SUPINE if name == "PatientPosition" else new_uid()))
        texts = "".join(str(element.value) for element in shared)
        character_set = "" if texts.isascii() else first.get("SpecificCharacterSet") or "ISO_IR 192"
    return Identity(
        shared,
        tuple(dict.fromkeys(source for source in sources if all(source))),  # copies and anonymised files share UIDs
        character_set if isinstance(character_set, str) else list(character_set),
        tuple(name for name, value in needed.items() if not value),
    )


def new_identity(patient: str, now: datetime) -> Identity:
    """A patient and a study of their own, for an MR that is not DICOM.

    Args:
        patient: the case id, which becomes PatientID and PatientName, as far as it fits (62 bytes).
        now: when the study is made.
    """
    shared = Dataset()
    for name in REQUIRED:
        setattr(shared, name, "")
    name = " ".join(re.sub(r"[\\=^]", " ", patient).split())
    shared.PatientID = name.encode()[:62].decode(errors="ignore")  # readers count bytes, 64 at most
    shared.PatientName = f"{shared.PatientID}^"  # a family name
    shared.StudyID = "1"
    shared.StudyDate, shared.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    shared.PatientPosition = HEAD_FIRST_SUPINE
    shared.StudyInstanceUID, shared.FrameOfReferenceUID = new_uid(), new_uid()
    shared.LossyImageCompression = "00"
    return Identity(shared, (), "" if patient.isascii() else "ISO_IR 192")


def new_uid() -> UID:
    """A UID that no one else has, from a random UUID (DICOM PS3.5, B.2)."""
    return generate_uid(prefix=None)


@contextmanager
def _silent_pydicom() -> Iterator[None]:
    """pydicom's warnings hold values of the file, which may be names."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _header(files: Sequence[Path], index: int, specific_tags: list[str] | None = None) -> Dataset:
    called = f"File {index + 1} of {len(files)} of the MR series"  # paths are often named after patients
    try:
        if not looks_like_dicom(files[index]):  # pydicom would make something of any file
            raise ImageError(f"{called} is not DICOM; give the files of the series alone.")
        return pydicom.dcmread(files[index], stop_before_pixels=True, force=True, specific_tags=specific_tags)
    except ImageError:
        raise
    except Exception as fault:  # whatever a damaged file leads pydicom to
        raise ImageError(f"{called} cannot be read ({type(fault).__name__}); export the series again.") from None


def _instance(header: Dataset) -> tuple[str, str]:
    return _uid(header, "SOPClassUID"), _uid(header, "SOPInstanceUID")


def _uid(header: Dataset, name: str) -> str:
    uid = UID(_text(header, name))
    return str(uid) if uid.is_valid else ""


def _text(header: Dataset, name: str) -> str:
    """The value as DICOM writes it; empty where it is missing or malformed."""
    try:
        value = header.get(name)
    except Exception:  # bytes that are not a value of its kind lead pydicom to any
        return ""
    if value is None:
        return ""
    values = value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
    texts = [str(value).strip(" \0") for value in values]
    if name not in IDENTIFIES:
        try:
            for text in texts:
                pydicom.valuerep.validate_value(dictionary_VR(name), text, pydicom.config.RAISE)
        except ValueError:
            return ""
    return "\\".join(texts)
