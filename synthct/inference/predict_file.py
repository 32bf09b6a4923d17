"""One MR to one sCT: with a predictor at hand, or as a task for a worker that loads the model itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from synthct.dataset.images import read_case
from synthct.dataset.integrity import check_mr
from synthct.dataset.raw import CaseFiles
from synthct.errors import DiskError, os_error_sentence
from synthct.imaging.io import image_ending, write_image
from synthct.inference.predictor import CYCLE_EVERY, Predictor, Quality
from synthct.inference.synthesis import Combination
from synthct.inference.writers import ImageFileWriter, Writer, mr_file
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.qa.qa_report import QaReport, qa_path
from synthct.training.device import select_device

if TYPE_CHECKING:
    import SimpleITK as sitk

    from synthct.inference.dicom_mrs import DicomMr

QaLevel = Literal["off", "fast", "full"]
IMAGE_FILE = ImageFileWriter()
_one_at_a_time = threading.Lock()
_logger = logging.getLogger("synthct")


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk, in a few words that travel to other machines.

    Attributes:
        folder: the model folder, absolute.
        folds: those to average.
        checkpoint: the checkpoint's file name in each fold.
        device: such as ``cuda``; the best that the worker has by default.
        precision: ``auto``, which the worker decides, ``float32`` or ``bfloat16``.
        combine: ``mean`` or ``median`` of the folds.
        quality: ``fast`` or ``best``.
        written: when each file was written (ns), so that a model trained anew is loaded anew.
    """

    folder: Path
    folds: tuple[str, ...]
    checkpoint: str
    device: str | None
    precision: str
    combine: Combination
    quality: Quality
    written: tuple[int, ...]

    @staticmethod
    def of(
        folder: Path,
        folds: Sequence[str] | None = None,
        *,
        checkpoint: str = CHECKPOINT_FINAL,
        device: str | None = None,
        precision: str = "auto",
        combine: Combination = "mean",
        quality: Quality = "fast",
    ) -> ModelFiles:
        """The files of a model that ``Predictor.from_model_folder`` loads; every trained fold by default."""
        folder = Path(folder).absolute()
        names = tuple(folds or ModelFolder(folder).trained_folds(checkpoint))
        files = ModelFolder(folder)
        models = [files, *(files.beside() if quality == "best" else ())]
        paths = [
            path for model in models for path in (model.plans, *(model.fold(n).checkpoint(checkpoint) for n in names))
        ]
        written = tuple(path.stat().st_mtime_ns for path in paths if path.is_file())
        return ModelFiles(folder, names, checkpoint, device, precision, combine, quality, written)


@dataclass(frozen=True)
class QaSettings:
    """What is written beside an sCT, in the folder ``qa``.

    Attributes:
        level: ``off``; ``fast``: one in ``CYCLE_EVERY`` slices of a CycleGAN goes back to MR; ``full``: all of them.
        save_uncertainty: the SD over the folds, HU.
        save_cycle_error: the error of the MR that all slices go back to, percent of the MR window.
        write: False measures only.
    """

    level: QaLevel = "fast"
    save_uncertainty: bool = False
    save_cycle_error: bool = False
    write: bool = True

    @property
    def cycle_every(self) -> int:
        """How many slices lie from one that goes back to MR to the next; 0: none does."""
        if self.save_cycle_error or self.level == "full":
            return 1
        return CYCLE_EVERY if self.level == "fast" else 0


