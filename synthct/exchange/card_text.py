"""The model card as text: ``model_card.md`` for readers, and its main points for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from synthct.evaluation.metrics import METRICS
from synthct.exchange.model_card import AXES, ModelCard, ScanCard, Spread
from synthct.exchange.results import Figure

_TITLES = {metric.column: f"{metric.title}{f', {metric.unit}' if metric.unit else ''}" for metric in METRICS}
_BASELINES = {"mean_ct": "the training patients' mean HU", "median_ct": "the training patients' median HU"}


def to_markdown(card: ModelCard) -> str:
    """``model_card.md``."""
    lines = [
        f"# Model card: {_safe(card.name)}",
        f"Model hash **{card.model_hash}** (of weights and configuration; `synthct_predict` tells the same, and DICOM "
        f"series carry it). Exported on {_safe(card.exported_on)} by synthct {_safe(card.synthct_version)}.",
        "## Intended use",
        _safe(card.intended_use),
        "## Limits",
        "\n".join(f"- {_safe(limit)}" for limit in card.limits),
        "## Results",
        _safe(card.evaluation),
        *_results(card),
        "## Training data",
        *_data(card),
        "## Model",
        *_model(card),
        "## Privacy",
        *_privacy(card),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def main_points(card: ModelCard) -> list[str]:
    """For the terminal, a line each: what it is, on whom it was trained, how well it does."""
    channels = ", ".join(scan.name for scan in card.mr)
    points = [
        f"Model: {card.name}; model hash {card.model_hash}",
        f"Trained on {card.patients} patients ({card.pairs} with MR and CT of one space), MR: {channels}; "
        f"{len(card.folds)} fold{'s' * (len(card.folds) > 1)}",
    ]
    if card.description:
        points.append(f"Its author says of the dataset: {_in_words(card.description)}")
    for figures, on in ((card.figures, "patients held out"), (card.test_figures, "test patients")):
        if "mae_hu" in figures:
            points.append(f"MAE {_words(figures['mae_hu'])} HU on {figures['mae_hu'].n} {on} of the same dataset")
    if not card.figures and not card.test_figures:
        points.append(card.evaluation)
    return [_plain(point) for point in points]


def limits(card: ModelCard) -> list[str]:
    """For the terminal: intended use, and what the model is not good for."""
    return [_plain(line) for line in (card.intended_use, *(f"- {limit}" for limit in card.limits))]


def _results(card: ModelCard) -> list[str]:
    parts = []
    if card.figures:
        rows = [
            [
                fold.fold,
                str(fold.trained_on),
                str(fold.held_out),
                *(_cell(fold.figures.get(c)) for c in ("mae_hu", "psnr_db")),
            ]
            for fold in card.folds
        ]
        parts.append(_table(["fold", "trained on", "held out", "MAE, HU", "PSNR, dB"], rows))
    columns = [column for column in _TITLES if column in card.figures or column in card.test_figures]
    if columns:
        rows = [
            [_TITLES[c], _cell(card.figures.get(c)), _interval(card.figures.get(c)), _cell(card.test_figures.get(c))]
            for c in columns
        ]
        parts.append(_table(["mean ± SD over patients", "held out", "95 % interval of the mean", "test set"], rows))
    if card.baselines:
        told = "; ".join(f"{_BASELINES.get(name, name)}: {mae:.1f} HU" for name, mae in card.baselines.items())
        parts.append(f"For comparison, the MAE of a CT of one HU everywhere in the head, on the same patients: {told}.")
    return parts


def _data(card: ModelCard) -> list[str]:
    scans = [*card.mr, *([card.ct] if card.ct else [])]
    register = {
        "off": "CTs were not registered to MRs by synthct.",
        "auto": "CTs that were not aligned were registered rigidly to the MRs.",
        "always": "CTs were registered rigidly to the MRs.",
    }
    return [
        f"{card.patients} patients: {card.with_mr} with MR, {card.with_ct} with CT, {card.pairs} with both, aligned. "
        + register.get(card.register, ""),
        f"What the dataset's author says of it: {_safe(_in_words(card.description))}" if card.description else "",
        "Least, median and greatest over the scans; axes are the patient's, whatever the files' axes are:",
        _table(
            ["", *(_safe(f"MR {scan.name}" if scan in card.mr else scan.name) for scan in scans)],
            _scan_table(scans),
        ),
    ]


def _in_words(description: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {text.strip().rstrip('.')}" for key, text in description.items()) + "."


def _scan_table(scans: Sequence[ScanCard]) -> list[list[str]]:
    rows = [["scans", *(str(scan.scans) for scan in scans)]]
    rows += [[f"voxel {axis}, mm", *(_spread(scan.voxel_mm[i]) for scan in scans)] for i, axis in enumerate(AXES)]
    rows += [
        [f"field of view {axis}, mm", *(_spread(scan.field_of_view_mm[i]) for scan in scans)]
        for i, axis in enumerate(AXES)
    ]
    rows.append(["axes tilted by, degrees", *(_spread(scan.oblique_deg) for scan in scans)])
    rows.append(["volume of the head, l", *(_spread(scan.head_volume_l) for scan in scans)])
    for name in dict.fromkeys(name for scan in scans for name in scan.intensities):
        cells = (_spread(scan.intensities[name]) if name in scan.intensities else "" for scan in scans)
        rows.append([f"{name} in the head, MR units or HU", *cells])
    rows.append(["axes of the files", *(", ".join(scan.orientations) for scan in scans)])
    return rows


def _model(card: ModelCard) -> list[str]:
    plane_mm = " x ".join(f"{value:g}" for value in card.network_spacing_mm)
    training = "paired slices" if card.paired else "unpaired slices"
    package = f" of {card.trainer_package}" if card.trainer_package else ""
    neighbours = f"{card.neighbours} neighbour{'s' * (card.neighbours > 1)}"
    around = f", each seen with {neighbours} on either side" if card.neighbours else ""
    slices = f"{'3-D patches of ' * (card.dimensions == 3)}{_safe(card.slice_plane)} slices{around}"
    weights = ", ".join(f"{name} {number:,}" for name, number in card.parameters.items())
    low, high = card.ct_window_hu
    windows = "; ".join(f"{scan.name}: {window}" for scan, window in zip(card.mr, card.mr_windows))
    rows = [
        [f.fold, str(f.epochs), str(f.steps), str(f.batch_size), f.synthct_version, f.torch_version] for f in card.folds
    ]
    return [
        "\n".join(
            [
                f"- trainer {_safe(card.trainer + package)} ({training}), configuration {_safe(card.configuration)}, "
                f"planner {_safe(card.planner)}",
                f"- {slices}, pixels of {plane_mm} mm (between slices, rows, cols)",
                f"- MR window: {_safe(windows)}",
                f"- CT window: {low:g} to {high:g} HU",
                f"- weights of each fold's networks: {_safe(weights)}"
                + ("; the sCT goes back to MR for quality assurance" if card.has_cycle else ""),
                f"- quality assurance: compared with {'qa_reference.json and ' if card.has_qa_reference else ''}"
                "dataset_fingerprint.json",
            ]
        ),
        _table(["fold", "epochs", "steps", "batch size", "synthct", "torch"], rows),
        "On one machine in float32 the predictions are those of the machine that exported it, HU by HU; see "
        "documentation/how_to.md for how far other devices and precisions may differ.",
    ]


def _privacy(card: ModelCard) -> list[str]:
    ids = (
        "Case ids were replaced by CASE_001, ... in random order."
        if card.anonymous
        else "Case ids are those of the training dataset."
    )
    return [
        f"{ids} The file holds no image. It holds measurements of every training patient (dataset_fingerprint.json"
        + (", qa_reference.json" if card.has_qa_reference else "")
        + "): sizes, intensities, head volume"
        + (
            ", and the outline of the head from the side in steps of about a centimetre"
            if card.has_qa_reference
            else ""
        )
        + ". What a network's weights tell of single patients is not known."
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_safe(cell) for cell in line) + " |" for line in lines)


def _words(figure: Figure) -> str:
    return f"{figure.mean:.1f}" if figure.sd is None else f"{figure.mean:.1f} ± {figure.sd:.1f}"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    digits = 2 if abs(figure.mean) < 10 else 1
    sd = "" if figure.sd is None else f" ± {figure.sd:.{digits}f}"
    return f"{figure.mean:.{digits}f}{sd} (n = {figure.n})"


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.interval is None:
        return "-"
    digits = 2 if abs(figure.mean) < 10 else 1
    return " to ".join(f"{value:.{digits}f}" for value in figure.interval)


def _spread(spread: Spread) -> str:
    if spread.least == spread.greatest:
        return f"{spread.median:g}"
    return f"{spread.least:g} / {spread.median:g} / {spread.greatest:g}"


def _plain(text: str) -> str:
    """Without control characters, which could rewrite a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _safe(text: str) -> str:
    """In one line of Markdown, without tags, links or table borders of its own."""
    return re.sub(r"[<>\[\]|`]", lambda match: f"\\{match[0]}", _plain(text))
