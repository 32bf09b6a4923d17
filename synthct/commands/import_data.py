"""``synthct_import``: DICOM files, SynthRAD folders or pairs of folders become a raw dataset."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from synthct.commands import console
from synthct.commands.new_dataset import new_dataset, new_dataset_name
from synthct.counted import counted, first_of
from synthct.paths import root_folder

if TYPE_CHECKING:
    from synthct.dataset.importers import ImportCase, Listing

log = logging.getLogger("synthct")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_import",
        "Make a raw dataset of DICOM files in any nesting, of SynthRAD 2023 or 2025, or of two folders of images. "
        "Patients of DICOM files are called NAME_001, NAME_002, ...: no name, birth date or PatientID is taken over.",
        "synthct_import -i /data/dicom -d 3 --name Brain --list\n"
        "synthct_import -i /data/dicom -d 3 --name Brain --mr_series 'T1 MPRAGE' --key_file /safe/place/key.csv\n"
        "synthct_import -i /data/SynthRAD2023/Task1/brain -d Dataset004_SynthRAD",
    )
    parser.add_argument("-i", dest="input", type=Path, required=True, metavar="FOLDER", help="what to import")
    parser.add_argument(
        "-d", dest="dataset", required=True, metavar="ID", help="number, 1 to 999, or a name such as Dataset004_Brain"
    )
    parser.add_argument(
        "--name", help="name after the number, and of patients that need one (default: that of -d Dataset004_NAME)"
    )
    parser.add_argument(
        "--format",
        choices=["auto", "synthrad2023", "synthrad2025", "pairs", "dicom"],
        default="auto",
        help="layout of the folder (default: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="show what would be imported and write no dataset")
    parser.add_argument(
        "--mr_series",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="DICOM: MR series by number, UID or part of its description; of several texts the first that fits",
    )
    parser.add_argument("--ct_series", nargs="+", default=[], metavar="TEXT", help="DICOM: CT series likewise")
    parser.add_argument(
        "--patients_by",
        choices=["id", "folder"],
        default="id",
        help="DICOM: files of one PatientID, or of one folder directly below -i, are one patient's "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--patient_pattern",
        type=_pattern,
        metavar="REGEX",
        help="two folders of images: a regular expression whose first group, or all of its match, is the patient in a "
        "file's name, such as 'P[0-9]+' (default: the name without words of modality)",
    )
    parser.add_argument("--test", nargs="+", default=[], metavar="PATIENT", help="these make the test set")
    parser.add_argument("--no_masks", action="store_true", help="leave masks behind; heads are then found")
    parser.add_argument("--rename", action="store_true", help="NAME_001, NAME_002, ... in place of ids and file names")
    parser.add_argument(
        "--key_file",
        type=Path,
        metavar="PATH",
        help="also write a CSV that says which patient is which; it identifies patients, keep it apart",
    )
    console.add_skip_bad(parser)
    console.add_workers(parser)
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> Mapping[str, str] | None:
    with nullcontext() if arguments.list else new_dataset(arguments) as folder:
        return _import(arguments, folder)


def _import(arguments: argparse.Namespace, folder: Path | None) -> Mapping[str, str] | None:
    """Into ``folder``; None only lists."""
    from synthct.dataset.importers import import_dataset, list_folder
    from synthct.dataset.importers.importing import check_number_is_free

    if folder is not None:
        check_number_is_free(folder)
    runner = console.case_runner(arguments)
    number, name = new_dataset_name(arguments)
    listing = list_folder(
        arguments.input,
        arguments.format,
        name=name,
        mr_series=arguments.mr_series,
        ct_series=arguments.ct_series,
        patients_by=arguments.patients_by,
        patient_pattern=arguments.patient_pattern,
        runner=runner,
    )
    if arguments.rename and listing.format != "dicom":
        listing = listing.renamed(name)
    if folder is None:
        _show(listing)
    if arguments.key_file is not None:
        _write_key(listing, arguments.key_file)
    if folder is None:
        return None
    for remark in listing.remarks:
        print(remark)
    imported = import_dataset(listing, folder, test=arguments.test, masks=not arguments.no_masks, runner=runner)
    if imported.other_frames:
        print(
            f"MR and CT of {counted(len(imported.other_frames), 'patient')} lie in different frames of reference: "
            "nothing says that they are registered, and paired trainers and the evaluation need pairs that are."
        )
    _show_mask_notes(imported.mask_notes)
    n_all = len(imported.training) + len(imported.test)
    parts = f"{len(imported.training)} training, {len(imported.test)} test"
    print(f"Wrote {counted(n_all, 'patient')} ({parts}) to {imported.folder}")
    written = {*imported.training, *imported.test}
    _say_pairs([case for case in listing.cases if case.patient in written], listing.format)
    register = " --register auto" if imported.other_frames else ""
    print(f"Next: synthct_plan_and_preprocess -d {number}{register}")
    return runner.left_out


def _show_mask_notes(notes: Mapping[str, str]) -> None:
    """How masks of more than two values were read, a line for each way."""
    for note in dict.fromkeys(notes.values()):
        patients = [patient for patient, of in notes.items() if of == note]
        print(f"{first_of(patients, 3)}: the mask {note}")


def _show(listing: Listing) -> None:
    """What was found, and how each patient stands."""
    for line in listing.table:
        print(line)
    for case in listing.cases:
        kinds = [kind for kind, source in (("MR", case.mr), ("CT", case.ct), ("mask", case.mask)) if source is not None]
        chosen = [source.name for source in (case.mr, case.ct) if source is not None]
        shown = ", ".join(chosen if listing.format == "dicom" else kinds)
        print(f"{case.patient}: {shown}")
    for problem in listing.problems.values():
        print(problem)
    for remark in listing.remarks:
        print(remark)
    print(f"{counted(len(listing.cases), 'patient')} can be imported, {len(listing.problems)} not; "
          f"layout: {listing.format}")  # fmt: skip
    _say_pairs(listing.cases, listing.format)


def _say_pairs(cases: Sequence[ImportCase], layout: str) -> None:
    """How many pairs there are; with a warning where there are MRs and CTs and none."""
    from synthct.dataset.pairs import NEED, count_pairs, lacks_pairs

    print(count_pairs(cases))
    if not lacks_pairs(cases):
        return
    mrs, cts = (first_of(sorted(case.patient for case in cases if getattr(case, kind)), 3) for kind in ("mr", "ct"))
    remedy = {
        "pairs": "rename the files so that MR and CT of a patient have one name, or give --patient_pattern",
        "dicom": "if MR and CT of a patient have different PatientIDs and lie in one folder directly below -i, give "
        "--patients_by folder",
    }.get(layout, "bring the MRs and CTs of the same patients into one folder each")
    log.warning(f"No patient has both an MR ({mrs}) and a CT ({cts}): {remedy}. {NEED}")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {fault}") from None


def _write_key(listing: Listing, path: Path) -> None:
    """A CSV of patients and where they come from, never inside the datasets and never over another file."""
    from synthct.errors import DatasetError
    from synthct.files import write_text

    if root_folder("synthct_raw").resolve() in path.resolve().parents:
        raise DatasetError(f"{path} lies among the datasets; keep the key, which names patients, somewhere else.")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["patient", "source"])
    rows.writerows(sorted(listing.sources.items()))
    if path.exists() and path.read_bytes() != text.getvalue().encode("utf-8"):
        raise DatasetError(f"{path} is there already and holds something else; give --key_file another path.")
    write_text(text.getvalue(), path)
    print(f"Which patient is which is in {path}")


if __name__ == "__main__":
    sys.exit(main())
