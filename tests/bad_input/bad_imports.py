"""What cannot be imported."""

from __future__ import annotations

from bad import IMPORTING, Bad
from spoil import CT, HTML, MR, all_of, copied, cut_off, holding, nothing, under

IMPORTS = [
    Bad("nothing to import", nothing, IMPORTING, "to_import", "give"),
    Bad("a file to import", holding(under("to_import"), "one"), IMPORTING, "to_import", "give"),
    Bad("an empty folder to import", copied(MR, "to_import", ".hidden"), IMPORTING, "to_import", "DICOM"),
    Bad("a number that is taken", nothing, IMPORTING.replace("-d 2", "-d 1"), "Dataset001_Heads", "another number"),
    Bad("a number too high", nothing, IMPORTING.replace("-d 2", "-d 1000"), "1000", "1 to 999"),
    Bad("a name with a slash", nothing, IMPORTING.replace("New", "../New"), "../New", "takes letters"),
    Bad("CTs without MRs", copied(CT, "to_import", "ct", "P1.nii.gz"), IMPORTING, "to_import", "mr"),
    Bad(
        "two MRs of one name",
        all_of(
            copied(MR, "to_import", "mr", "P1.nii.gz"),
            copied(MR, "to_import", "mr", "P1.mha"),
            copied(CT, "to_import", "ct", "P1.nii.gz"),
        ),
        IMPORTING,
        "P1",
        "remove one",
    ),
    Bad(
        "pairs of which one is cut off",
        all_of(
            copied(MR, "to_import", "mr", "P1.nii.gz"),
            copied(CT, "to_import", "ct", "P1.nii.gz"),
            cut_off(under("to_import", "mr", "P1.nii.gz")),
        ),
        IMPORTING,
        "mr/P1.nii.gz",
        "--skip_bad",
    ),
    Bad(
        "CTs that are MRs",
        all_of(copied(MR, "to_import", "mr", "P1.nii.gz"), copied(MR, "to_import", "ct", "P1.nii.gz")),
        IMPORTING,
        "ct/P1.nii.gz",
        "RescaleIntercept",
    ),
    Bad(
        "DICOM files that are none",
        all_of(*(holding(under("to_import", f"{n}.dcm"), HTML) for n in range(3))),
        IMPORTING,
        "to_import",
        "DICOM",
    ),
    Bad(
        "unknown test patients",
        all_of(copied(MR, "to_import", "mr", "P1.nii.gz"), copied(CT, "to_import", "ct", "P1.nii.gz")),
        IMPORTING + " --test P9",
        "P9",
        "--list",
    ),
    Bad(
        "a key among the data",
        all_of(copied(MR, "to_import", "mr", "P1.nii.gz"), copied(CT, "to_import", "ct", "P1.nii.gz")),
        IMPORTING + " --key_file synthct_raw/key.csv",
        "key.csv",
        "somewhere else",
    ),
]
