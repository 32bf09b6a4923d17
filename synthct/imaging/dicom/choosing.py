"""Which of a patient's series is taken: the only proper volume, or what the user asks for; and all of one person."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from synthct.errors import ImageError
from synthct.imaging.dicom.finding import PatientsBy, folder_below
from synthct.imaging.dicom.one_image_series import alone, not_joined
from synthct.imaging.dicom.series import DicomSeries

logger = logging.getLogger(__name__)
_UID = re.compile(r"\d+(\.\d+){3,}")


def choose_series(
    candidates: Sequence[DicomSeries], wanted: Sequence[str] = (), *, root: Path | None = None
) -> DicomSeries | None:
    """The one volume among the series of one modality.

    Args:
        candidates: the series of one patient and modality.
        wanted: texts, of which the first that means any series chooses: a label (``4`` or ``4.2``), a number, a UID
            or, case aside, a part of the description. UIDs of other patients' series are passed over. Without
            ``wanted``, the only proper volume is chosen: acquired rather than derived where there are both.
        root: the folder that was searched; a message then says where series lie in several folders below it.

    Returns:
        None where nothing is a proper volume and nothing is wanted.

    Raises:
        ImageError: none is meant, or several are left, which are listed with how to choose; or the slices of a volume
            have a SeriesInstanceUID each.
    """
    if not candidates:
        return None
    modality = candidates[0].modality
    wanted = [
        text
        for text in wanted
        if not _UID.fullmatch(text) or text in {candidate.series_uid for candidate in candidates}
    ]
    if wanted:
        meant = next(filter(None, (_meant(candidates, text) for text in wanted)), [])
        if not meant:
            texts = " or ".join(f"'{text}'" for text in wanted)
            raise ImageError(
                f"no {modality} series is meant by {texts}. There are\n" + "\n".join(describe(candidates)) + "\n"
                f"Add to --{modality.lower()}_series the number of one, or a part of its description."
            )
        left = [series for series in meant if not series.unfit] or meant
    else:
        fit = [series for series in candidates if not series.unfit]
        left = [series for series in fit if not series.derived] or fit
    if not any(not series.unfit for series in left) and (scattered := not_joined(left or candidates)):
        raise ImageError(scattered)
    if len(left) > 1:
        raise ImageError(
            f"there are {len(left)} {modality} volumes to choose from:\n" + "\n".join(describe(left)) + "\n"
            f"Choose with --{modality.lower()}_series, by number, UID or a part of the description.{_hint(left, root)}"
        )
    return left[0] if left else None


def check_person(series: Iterable[DicomSeries | None], patients_by: PatientsBy, patient: str = "") -> None:
    """Whether the series of one patient can be of one person.

    PatientBirthDate (0010,0030) and PatientSex (0010,0040) are compared, and PatientName (0010,0010) where a birth date
    is missing; no value is shown. Where the user takes each folder for a patient, a contradiction is a warning.

    Args:
        series: those that are to become one case; None is passed over.
        patients_by: how patients were distinguished.
        patient: what the warning calls the patient.

    Raises:
        ImageError: two contradict each other under one PatientID.
    """
    taken = [volume for volume in series if volume is not None]
    for volume, other in combinations(taken, 2):
        contrary = volume.person.contradictions(other.person)
        if not contrary:
            continue
        differences = f"{volume.name} and {other.name} differ in {' and '.join(contrary)}"
        if volume.study_uid != other.study_uid:
            differences += " and are of different studies"
        if patients_by == "folder":
            logger.warning("%s: %s, but lie in one folder and are taken for one patient.", patient, differences)
            return
        raise ImageError(
            f"{differences}, so they show different persons under one PatientID (0010,0020); export them again with a "
            "PatientID each, or give --patients_by folder where the files of each person lie in a folder of their own "
            "directly below -i."
        )


def warn_of_one_id(series: Sequence[DicomSeries], root: Path) -> None:
    """Warn where all files have one PatientID and several folders below ``root`` hold a volume of one modality."""
    if len({volume.patient_id for volume in series}) != 1 or series[0].patient_id.startswith("folder:"):
        return
    for modality in ("MR", "CT"):
        folders = _folders([volume for volume in series if volume.modality == modality and not volume.unfit], root)
        if len(folders) > 1:
            logger.warning(
                "All files have one PatientID (0010,0020), but %d folders hold %s volumes; where each folder is a "
                "patient, give --patients_by folder.", len(folders), modality
            )  # fmt: skip
            return


def describe(series: Sequence[DicomSeries]) -> list[str]:
    """A line a series: number, modality, slices x rows x columns, spacing, description, why it is not a volume to train
    on; and its UID where two have one number. Many series of one image and one description share a line."""
    labels = [(volume.modality, volume.label) for volume in series]
    groups = {id(volume): group for group in alone(series) for volume in group}
    lines: list[str] = []
    described: set[int] = set()
    for volume in series:
        if id(volume) not in groups:
            lines.append(_described(volume, labels.count((volume.modality, volume.label)) > 1))
        elif id(volume) not in described:
            group = groups[id(volume)]
            described |= {id(other) for other in group}
            beginning = f"  {volume.label:>6}  {volume.modality}  {len(group)} series of one image each"
            lines.append(f"{beginning}, such as this  {volume.description}".rstrip())
    return lines


def _described(series: DicomSeries, with_uid: bool) -> str:
    rows, columns = series.pixel_spacing_mm
    size = f"{len(series.slices)} x {series.rows} x {series.columns}"
    spacing = f"{series.slice_gap_mm:.2f} x {rows:.2f} x {columns:.2f} mm"
    what = series.description + (f" ({series.split})" if series.split else "")
    note = series.unfit or ("derived" if series.derived else "")
    line = f"  {series.label:>6}  {series.modality}  {size:>16}  {spacing:>22}  {what}"
    return line + f"  [{note}]" * bool(note) + f"  UID {series.series_uid}" * with_uid


def _meant(candidates: Sequence[DicomSeries], text: str) -> list[DicomSeries]:
    """By the strictest of label, number or UID, and description that any series fits."""
    wanted = text.strip().lower()
    by_label = [series for series in candidates if wanted == series.label]
    by_number = [series for series in candidates if wanted in (str(series.number), series.series_uid)]
    by_words = [series for series in candidates if wanted in f"{series.description} {series.split}".lower()]
    return by_label or by_number or by_words


def _hint(series: Sequence[DicomSeries], root: Path | None) -> str:
    folders = _folders(series, root) if root is not None else set()
    if len(folders) < 2:
        return ""
    return f" They lie in {len(folders)} folders below -i: where each is a patient, give --patients_by folder."


def _folders(series: Sequence[DicomSeries], root: Path) -> set[str]:
    return {folder_below(root, volume.files[0]) for volume in series}
