"""One MR file to one sCT file: with a predictor at hand, or as a task for a worker that loads the model itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from synthct.dataset.images import read_case
from synthct.dataset.raw import CaseFiles
from synthct.errors import ImageError
from synthct.imaging.io import write_image
from synthct.inference.predictor import CHECKPOINT, Predictor, trained_folds
from synthct.training.device import select_device

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


def predict_file(predictor: Predictor, case: CaseFiles, path: Path) -> None:
    """Write the sCT of a patient's MR.

    Raises:
        ImageError: naming the file that cannot be used.
    """
    images = read_case(CaseFiles(case.patient, case.mr, None, case.mask))
    write_image(predictor.predict(images.mr, head_mask=images.given_mask, name=str(case.mr[0])), path)


def predict_task(model: ModelFiles, case: CaseFiles, path: Path) -> list[str]:
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
            predict_file(_load(model), case, path)
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
