"""Patients that an importer listed, written as a raw dataset: whole, or not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from synthct import __version__
from synthct.counted import counted
from synthct.dataset.importers.cases import ImportCase, Listing, Source
from synthct.dataset.integrity import check_case
from synthct.dataset.raw import CaseFiles
from synthct.errors import DatasetError, DiskError, SynthctError
from synthct.files import folder_written_whole, remove_leftovers, write_json
from synthct.imaging.dicom import DicomSeries, read_series
from synthct.imaging.dicom.stacking import stack_slices
from synthct.imaging.io import read_image, write_image
from synthct.imaging.mask_file import read_head_mask
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

FILE_ENDING = ".nii.gz"
SHOWN = 20  # problems reported in full
AS_GIVEN = "as given"  # of a mask of 0 and one other value


@dataclass(frozen=True)
class Imported:
    """What was written."""

    folder: Path
    training: tuple[str, ...]
    test: tuple[str, ...]
    other_frames: tuple[str, ...]  # patients whose MR and CT lie in different frames of reference
    mask_notes: dict[str, str]  # how masks of more than two values were read, by patient; follows "the mask"


def import_dataset(
    listing: Listing,
    dataset_folder: Path,
    *,
    test: Collection[str] = (),
    masks: bool = True,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Imported:
    """Write ``dataset.json``, ``import.json``, images, targets and masks of all patients listed.

    Every patient passes the integrity check of a raw dataset before the folder appears under its name. What image
    files carry beside voxels and geometry (descriptions, names) is left behind.

    Args:
        listing: what the folder holds.
        dataset_folder: such as ``synthct_raw/Dataset002_Brain``; its number must be free.
        test: patients of the test set.
        masks: take over masks where there are any.
        runner: how the patients are worked through; bad are those with problems, of the listing too, and unless they
            are skipped nothing is imported.

    Raises:
        DatasetError: the number is taken; patients have problems, which are listed together; no patient is left to
            train on.
    """
    dataset_folder = Path(dataset_folder)
    check_number_is_free(dataset_folder)
    known = {case.patient for case in listing.cases} | set(listing.problems)
    if unknown := sorted(set(test) - known):
        raise DatasetError(f"--test names {', '.join(unknown)}, who are not among the patients; --list shows them.")
    if listing.problems and not runner.skips_bad:
        _refuse(listing.problems)
    with folder_written_whole(dataset_folder) as making:
        arguments = {
            case.patient: (case, making, "Ts" if case.patient in test else "Tr", masks) for case in listing.cases
        }
        written = runner.strict().run(_write_case, arguments, describe="Importing")
        remove_leftovers(making, deep=True)  # of workers that were killed, whose cases others have done again
        problems = dict(listing.problems)
        problems |= {patient: outcome for patient, outcome in written.items() if isinstance(outcome, str)}
        if problems and not runner.skips_bad:
            _refuse(problems)
        facts = {patient: outcome for patient, outcome in written.items() if not isinstance(outcome, str)}
        training = tuple(patient for patient in facts if patient not in test)
        if not training:
            raise DatasetError(
                "no patient is left to train on: " + "; ".join(_first_sentences(problems) or ["all are in --test"])
            )
        write_json(_description(listing, dataset_folder), making / "dataset.json")
        provenance = {"format_version": 1, "synthct_version": __version__, "layout": listing.format, "cases": facts}
        write_json(provenance, making / "import.json")
        check_number_is_free(dataset_folder)  # another program may have taken it meanwhile
    for patient, problem in sorted(problems.items()):
        runner.reject(patient, DatasetError(problem.removeprefix(f"{patient}: ")))
    others = tuple(case.patient for case in listing.cases if case.patient in facts and case.same_frame is False)
    notes = {patient: of["mask"] for patient, of in facts.items() if of.get("mask", AS_GIVEN) != AS_GIVEN}
    return Imported(dataset_folder, training, tuple(p for p in facts if p in test), others, notes)


def check_number_is_free(dataset_folder: Path) -> None:
    """Whether no dataset has the number.

    Raises:
        DatasetError: naming the one that has.
    """
    number = dataset_folder.name.partition("_")[0]
    taken = [path for path in dataset_folder.parent.glob(f"{number}_*") if path.exists()]
    if taken:
        raise DatasetError(f"{taken[0]} is there already and is not overwritten; give another number with -d.")


def _write_case(case: ImportCase, folder: Path, part: str, masks: bool) -> dict[str, Any] | str:
    """Provenance of a patient whose files were written, or what is wrong with the patient, who is then left out."""
    files = CaseFiles(
        case.patient,
        (folder / f"images{part}" / f"{case.patient}_0000{FILE_ENDING}",) if case.mr else (),
        folder / f"targets{part}" / f"{case.patient}{FILE_ENDING}" if case.ct else None,
        folder / f"masks{part}" / f"{case.patient}{FILE_ENDING}" if masks and case.mask else None,
    )
    facts: dict[str, Any] = {"public_id": case.public_id} if case.public_id else {}
    try:
        for kind, source, path in (("mr", case.mr, files.mr[0] if files.mr else None), ("ct", case.ct, files.ct)):
            if source is not None and path is not None:
                image = _read(source)
                facts[kind] = _facts(source, image)
                write_image(image, path)
        if case.mask is not None and files.mask is not None:
            mask, note = read_head_mask(case.mask)
            write_image(mask, files.mask)
            facts["mask"] = note.removeprefix(f"{case.mask} ") if note else AS_GIVEN
        problems = check_case(files, may_lie_apart=True)  # such pairs are registered by the preprocessing
        called = {str(path): _called(source) for path, source in zip(files.files, _sources(case, files))}
        problems = [_in_the_users_words(problem, called) for problem in problems]
        problems = [f"{case.patient}: {problem}" for problem in problems]
    except DiskError:
        raise  # which is not a patient's fault, and must leave none out
    except SynthctError as fault:
        problems = [f"{case.patient}: {fault}"]
    if problems:
        for path in files.files:
            path.unlink(missing_ok=True)
        return " ".join(problems)
    if case.same_frame is not None:
        facts["same_frame_of_reference"] = case.same_frame
    return facts


def _sources(case: ImportCase, files: CaseFiles) -> list[Source]:
    """Where the files of a case came from, in the order of ``files.files``."""
    return [source for source in (case.mr, case.ct, case.mask if files.mask else None) if source is not None]


def _called(source: Source) -> str:
    return source.name if isinstance(source, DicomSeries) else str(source)


def _in_the_users_words(problem: str, called: dict[str, str]) -> str:
    """A problem of files that are not there any more, reported of those that they were made from."""
    for number, path in enumerate(called):
        problem = problem.replace(path, f"\0{number}\0").replace(Path(path).name, f"\0{number}\0")
    for number, words in enumerate(called.values()):
        problem = problem.replace(f"\0{number}\0", words)
    return problem


def _read(source: Source) -> sitk.Image:
    """Voxels and geometry of a source, and nothing else that its file may carry."""
    if isinstance(source, DicomSeries):
        return read_series(source)
    image = read_image(source)
    if image.GetPixelID() == sitk.sitkFloat64:
        image = sitk.Cast(image, sitk.sitkFloat32)
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image


def _facts(source: Source, image: sitk.Image) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "size_xyz": list(image.GetSize()),
        "spacing_mm_xyz": [round(v, 4) for v in image.GetSpacing()],
    }
    if isinstance(source, DicomSeries):
        stacking = stack_slices(source)
        facts["slices"] = len(source.slices)
        facts["slices_moved_in_their_planes"] = bool(np.ptp(stacking.shift_px, axis=0).any())
        facts["slices_interpolated"] = int(np.count_nonzero(stacking.weight))
    return facts


def _description(listing: Listing, dataset_folder: Path) -> dict[str, Any]:
    return {
        "name": dataset_folder.name.partition("_")[2],
        "description": f"Imported by synthct_import from the layout {listing.format}; see import.json.",
        "channel_names": {"0": "MR"},
        "file_ending": FILE_ENDING,
    }


def _refuse(problems: dict[str, str]) -> None:
    raise DatasetError(
        "\n".join(_first_sentences(problems))
        + f"\nNothing was written because of {counted(len(problems), 'patient')}; correct this, or leave such patients "
        "out with --skip_bad."
    )


def _first_sentences(problems: dict[str, str]) -> list[str]:
    sentences = [text for _, text in sorted(problems.items())]
    more = len(sentences) - SHOWN
    return sentences if more <= 0 else [*sentences[:SHOWN], f"... and {counted(more, 'more patient')}."]
