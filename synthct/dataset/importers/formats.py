"""Which layout a folder has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from synthct.dataset.importers.cases import Listing
from synthct.dataset.importers.dicom_tree import holds_dicom, list_dicom
from synthct.dataset.importers.folder_pairs import list_folder_pairs
from synthct.dataset.importers.synthrad import LAYOUTS, list_synthrad
from synthct.errors import DatasetError
from synthct.imaging.dicom import PatientsBy
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

FORMATS = ("auto", *LAYOUTS, "pairs", "dicom")
SHAPES = (
    "patient folders of SynthRAD (1BA001/mr.nii.gz or 1HNA001/mr.mha), two subfolders with image files (mr and ct), "
    "or DICOM files of MR and CT"
)


def list_folder(
    folder: Path,
    format: str = "auto",
    *,
    name: str,
    mr_series: Sequence[str] = (),
    ct_series: Sequence[str] = (),
    patients_by: PatientsBy = "id",
    patient_pattern: re.Pattern[str] | None = None,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Listing:
    """What can be imported from a folder; nothing is written and no voxel read.

    Args:
        folder: any of the layouts.
        format: one of :data:`FORMATS`; ``auto`` takes the first that fits, DICOM last.
        name: what patients without a public id or a file name are called.
        mr_series, ct_series, patients_by: for DICOM, see :func:`list_dicom`.
        patient_pattern: for two folders of images: finds the patient in a file's name, see :func:`list_folder_pairs`.
        runner: how DICOM files are read.

    Raises:
        DatasetError: there is no such folder, or it does not have the layout.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give -i the folder to import.")
    listing = None
    for layout in LAYOUTS:
        if listing is None and format in ("auto", layout):
            listing = list_synthrad(folder, layout)
    if listing is None and format in ("auto", "pairs"):
        listing = list_folder_pairs(folder, patient_pattern)
    if listing is None and (format == "dicom" or (format == "auto" and holds_dicom(folder))):
        listing = list_dicom(
            folder, name=name, mr_series=mr_series, ct_series=ct_series, patients_by=patients_by, runner=runner
        )
    if listing is not None and listing.format != "dicom" and (mr_series or ct_series or patients_by != "id"):
        raise DatasetError(f"{folder} has the layout {listing.format}: --mr_series, --ct_series and --patients_by are "
                           "for DICOM; leave them out.")  # fmt: skip
    if listing is not None and listing.format != "pairs" and patient_pattern is not None:
        raise DatasetError(f"{folder} has the layout {listing.format}: --patient_pattern is for two folders of images; "
                           "leave it out.")  # fmt: skip
    if listing is None or not (listing.cases or listing.problems):
        wanted = "none of the known layouts" if format == "auto" else f"nothing in the layout {format}"
        remarks = " ".join(("", *(listing.remarks if listing else ())))
        raise DatasetError(f"{folder} holds {wanted} to import; give a folder of {SHAPES}.{remarks}")
    return listing
