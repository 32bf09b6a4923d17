"""One MR to one sCT: with a predictor at hand, or as a task for a worker that loads the model itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from synthct.dataset.images import read_case
from synthct.dataset.raw import CaseFiles
from synthct.errors import ImageError
from synthct.inference.predictor import CHECKPOINT, Predictor, trained_folds
from synthct.inference.writers import ImageFileWriter, Writer
from synthct.training.device import select_device

if TYPE_CHECKING:
    from synthct.inference.dicom_mrs import DicomMr

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
        written: when each file was written (ns), so that a model trained anew is loaded anew.
    """

    folder: Path
    folds: tuple[str, ...]
    checkpoint: str
    device: str | None
    precision: str
    written: tuple[int, ...]

    @staticmethod
    def of(
        folder: Path,
        folds: Sequence[str] | None = None,
        *,
        checkpoint: str = CHECKPOINT,
        device: str | None = None,
        precision: str = "auto",
    ) -> ModelFiles:
        """The files of a model that ``Predictor.from_model_folder`` loads; every trained fold by default."""
        folder = Path(folder).absolute()
        names = tuple(folds or trained_folds(folder, checkpoint))
        paths = [folder / "plans.json", *(folder / f"fold_{name}" / checkpoint for name in names)]
        written = tuple(path.stat().st_mtime_ns for path in paths)
        return ModelFiles(folder, names, checkpoint, device, precision, written)


def predict_file(predictor: Predictor, case: CaseFiles | DicomMr, path: Path, writer: Writer = IMAGE_FILE) -> None:
    """Write the sCT of a patient's MR.

    Args:
        predictor: the model.
        case: files of images, or DICOM series.
        path: of the sCT; a folder for a DICOM series.
        writer: of the output format.

    Raises:
        ImageError: naming the file or series that cannot be used.
    """
    if isinstance(case, CaseFiles):
        images = read_case(CaseFiles(case.patient, case.mr, None, case.mask))
        mr, mask, name = images.mr, images.given_mask, str(case.mr[0])
    else:
        mr, mask, name = case.read(), None, case.name
    sct = predictor.predict(mr, head_mask=mask, grid=writer.grid(mr[0]), name=name)
    writer.write(sct, case, path, predictor.model_hash)


def predict_task(model: ModelFiles, case: CaseFiles | DicomMr, path: Path, writer: Writer = IMAGE_FILE) -> list[str]:
    """``predict_file`` in a worker, which keeps the model in memory for its next case.

    Returns:
        The warnings that were logged, for the process that shows them.

    Raises:
        ModelError, TrainingError: the model or its device cannot be used there.
        ImageError: naming the file that cannot be read or written.
    """
    warnings = _Warnings()
    _logger.addHandler(warnings)
    try:
        with _one_at_a_time:  # the threads of a worker share one model
            predict_file(_load(model), case, path, writer)
    except OSError as fault:
        raise ImageError(f"{fault.filename or path}: {fault.strerror or fault}.") from None
    finally:
        _logger.removeHandler(warnings)
    return warnings.messages


@lru_cache(maxsize=1)
def _load(model: ModelFiles) -> Predictor:
    device = select_device(model.device)[0]
    return Predictor.from_model_folder(
        model.folder, model.folds, checkpoint=model.checkpoint, device=device, precision=model.precision
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