def predict_file(
    predictor: Predictor,
    case: CaseFiles | DicomMr,
    path: Path,
    writer: Writer = IMAGE_FILE,
    settings: QaSettings = QaSettings(),
) -> QaReport | None:
    """Write the sCT of a patient's MR, and beside it in ``qa`` its status and maps; warn of what is not ``pass``.

    Args:
        predictor: the model.
        case: files of images, or DICOM series.
        path: of the sCT; a folder for a DICOM series.
        writer: of the output format.
        settings: what else is written.

    Returns:
        The quality assurance; None where it is off.

    Raises:
        ImageError: naming the file or series that cannot be used.
    """
    mr, mask, name = read_mr(case)
    prediction = predictor.predict_with_qa(
        mr,
        head_mask=mask,
        grid=writer.grid(mr[0]),
        name=name,
        cycle_every=settings.cycle_every,
        assess=settings.level != "off",
    )
    report = qa_path(path)
    if settings.write:
        report.unlink(missing_ok=True)  # of an earlier sCT
    writer.write(prediction, case, path, predictor.model_hash)
    if settings.write:
        ending = image_ending(path) or ".nii.gz"
        for wanted, image, what in (
            (settings.save_uncertainty, prediction.uncertainty, "uncertainty"),
            (settings.save_cycle_error, prediction.cycle_error, "cycle_error"),
        ):
            if wanted and image is not None:
                map_path = report.with_name(f"{report.stem}_{what}{ending}")
                write_image(image, map_path, like=None if writer.grid(mr[0]) else mr_file(case))
        if prediction.qa is not None:
            prediction.qa.save(report, report.stem)
            if prediction.qa.status != "pass":
                first, *more = prediction.qa.reasons
                others = f" And {len(more)} more reasons in {report.name}." if more else ""
                _logger.warning(f"{report.stem}: {prediction.qa.status}. {first}{others}")
    return prediction.qa


def read_mr(case: CaseFiles | DicomMr) -> tuple[tuple[sitk.Image, ...], sitk.Image | None, str]:
    """The channels of an MR that a network can be shown, the head mask that the user gave, and what messages call it.

    Raises:
        ImageError: naming the file or series that cannot be used.
    """
    if isinstance(case, CaseFiles):
        images = read_case(CaseFiles(case.patient, case.mr, None, case.mask))
        mr, mask, names = images.mr, images.given_mask, [str(path) for path in case.mr]
    else:
        mr, mask = case.read(), None
        names = [case.name] * len(mr)
    check_mr(mr, names)
    return mr, mask, names[0]


def check_mrs(
    cases: Mapping[str, CaseFiles | DicomMr],
    *,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> None:
    """Read all MRs before a network sees the first, so that a bad one shows at once and not after hours.

    Args:
        cases: by patient.
        runner: how the patients are worked through; bad are those whose MR cannot be used.

    Raises:
        ImageError: naming the file or series that cannot be used.
    """
    runner.run(_check_readable, {patient: (case,) for patient, case in cases.items()}, describe="Checking")


def _check_readable(case: CaseFiles | DicomMr) -> None:
    read_mr(case)


def predict_task(
    model: ModelFiles,
    case: CaseFiles | DicomMr,
    path: Path,
    writer: Writer = IMAGE_FILE,
    settings: QaSettings = QaSettings(),
) -> list[str]:
    """``predict_file`` in a worker, which keeps the model in memory for its next case.

    Returns:
        The warnings that were logged, for the process that shows them.

    Raises:
        ModelError, TrainingError: the model or its device cannot be used there.
        ImageError: naming the file that cannot be read.
        DiskError: naming the file that cannot be written.
    """
    warnings = _Warnings()
    _logger.addHandler(warnings)
    try:
        with _one_at_a_time:  # the threads of a worker share one model
            predict_file(_load(model), case, path, writer, settings)
    except OSError as fault:
        raise DiskError(os_error_sentence(fault)) from None
    finally:
        _logger.removeHandler(warnings)
    return warnings.messages


@lru_cache(maxsize=1)
def _load(model: ModelFiles) -> Predictor:
    device = select_device(model.device)[0]
    return Predictor.from_model_folder(
        model.folder,
        model.folds,
        checkpoint=model.checkpoint,
        device=device,
        precision=model.precision,
        combine=model.combine,
        quality=model.quality,
    )


class _Warnings(logging.Handler):
    """What this thread warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())
