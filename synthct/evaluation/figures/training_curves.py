"""How the folds of a model were trained: losses, MAE of held-out slices, learning rate, from ``training_log.csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthct.evaluation.figures.charts import draw_chart, marks
from synthct.evaluation.trained_models import TrainedModel
from synthct.model_folder import ModelFolder
from synthct.training.log import TrainingLog


def read_logs(model_folder: ModelFolder) -> dict[str, TrainingLog]:
    """The training log of every fold that has rows, by the fold's name."""
    logs: dict[str, TrainingLog] = {}
    folds = [fold for fold in model_folder.folds() if fold.number is not None or fold.name == "all"]
    for fold in sorted(folds, key=lambda fold: (len(fold.name), fold.name)):
        log = TrainingLog(fold.log)
        log.read()
        if log.rows:
            logs[f"fold {fold.name}"] = log
    return logs


def draw_training(model: TrainedModel, folder: Path) -> Path | None:
    """Write ``figure_training_<label>.png``, all folds in one; None where no fold has a log."""
    logs = read_logs(model.files)
    if not logs:
        return None
    losses = list(dict.fromkeys(name for log in logs.values() for name in log.losses()))
    fold_marks, loss_marks = marks(list(logs)), marks(losses)

    def draw(figure: Figure) -> None:
        loss_axes, error_axes, rate_axes = figure.subplots(1, 3, width_ratios=(1.35, 1.1, 0.8))
        for fold, log in logs.items():
            epochs = log.column("epoch")
            alone = "." if len(epochs) < 2 else None
            for name in losses:
                values = np.array(log.column(name))
                mark = loss_marks[name]
                loss_axes.plot(
                    epochs,
                    np.where(values > 0, values, np.nan),
                    color=mark.colour,
                    linestyle=mark.line,
                    linewidth=0.9,
                    marker=alone,
                )
            mark = fold_marks[fold]
            error_axes.plot(
                epochs, log.column("val_mae_hu"), color=mark.colour, linestyle=mark.line, marker=alone, label=fold
            )
            rate_axes.plot(epochs, log.column("learning_rate"), color=mark.colour, linestyle=mark.line, marker=alone)
        loss_axes.set(title="Losses", yscale="log", ylabel="mean over the epoch")
        for name in losses:  # folds look alike here: a line a loss in the legend
            mark = loss_marks[name]
            loss_axes.plot([], [], color=mark.colour, linestyle=mark.line, label=name.replace("_", " "))
        error_axes.set(title="Held-out slices", ylabel="MAE (HU)")
        rate_axes.set(title="Learning rate", ylim=(0, None))
        rate_axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:.3g}")
        rate_axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
        for axes in (loss_axes, error_axes, rate_axes):
            _finish(axes)
        for axes in (loss_axes, error_axes):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3, frameon=False, handlelength=2.4)

    several = f"; {len(logs)} folds, a line a fold" if len(logs) > 1 else ""
    return draw_chart(
        folder / f"figure_training_{model.label}.png",
        85,
        draw,
        title=f"Training of {model.label}{several}",
        note="The MAE is of slices as the network sees them, of the patients whom the fold held out: it follows the "
        "training, and is not the MAE of the tables.",
    )


def _finish(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)
