"""``progress.png``: how the training goes, at a glance."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from synthct.files import bytes_written_whole
from synthct.training.log import TrainingLog
from synthct.training.logger import SECONDS_BETWEEN_IMAGES, LoggedTraining, Row, TrainingLogger
from synthct.training.validation import ExampleImages

SHOWN_HU = (-600.0, 1400.0)  # the window of Wolterink et al. 2017, whatever the method
NO_PAIRS = "not measured: no held-out patient\nhas an MR and a CT that are aligned"

log = logging.getLogger("synthct")


class ProgressFigure(TrainingLogger):
    """Draws losses, learning rate, validation MAE, and MR | sCT | CT of one slice; now and then, and at the end.

    matplotlib is not a requirement of training: where it is missing, one line of the log says so.
    """

    def __init__(self, path: Path, rows: TrainingLog) -> None:
        """``rows`` holds what the curves are drawn of; it logs every epoch before this figure does."""
        self.path, self.rows = Path(path), rows
        self.available = True
        self.drawn_at = -SECONDS_BETWEEN_IMAGES

    def start(self, training: LoggedTraining) -> None:
        self.training = training

    def epoch(self, row: Row) -> None:
        if (row["epoch"] or 0) < self.training.epochs and time.monotonic() - self.drawn_at > SECONDS_BETWEEN_IMAGES:
            self.draw()
            self.drawn_at = time.monotonic()

    def finish(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Write the figure; without matplotlib do nothing."""
        rows = self.rows
        if not self.available or not rows.rows:
            return
        try:
            from matplotlib.figure import Figure
        except ImportError:
            self.available = False
            log.info("matplotlib is not installed, so %s is not drawn.", self.path.name)
            return
        figure = Figure(figsize=(12, 9), layout="constrained")  # no pyplot: it keeps global state and needs a display
        figure.suptitle(f"{self.training.title}, epoch {rows.rows[-1]['epoch']}")
        curves, images = figure.subfigures(2, 1, height_ratios=(1, 1))  # type: ignore[misc]  # an array
        self._draw_curves(curves.subplots(1, 3), rows, self.training.has_pairs)
        self._draw_images(images.subplots(1, 3), self.training.example())
        with bytes_written_whole(self.path) as file:
            figure.savefig(file, dpi=80)

    @staticmethod
    def _draw_curves(axes, rows: TrainingLog, has_pairs: bool) -> None:
        epochs = rows.column("epoch")
        marker = "." if len(epochs) < 20 else None
        for name in rows.losses():
            axes[0].plot(epochs, rows.column(name), label=name, marker=marker)
        axes[0].set(title="losses", xlabel="epoch", yscale="log")
        axes[0].legend(fontsize="small")
        axes[1].plot(epochs, rows.column("val_mae_hu"), marker=marker)
        axes[1].set(title="MAE of held-out slices (HU)", xlabel="epoch")
        if not has_pairs:
            axes[1].text(0.5, 0.5, NO_PAIRS, ha="center", va="center", wrap=True, transform=axes[1].transAxes)
        axes[2].plot(epochs, rows.column("learning_rate"), marker=marker)
        axes[2].set(title="learning rate", xlabel="epoch", ylim=(0, None))
        for axis in axes:
            axis.xaxis.get_major_locator().set_params(integer=True)

    @staticmethod
    def _draw_images(axes, example: ExampleImages | None) -> None:
        for axis in axes:
            axis.set_axis_off()
        if example is None:
            return
        low, high = SHOWN_HU
        axes[0].imshow(example.mr, cmap="gray")
        axes[0].set_title(f"MR of {example.patient}")
        axes[1].imshow(example.sct_hu, cmap="gray", vmin=low, vmax=high)
        axes[1].set_title(f"sCT, {low:g} to {high:g} HU")
        if example.ct_hu is not None:
            axes[2].imshow(example.ct_hu, cmap="gray", vmin=low, vmax=high)
            axes[2].set_title("CT")
        else:
            axes[2].text(0.5, 0.5, "no CT that is\naligned with this MR", ha="center", va="center")
