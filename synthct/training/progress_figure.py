"""``progress.png``: how the training goes, at a glance."""

from __future__ import annotations

import logging
from pathlib import Path

from synthct.files import bytes_written_whole
from synthct.training.log import TrainingLog
from synthct.training.trainer import Trainer
from synthct.training.validation import Validation

SHOWN_HU = (-600.0, 1400.0)  # the window of Wolterink et al. 2017, whatever the method
NO_PAIRS = "not measured: no held-out patient\nhas an MR and a CT that are aligned"

log = logging.getLogger("synthct")


class ProgressFigure:
    """Draws losses, learning rate, validation MAE, and MR | sCT | CT of one slice.

    matplotlib is no requirement of training: where it is missing, one line of the log says so.
    """

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.title = Path(path), title
        self.available = True

    def draw(self, rows: TrainingLog, trainer: Trainer, validation: Validation) -> None:
        """Write the figure; without matplotlib do nothing."""
        if not self.available or not rows.rows:
            return
        try:
            from matplotlib.figure import Figure
        except ImportError:
            self.available = False
            log.info("matplotlib is not installed, so %s is not drawn.", self.path.name)
            return
        figure = Figure(figsize=(12, 9), layout="constrained")  # no pyplot: it keeps global state and needs a display
        figure.suptitle(f"{self.title}, epoch {rows.rows[-1]['epoch']}")
        (curves,), (images,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1))
        self._draw_curves(curves.subplots(1, 3), rows, bool(validation.slices))
        self._draw_images(images.subplots(1, 3), trainer, validation)
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
    def _draw_images(axes, trainer: Trainer, validation: Validation) -> None:
        one = validation.example
        for axis in axes:
            axis.set_axis_off()
        if one is None:
            return
        low, high = SHOWN_HU
        axes[0].imshow(validation.input.middle(one.mr)[0], cmap="gray")
        axes[0].set_title(f"MR of {one.patient}")
        sct_hu = validation.sct_hu(trainer, one)
        middle = len(sct_hu) // 2
        axes[1].imshow(sct_hu[middle], cmap="gray", vmin=low, vmax=high)
        axes[1].set_title(f"sCT, {low:g} to {high:g} HU")
        if one.ct_hu is not None:
            axes[2].imshow(one.ct_hu[middle], cmap="gray", vmin=low, vmax=high)
            axes[2].set_title("CT")
        else:
            axes[2].text(0.5, 0.5, "no CT that is\naligned with this MR", ha="center", va="center")
