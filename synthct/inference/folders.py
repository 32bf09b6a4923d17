"""Predictions for folders of MR files, and for a fold's held-out patients."""

from __future__ import annotations

import logging
import re
from concurrent.futures import Executor
from pathlib import Path

from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.errors import ImageError, ModelError
from synthct.imaging.io import FILE_ENDINGS, image_name
from synthct.inference.predictor import CHECKPOINT, Predictor, trained_folds
from synthct.inference.task import ModelFiles, predict_file, predict_task
from synthct.parallel import Progress, quiet, run_cases

__all__ = ["list_mrs", "newest_model_folder", "predict_folder", "predict_held_out", "trained_folds"]

logger = logging.getLogger("synthct")


def newest_model_folder(results: Path, pattern: str = "Dataset*/*", checkpoint: str = CHECKPOINT) -> Path:
    """The model folder under ``synthct_results`` whose training ended last.

    Args:
        results: the folder ``synthct_results``.
        pattern: of the model folders to choose from.
        checkpoint: the file that makes a fold count as trained.

    Raises:
        ModelError: there is none.
    """
    found = sorted(Path(results).glob(f"{pattern}/fold_*/{checkpoint}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ModelError(
            f"{results} holds no trained model ({pattern}/fold_*/{checkpoint}); train one: synthct_train 1 cyclegan."
        )
    return found[-1].parent.parent


def list_mrs(folder: Path, n_channels: int) -> dict[str, tuple[Path, ...]]:
    """The MRs of a folder by patient, a file a channel.

    Files are named PATIENT_0000, PATIENT_0001, ... as in a raw dataset. For a model of one channel the number may be
    left out, and another number than 0000 belongs to the patient's name unless PATIENT_0000 lies beside it.

    Raises:
        ImageError: there is no MR, a channel is missing, or two files claim the same place.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; give a folder of MR files with -i.")
    names = {path: image_name(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    found: dict[str, dict[int, Path]] = {}
    for path, name in names.items():
        if name is None:
            continue
        match = re.fullmatch(r"(.+)_(\d{4})", name)
        is_numbered = match and (n_channels > 1 or f"{match[1]}_0000" in names.values())
        patient, channel = (match[1], int(match[2])) if is_numbered else (name, 0)
        if channel in found.setdefault(patient, {}):
            raise ImageError(
                f"{path} and {found[patient][channel].name} are the same channel of '{patient}'; remove one."
            )
        found[patient][channel] = path
    if not found:
        raise ImageError(f"{folder} holds no MR: files end in one of {', '.join(FILE_ENDINGS)}.")
    for patient, channels in found.items():
        missing = sorted(set(range(n_channels)) - set(channels))
        extra = sorted(set(channels) - set(range(n_channels)))
        if missing or extra:
            what = f"lacks channel {missing[0]:04d}" if missing else f"has a channel {extra[0]:04d} too many"
            raise ImageError(
                f"{folder}: '{patient}' {what}; the model needs {n_channels} channel(s), "
                f"named {patient}_0000 to {patient}_{n_channels - 1:04d}."
            )
    return {patient: tuple(channels[i] for i in range(n_channels)) for patient, channels in found.items()}


def predict_folder(
    predictor: Predictor,
    mrs: Path,
    output: Path,
    *,
    executor: Executor | None = None,
    model: ModelFiles | None = None,
    progress: Progress = quiet,
) -> list[Path]:
    """Write an sCT for every MR of a folder, named after the patient and in the MR's file format.

    Args:
        predictor: the model.
        mrs: the folder of MRs.
        output: the folder of sCTs; made where it is missing.
        executor: does the work in place of this process, a case a task, such as a cluster's.
        model: with ``executor``, the files of the same model, which each of its workers loads once.
        progress: a display like ``tqdm``.

    Returns:
        The files written.

    Raises:
        ImageError: naming the file that cannot be used.
    """
    output = Path(output)
    cases = list_mrs(mrs, predictor.configuration.network.mr_channels)
    if output.resolve() == Path(mrs).resolve():
        raise ImageError(f"{output} is the folder of the MRs; give another folder with -o.")
    written = {
        patient: output / f"{patient}{paths[0].name[len(image_name(paths[0])) :]}" for patient, paths in cases.items()
    }
    if executor is not None:
        if model is None:
            raise ValueError("An executor needs the files of the model, so that its workers can load it.")
        tasks = {
            patient: (model, CaseFiles(patient, tuple(path.absolute() for path in paths), None, None), path.absolute())
            for (patient, paths), path in zip(cases.items(), written.values())
        }
        warnings = run_cases(predict_task, tasks, executor=executor, progress=progress, describe="Predicting")
        for warning in (one for of_case in warnings.values() for one in of_case):
            logger.warning(warning)
        return list(written.values())
    for patient, paths in progress(cases.items(), total=len(cases), desc="Predicting", unit="case"):
        predict_file(predictor, CaseFiles(patient, paths, None, None), written[patient])
    return list(written.values())


def predict_held_out(
    raw: RawDataset, predictor: Predictor, patients: tuple[str, ...], output: Path, *, progress: Progress = quiet
) -> list[Path]:
    """Write the sCT of each of a fold's held-out patients from the raw MR, exactly as for a new patient.

    The head is found in the MR alone, or is the mask that the user gave. What an earlier model left there is removed.

    Raises:
        ModelError: the raw dataset no longer has a patient.
    """
    missing = sorted(set(patients) - set(raw.training))
    if missing:
        raise ModelError(
            f"{raw.folder} no longer has {', '.join(missing)}, whom this fold holds out; restore the files."
        )
    for leftover in Path(output).glob("*") if Path(output).is_dir() else ():
        leftover.unlink()  # of an earlier model, whose training may have seen the patients held out now
    written = []
    for patient in progress(patients, total=len(patients), desc="Held-out patients", unit="case"):
        path = Path(output) / f"{patient}{raw.file_ending}"
        predict_file(predictor, raw.training[patient], path)
        written.append(path)
    return written
