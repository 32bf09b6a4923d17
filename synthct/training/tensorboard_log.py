"""``tensorboard/``: the curves of a training and a picture of one slice, for TensorBoard."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from synthct.errors import TrainingError
from synthct.model_folder import FoldFolder
from synthct.training.logger import SECONDS_BETWEEN_IMAGES, LoggedTraining, Row, TrainingLogger, loss_names
from synthct.training.validation import ExampleImages

SHOWN_HU = (-600.0, 1400.0)  # the window of Wolterink et al. 2017, as in progress.png


class TensorBoardLog(TrainingLogger):
    """Writes losses, learning rate, held-out MAE and the example of an epoch as events, numbered by finished steps.

    Event files grow record by record, so that they alone are not written atomically: readers pass over a record that a
    killed training left incomplete. A resumed training writes another file, which makes the reader drop what comes
    after the step that is resumed from. Torch's SummaryWriter would put the machine's name into that of the file.

    Raises:
        TrainingError: the package tensorboard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
            from torch.utils.tensorboard import summary
        except ImportError:
            raise TrainingError(
                "The logger tensorboard needs the package tensorboard, which is not installed here; "
                "install it: pip install 'synthct[tensorboard]'."
            ) from None
        self._events, self._summary, self._record_writer = event_pb2, summary, RecordWriter
        self.pictured_at = -SECONDS_BETWEEN_IMAGES

    def start(self, training: LoggedTraining) -> None:
        self.training = training
        folder = FoldFolder(training.folder).tensorboard
        folder.mkdir(parents=True, exist_ok=True)
        earlier = sorted(folder.glob("events.out.tfevents.*"))
        if training.epoch == 0:  # this training takes their place
            for path in earlier:
                path.unlink()
        # Readers take the files in the order of their names.
        path = folder / f"events.out.tfevents.{int(time.time()):010d}.{len(earlier):04d}"
        self.file = self._record_writer(open(path, "xb"))
        self._write(file_version="brain.Event:2")
        log = self._events.SessionLog  # some readers drop nothing at the first start that they see: so each run has one
        self._write(step=training.step + 1, session_log=log(status=log.START))
        if training.epoch == 0:
            facts = json.dumps(training.facts, indent=2, ensure_ascii=False)
            self._write(summary=self._summary.text("training", f"{training.title}\n\n```\n{facts}\n```"))
        self.file.flush()

    def epoch(self, row: Row) -> None:
        step, epoch = int(row["step"] or 0), row["epoch"] or 0
        tags = {name: f"loss/{name}" for name in loss_names(row)}
        tags |= {name: name for name in ("val_mae_hu", "learning_rate", "ms_per_step")}
        for name, tag in tags.items():
            if row.get(name) is not None:
                self._write(step=step, summary=self._summary.scalar(tag, row[name]))
        last = epoch >= self.training.epochs
        if last or time.monotonic() - self.pictured_at > SECONDS_BETWEEN_IMAGES:
            example = self.training.example()
            if example is not None:
                shown = picture(example)
                self._write(step=step, summary=self._summary.image("MR, sCT, CT", shown, dataformats="HW"))
            self.pictured_at = time.monotonic()
        self.file.flush()

    def finish(self) -> None:
        self.file.close()

    def _write(self, **content: Any) -> None:
        self.file.write(self._events.Event(wall_time=time.time(), **content).SerializeToString())


def picture(example: ExampleImages) -> np.ndarray:
    """MR, sCT and, where it is known, CT side by side; uint8 (rows, 2 or 3 x cols).

    The MR between its own minimum and maximum, sCT and CT between -600 and 1400 HU.
    """
    low, high = float(example.mr.min()), float(example.mr.max())
    parts = [_grey(example.mr, low, high if high > low else low + 1)]
    parts += [_grey(hu, *SHOWN_HU) for hu in (example.sct_hu, example.ct_hu) if hu is not None]
    return np.concatenate(parts, axis=1)


def _grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint(255 * np.clip((image - low) / (high - low), 0, 1)).astype(np.uint8)
