"""Writes the example dataset: paired head phantoms in the raw dataset layout."""

from __future__ import annotations

from pathlib import Path

from synthct.errors import DatasetError
from synthct.files import folder_written_whole, read_json, remove_leftovers, write_json
from synthct.imaging.io import write_image
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.phantom.patient import DEFAULTS, PhantomOptions, make_phantom_patient

DATASET_NAME = "Head phantoms"


def make_example_dataset(
    dataset_folder: Path,
    options: PhantomOptions = DEFAULTS,
    *,
    n_train: int = 8,
    n_test: int = 2,
    file_ending: str = ".nii.gz",
    overwrite: bool = False,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> list[str]:
    """Write ``n_train`` + ``n_test`` patients and then ``dataset.json``; return the case ids.

    Args:
        dataset_folder: such as ``synthct_raw/Dataset001_HeadPhantom``.
        options: how the patients are made.
        n_train, n_test: patients; patient i is the same however many are made.
        file_ending: of the image files.
        overwrite: replace phantoms that are there; other datasets are never touched.
        runner: how the patients are made; a fault raises, whatever it does with bad cases.

    Raises:
        DatasetError: there is a dataset in the folder already.
    """
    dataset_folder = Path(dataset_folder)
    if n_train < 1 or n_test < 0:
        raise ValueError(f"n_train must be 1 or more and n_test 0 or more, got {n_train} and {n_test}")
    _check_free(dataset_folder, overwrite)
    cases = [f"HEAD_{number:03d}" for number in range(1, n_train + n_test + 1)]
    description = {
        "name": DATASET_NAME,
        "description": "Computer-made paired head MR (T1 gradient echo) and CT with known anatomy; no patient data.",
        "licence": "CC0 1.0",
        "channel_names": {"0": "T1"},
        "file_ending": file_ending,
    }
    with folder_written_whole(dataset_folder) as making:
        arguments = {
            case: (index, case, "Tr" if index < n_train else "Ts", making, file_ending, options)
            for index, case in enumerate(cases)
        }
        runner.strict().run(_write_patient, arguments, describe="Making phantoms")
        remove_leftovers(making, deep=True)  # of workers that were killed, whose cases others have done again
        write_json(description, making / "dataset.json")
    return cases


def _check_free(dataset_folder: Path, overwrite: bool) -> None:
    """Whether nothing is there, or only phantoms that may be replaced."""
    description = dataset_folder / "dataset.json"
    if not dataset_folder.exists() or (dataset_folder.is_dir() and not any(dataset_folder.iterdir())):
        return
    if not description.exists():
        raise DatasetError(f"{dataset_folder} is there already and is not a dataset; give another number or name.")
    if not overwrite:
        raise DatasetError(f"{dataset_folder} is there already; give another number or name, or --overwrite.")
    content = read_json(description, DatasetError)
    if not isinstance(content, dict) or content.get("name") != DATASET_NAME:
        raise DatasetError(f"{dataset_folder} holds no head phantoms but other data, which are not overwritten.")


def _write_patient(
    index: int, case: str, part: str, dataset_folder: Path, file_ending: str, options: PhantomOptions
) -> None:
    patient = make_phantom_patient(index, options)
    write_image(patient.mr, dataset_folder / f"images{part}" / f"{case}_0000{file_ending}")
    write_image(patient.ct, dataset_folder / f"targets{part}" / f"{case}{file_ending}")
