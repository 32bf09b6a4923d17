"""``training_log.csv``: a row an epoch."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from synthct.files import write_text
from synthct.training.logger import LoggedTraining, Row, TrainingLogger, loss_names


class TrainingLog(TrainingLogger):
    """Rows of the log. The file is rewritten whole each epoch, so that no crash leaves half a row.

    Columns: ``epoch`` (finished ones, from 1), ``step``, ``learning_rate``, ``seconds``, ``ms_per_step``, the mean of
    each loss over the epoch, ``val_mae_hu`` (empty where no held-out patient has both MR and CT).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, str]] = []

    def start(self, training: LoggedTraining) -> None:
        """Go on after the rows of the epochs that are finished."""
        self.read(training.epoch)

    def read(self, until_epoch: float = math.inf) -> None:
        """Take over the rows of the first ``until_epoch`` epochs, all by default, of a file that is there."""
        if self.path.is_file():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.rows = [row for row in rows if (row.get("epoch") or "").isdigit() and int(row["epoch"]) <= until_epoch]

    def epoch(self, row: Row) -> None:
        """Append a row and write the file."""
        self.rows.append({name: _text(value) for name, value in row.items()})
        table = io.StringIO()
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        writer = csv.DictWriter(table, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(table.getvalue(), self.path)

    def column(self, name: str) -> list[float]:
        """A column as numbers, NaN where it is empty."""
        return [float(row.get(name) or "nan") for row in self.rows]

    def losses(self) -> list[str]:
        """Names of the losses."""
        return loss_names(self.rows[-1] if self.rows else {})


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
