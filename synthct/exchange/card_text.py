"""The model card as text: ``model_card.md`` for readers, from the template of that name, and for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import Template
from typing import Any

from synthct.evaluation.metrics import METRICS
from synthct.exchange.card import AXES, ModelCard, ScanCard, Spread
from synthct.exchange.results import Figure
from synthct.html_report.page_parts import packaged_text

_TITLES = {metric.column: f"{metric.title}{f', {metric.unit}' if metric.unit else ''}" for metric in METRICS}
_BASELINES = {"mean_ct": "the training patients' mean HU", "median_ct": "the training patients' median HU"}
_REGISTRATION = {
    "off": "CTs were not registered to MRs by synthct.",
    "auto": "CTs that were not aligned were registered rigidly to the MRs.",
    "always": "CTs were registered rigidly to the MRs.",
    "refine": "CTs that were not aligned were registered rigidly to the MRs; paired methods were trained on CTs that "
    "were then refined locally.",
}


def to_markdown(card: ModelCard) -> str:
    """``model_card.md``; text of the card cannot make tags, links, table borders or lines of its own."""
    scans = [*card.mr, *([card.ct] if card.ct else [])]
    neighbours = f"{card.neighbours} neighbour{'s' * (card.neighbours > 1)}"
    windows = "; ".join(f"{scan.name}: {window}" for scan, window in zip(card.mr, card.mr_windows))
    values = {name: _safe(str(value)) for name, value in (vars(card) | {"name": card.name}).items()} | {
        "limits": "\n".join(f"- {_safe(limit)}" for limit in card.limits),
        "results_by_fold": _results_by_fold(card),
        "results": _results(card),
        "baselines": _baselines(card),
        "registration": _REGISTRATION.get(card.register, ""),
        "description": f"What the dataset's author says of it: {_safe(_in_words(card))}" if card.description else "",
        "scans": _table(["", *(f"MR {scan.name}" if scan in card.mr else scan.name for scan in scans)], _scans(scans)),
        "trainer": _safe(f"{card.trainer} of {card.trainer_package}" if card.trainer_package else card.trainer),
        "pairing": "paired" if card.paired else "unpaired",
        "slices": f"{'3-D patches of ' * (card.dimensions == 3)}{_safe(card.slice_plane)} slices"
        + f", each seen with {neighbours} on either side" * (card.neighbours > 0),
        "pixel_mm": " x ".join(f"{mm:g}" for mm in card.network_spacing_mm),
        "mr_windows": _safe(windows),
        "ct_window": " to ".join(f"{hu:g}" for hu in card.ct_window_hu),
        "parameters": _safe(", ".join(f"{name} {number:,}" for name, number in card.parameters.items())),
        "cycle": "; the sCT goes back to MR for quality assurance" * card.has_cycle,
        "reference": "qa_reference.json and " * card.has_qa_reference,
        "folds": _table(
            ["fold", "epochs", "steps", "batch size", "synthct", "torch"],
            ((f.fold, f.epochs, f.steps, f.batch_size, f.synthct_version, f.torch_version) for f in card.folds),
        ),
        "case_ids": "Case ids were replaced by CASE_001, ... in random order."
        if card.anonymous
        else "Case ids are those of the training dataset.",
        "measurements": ", qa_reference.json" * card.has_qa_reference,
        "outline": ", and the outline of the head from the side in steps of about a centimetre" * card.has_qa_reference,
    }
    text = Template(packaged_text("synthct.exchange", "model_card.md")).substitute(values)
    return re.sub(r" *\n{2,}", "\n\n", text)


def main_points(card: ModelCard) -> list[str]:
    """For the terminal, a line each: what it is, on whom it was trained, how well it does."""
    channels = ", ".join(scan.name for scan in card.mr)
    points = [
        f"Model: {card.name}; model hash {card.model_hash}",
        f"Trained on {card.patients} patients ({card.pairs} with MR and CT of one space), MR: {channels}; "
        f"{len(card.folds)} fold{'s' * (len(card.folds) > 1)}",
    ]
    if card.description:
        points.append(f"Its author says of the dataset: {_in_words(card)}")
    for figures, on in ((card.figures, "patients held out"), (card.test_figures, "test patients")):
        if mae := figures.get("mae_hu"):
            points.append(f"MAE {_mean_sd(mae, 1)} HU on {mae.n} {on} of the same dataset")
    if not card.figures and not card.test_figures:
        points.append(card.evaluation)
    return [_plain(point) for point in points]


def limits(card: ModelCard) -> list[str]:
    """For the terminal: intended use, and what the model is not good for."""
    return [_plain(line) for line in (card.intended_use, *(f"- {limit}" for limit in card.limits))]


def _results_by_fold(card: ModelCard) -> str:
    rows = [
        [fold.fold, fold.trained_on, fold.held_out, *(_cell(fold.figures.get(c)) for c in ("mae_hu", "psnr_db"))]
        for fold in card.folds
    ]
    return _table(["fold", "trained on", "held out", "MAE, HU", "PSNR, dB"], rows) if card.figures else ""


def _results(card: ModelCard) -> str:
    rows = [
        [title, _cell(card.figures.get(c)), _interval(card.figures.get(c)), _cell(card.test_figures.get(c))]
        for c, title in _TITLES.items()
        if c in card.figures or c in card.test_figures
    ]
    return (
        _table(["mean ± SD over patients", "held out", "95 % interval of the mean", "test set"], rows) if rows else ""
    )


def _baselines(card: ModelCard) -> str:
    errors = "; ".join(f"{_BASELINES.get(name, _safe(name))}: {mae:.1f} HU" for name, mae in card.baselines.items())
    same = "For comparison, the MAE of a CT of one HU everywhere in the head, on the same patients"
    return f"{same}: {errors}." if errors else ""


def _scans(scans: Sequence[ScanCard]) -> list[list[Any]]:
    percentiles = dict.fromkeys(name for scan in scans for name in scan.intensities)
    return [
        ["scans", *(scan.scans for scan in scans)],
        *([f"voxel {axis}, mm", *(_spread(scan.voxel_mm[i]) for scan in scans)] for i, axis in enumerate(AXES)),
        *(
            [f"field of view {axis}, mm", *(_spread(scan.field_of_view_mm[i]) for scan in scans)]
            for i, axis in enumerate(AXES)
        ),
        ["axes tilted by, degrees", *(_spread(scan.oblique_deg) for scan in scans)],
        ["volume of the head, l", *(_spread(scan.head_volume_l) for scan in scans)],
        *(
            [f"{name} in the head, MR units or HU", *(_spread(scan.intensities.get(name)) for scan in scans)]
            for name in percentiles
        ),
        ["axes of the files", *(", ".join(scan.orientations) for scan in scans)],
    ]


def _in_words(card: ModelCard) -> str:
    return "; ".join(f"{key}: {text.strip().rstrip('.')}" for key, text in card.description.items()) + "."


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_safe(str(cell)) for cell in line) + " |" for line in lines)


def _mean_sd(figure: Figure, digits: int) -> str:
    return f"{figure.mean:.{digits}f}" + ("" if figure.sd is None else f" ± {figure.sd:.{digits}f}")


def _digits(figure: Figure) -> int:
    return 2 if abs(figure.mean) < 10 else 1


def _cell(figure: Figure | None) -> str:
    return "-" if figure is None else f"{_mean_sd(figure, _digits(figure))} (n = {figure.n})"


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.interval is None:
        return "-"
    return " to ".join(f"{value:.{_digits(figure)}f}" for value in figure.interval)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if spread.least == spread.greatest:
        return f"{spread.median:g}"
    return f"{spread.least:g} / {spread.median:g} / {spread.greatest:g}"


def _plain(text: str) -> str:
    """Without control characters, which could rewrite a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _safe(text: str) -> str:
    """In one line of Markdown, without tags, links or table borders of its own."""
    return re.sub(r"[<>\[\]|`]", lambda match: f"\\{match[0]}", _plain(text))
