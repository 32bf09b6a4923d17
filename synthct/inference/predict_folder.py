"""Predictions for folders of MR files."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthct.counted import counted
from synthct.dataset.numbered_patients import numbered_patients, numbered_sentence
from synthct.dataset.raw import CaseFiles
from synthct.errors import ImageError, ModelError
from synthct.imaging.io import FILE_ENDINGS, image_ending, image_name
from synthct.inference.done_before import done_before
from synthct.inference.predict_file import ModelFiles, QaSettings, check_mrs, predict_file, predict_task
from synthct.inference.predictor import Predictor
from synthct.inference.writers import CtSeriesWriter, ImageFileWriter, Writer
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

if TYPE_CHECKING:
    from synthct.imaging.dicom import PatientsBy
    from synthct.imaging.dicom.ct_series import CtSeriesSettings
    from synthct.inference.dicom_mrs import DicomMr

__all__ = [
    "OUTPUT_FORMATS",
    "FolderOptions",
    "list_mrs",
    "newest_model_folder",
    "predict_folder",
]

DICOM = "dicom"
OUTPUT_FORMATS = (DICOM, *(ending[1:] for ending in FILE_ENDINGS))
logger = logging.getLogger("synthct")


@dataclass(frozen=True)
class FolderOptions:
    """Which MRs of a folder are taken, and in which format their sCTs are written.

    Attributes:
        output_format: ``dicom``, a folder with a CT series a patient, or an image format such as ``nii.gz``; the MR's
            by default.
        ct_settings: of DICOM series, the defaults by default.
        mr_series: which series of DICOM MRs to take.
        patients_by: how patients of DICOM MRs are distinguished: ``id``, or ``folder`` directly below the given one.
        body_contour: write the outline of the head beside a CT series, as an RT Structure Set.
        go_on: leave MRs alone whose sCT an earlier prediction of the same model has finished.
    """

    output_format: str | None = None
    ct_settings: CtSeriesSettings | None = None
    mr_series: Sequence[str] = ()
    patients_by: PatientsBy = "id"
    go_on: bool = False
    body_contour: bool = False


AS_THE_MRS = FolderOptions()


def newest_model_folder(results: Path, pattern: str = "Dataset*/*", checkpoint: str = CHECKPOINT_FINAL) -> Path:
    """The model folder under ``synthct_results`` whose training ended last.

    Args:
        results: the folder ``synthct_results``.
        pattern: of the model folders to choose from.
        checkpoint: the file that makes a fold count as trained.

    Raises:
        ModelError: there is none.
    """
    # Names that begin with a dot are of a killed installation.
    folders = [path for path in Path(results).glob(pattern) if not path.name.startswith(".")]
    ended = {
        folder: max(files.fold(name).checkpoint(checkpoint).stat().st_mtime for name in trained)
        for folder, files in ((path, ModelFolder(path)) for path in folders)
        if (trained := files.trained_folds(checkpoint))
    }
    if not ended:
        raise ModelError(
            f"{results} holds no trained model ({pattern}/fold_*/{checkpoint}); train one (synthct_train 1 cyclegan), "
            "or choose another."
        )
    return max(ended, key=ended.__getitem__)


def list_mrs(folder: Path, n_channels: int, *, runner: CaseRunner = IN_THIS_PROCESS) -> dict[str, tuple[Path, ...]]:
    """The MRs of a folder by patient, a file a channel.

    Files are named PATIENT_0000, PATIENT_0001, ... as in a raw dataset. For a model of one channel the number may be
    left out, and another number than 0000 belongs to the patient's name unless PATIENT_0000 lies beside it.

    Args:
        folder: of the files.
        n_channels: of the model.
        runner: bad are the patients whose channels are not complete.

    Raises:
        ImageError: there is no MR, a channel is missing, two files claim the same place, or patients are numbered from
            ``case_0000``, where the number would be the channel.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; give a folder of MR files with -i.")
    names = {path: image_name(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    for text, patients in numbered_patients([name for name in names.values() if name], n_channels).items():
        if n_channels > 1 or f"{text}_0000" in patients:  # else they are patients, see above
            raise ImageError(f"{folder}: {numbered_sentence(text, patients)}")
    found: dict[str, dict[int, Path]] = {}
    for path, name in names.items():
        if name is None:
            continue
        match = re.fullmatch(r"(.+)_(\d{4})", name)
        patient, channel = name, 0
        if match and (n_channels > 1 or f"{match[1]}_0000" in names.values()):  # it is numbered
            patient, channel = match[1], int(match[2])
        if channel in found.setdefault(patient, {}):
            raise ImageError(
                f"{path} and {found[patient][channel].name} are the same channel of '{patient}'; remove one."
            )
        found[patient][channel] = path
    if not found:
        raise ImageError(f"{folder} holds no MR: files end in one of {', '.join(FILE_ENDINGS)}, or are DICOM.")
    for patient, channels in found.items():
        missing = sorted(set(range(n_channels)) - set(channels))
        extra = sorted(set(channels) - set(range(n_channels)))
        if missing or extra:
            what = f"lacks channel {missing[0]:04d}" if missing else f"has a channel {extra[0]:04d} too many"
            named = f"{patient}_0000" + f" to {patient}_{n_channels - 1:04d}" * (n_channels > 1)
            remedy = f"the model needs {counted(n_channels, 'channel')}, named {named}"
            if len(channels) > 1 and not missing:
                remedy += f"; if they are patients numbered from 0000, rename them to {patient}_0000_0000, and so on"
            runner.reject(patient, ImageError(f"{folder}: '{patient}' {what}; {remedy}."))
    return {patient: tuple(channels[i] for i in range(n_channels)) for patient, channels in runner.good(found).items()}


def predict_folder(
    predictor: Predictor,
    mrs: Path,
    output: Path,
    options: FolderOptions = AS_THE_MRS,
    *,
    settings: QaSettings = QaSettings(),  # noqa: B008  frozen
    model: ModelFiles | None = None,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> list[Path]:
    """Write an sCT for every MR of a folder, named after the patient; see ``list_dicom_mrs`` for names of DICOM MRs.

    Args:
        predictor: the model.
        mrs: the folder of image files; or, where it holds none, of DICOM files in any nesting.
        output: the folder of sCTs; made where it is missing.
        options: which MRs are taken, and the format of the sCTs.
        settings: what is written beside the sCTs, in the folder ``qa`` of the output.
        model: where the runner has an executor, the files of the same model, which each of its workers loads once.
        runner: how the patients are worked through; networks run in this process unless there is an executor, for which
            a case is a task. Bad are the patients whose MR cannot be used; where the MR alone shows it, the first one
            raises before any network runs.

    Returns:
        The files written, or the folders of the series; without those of bad patients, or of MRs left alone.

    Raises:
        ImageError: naming the file or series that cannot be used, or an option without meaning here.
        ModelError: the model cannot give the map that is asked for.
        ValueError: the runner has an executor, and ``model`` is missing.
    """
    _check_maps(predictor, settings)
    output_format, ct_settings = options.output_format, options.ct_settings
    if output_format not in (None, *OUTPUT_FORMATS):
        raise ImageError(f"'{output_format}' is not an output format; there are {', '.join(OUTPUT_FORMATS)}.")
    output = Path(output)
    writer: Writer = ImageFileWriter()
    cases = _list_cases(Path(mrs), predictor.configuration.input.mr_channels, options, runner)
    runner.check_any_left(cases)
    if output.resolve() == Path(mrs).resolve():
        raise ImageError(f"{output} is the folder of the MRs; give another folder with -o.")
    from_dicom = not isinstance(next(iter(cases.values())), CaseFiles)
    if output_format == DICOM or (output_format is None and from_dicom):
        from synthct.imaging.dicom.ct_series import CtSeriesSettings  # loads pydicom

        writer = CtSeriesWriter(ct_settings or CtSeriesSettings(), options.body_contour)
        written = {patient: output / patient for patient in cases}
    else:
        if ct_settings is not None:
            raise ImageError("Tube voltage, manufacturer and description are for DICOM; add --output_format dicom.")
        if options.body_contour:
            raise ImageError("A body contour lies on a DICOM series; add --output_format dicom.")
        endings = {patient: f".{output_format}" if output_format else _ending(case) for patient, case in cases.items()}
        written = {patient: output / f"{patient}{ending}" for patient, ending in endings.items()}
    if output.exists() and not output.is_dir():
        raise ImageError(f"{output} is a file; give another folder with -o.")
    if options.go_on and (done := done_before(written, predictor.model_hash, settings)):
        have, are = ("has", "is") if len(done) == 1 else ("have", "are")
        share = f"{len(done)} of {counted(len(cases), 'MR')}"
        logger.info(f"{share} {have} an sCT of this model already and {are} left alone.")
        cases = {patient: case for patient, case in cases.items() if patient not in set(done)}
    absolute = {patient: _absolute(case) for patient, case in cases.items()}
    if len(cases) > 1:  # a single bad MR raises before anything is written anyway
        check_mrs(absolute if runner.executor else cases, runner=runner)
    left = runner.good(cases)
    if cases:
        runner.check_any_left(left)
    cases = left
    if runner.executor is not None:
        if model is None:
            raise ValueError("An executor needs the files of the model, so that its workers can load it.")
        tasks = {
            patient: (model, absolute[patient], written[patient].absolute(), writer, settings) for patient in cases
        }
        warnings = runner.run(predict_task, tasks, describe="Predicting")
        for warning in (sentence for case_warnings in warnings.values() for sentence in case_warnings):
            logger.warning(warning)
        done = list(warnings)
    else:
        jobs = {patient: (predictor, case, written[patient], writer, settings) for patient, case in cases.items()}
        done = list(runner.in_this_process().run(predict_file, jobs, describe="Predicting"))
    if cases:
        runner.check_any_left(done)
    return [written[patient] for patient in done]


def _check_maps(predictor: Predictor, settings: QaSettings) -> None:
    if settings.save_uncertainty and predictor.n_combined < 2:
        raise ModelError(
            "There is no uncertainty to save: it is the SD over the folds of a model, and this one predicts with one "
            "fold; train another, name several with -f, or leave --save_uncertainty out."
        )
    if settings.save_cycle_error and not predictor.has_cycle:
        raise ModelError(
            "There is no cycle error to save: this model has no network from CT back to MR, only a cyclegan has; "
            "leave --save_cycle_error out."
        )


def _list_cases(
    folder: Path, n_channels: int, options: FolderOptions, runner: CaseRunner
) -> Mapping[str, CaseFiles | DicomMr]:
    """Image files where the folder holds any, else DICOM."""
    if folder.is_dir() and not any(map(image_name, folder.iterdir())):
        from synthct.inference.dicom_mrs import holds_dicom, list_dicom_mrs  # loads pydicom

        if holds_dicom(folder):
            found = list_dicom_mrs(
                folder, n_channels, options.mr_series, patients_by=options.patients_by, runner=runner
            )
            for mr in found.values():
                logger.info(f"{mr.name}: {len(mr.files)} files")
            return found
    files = list_mrs(folder, n_channels, runner=runner)
    if options.mr_series:
        raise ImageError(f"{folder} holds image files, and --mr_series chooses among DICOM series; leave it out.")
    if options.patients_by != "id":
        raise ImageError(f"{folder} holds image files, and --patients_by tells DICOM patients apart; leave it out.")
    return {name: CaseFiles(name, paths, None, None) for name, paths in files.items()}


def _ending(case: CaseFiles | DicomMr) -> str:
    """The image format of an MR that is not DICOM."""
    assert isinstance(case, CaseFiles)
    return image_ending(case.mr[0]) or ""


def _absolute(case: CaseFiles | DicomMr) -> CaseFiles | DicomMr:
    if isinstance(case, CaseFiles):  # DICOM series are found by absolute paths
        return CaseFiles(case.patient, tuple(path.absolute() for path in case.mr), None, None)
    return case
