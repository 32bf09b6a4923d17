"""The model card: what a colleague must know before predicting with a model of somebody else, in Markdown.

It is made of what the model file holds, at the export and again at the installation.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from string import Template

import numpy as np

from synthct.evaluation.compared import masks_in_words
from synthct.evaluation.intervals import bootstrap_interval
from synthct.evaluation.metrics import METRICS
from synthct.exchange.model_file import ModelFile
from synthct.exchange.results import Results, Rows, is_number
from synthct.html_report.page_parts import packaged_text
from synthct.planning.fingerprint import VolumeFacts
from synthct.planning.plan import voxel_mm
from synthct.qa.usefulness import HARDLY_BETTER

FEW_PATIENTS = 20  # Wolterink et al. 2017 had 24
_AXES = ("LR", "AP", "SI")  # the patient's
_TISSUE_COLUMNS = ("me_hu", "mae_air_hu", "mae_soft_hu", "mae_bone_hu", "dice_bone_250", "wepl_median_mm")
_SHOWN = ("mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed", *_TISSUE_COLUMNS)
_TITLES = {m.column: f"{m.title}{f', {m.unit}' if m.unit else ''}" for m in METRICS if m.column in _SHOWN}
_BASELINES = {"mean_ct": "the training patients' mean HU", "median_ct": "the training patients' median HU"}


def model_card(file: ModelFile) -> str:
    """The template ``model_card.md``, filled; its lines ``?name text`` hold where that value is true, ``!name text``
    where it is not.

    Text of the file cannot make tags, links, table borders or lines of its own.
    """
    manifest, model, plan = file.manifest, file.model, file.model.plan
    results = file.results or Results(manifest.model_hash, (), (), (), ())
    scored = (*results.held_out, *results.test)
    cases = file.fingerprint.cases.values()
    seen, (low, high) = model.configuration.input, model.hu_range
    constants = {row["model"]: row["mae_hu_mean"] for row in results.baselines if is_number(row.get("mae_hu_mean"))}
    maes, constant = _values(results.held_out, "mae_hu"), min(constants.values(), default=math.inf)
    said = {key: file.dataset.get(key) for key in ("name", "description", "licence")}
    values = {
        "name": f"{manifest.dataset_name}, {manifest.trainer}{' on disjoint patients' * manifest.disjoint}, "
        f"{manifest.configuration}",
        "model_hash": manifest.model_hash,
        "synthct_version": manifest.synthct_version,
        "anonymous": manifest.anonymous,
        "patients": len(cases),
        "few_patients": len(cases) < FEW_PATIENTS,
        "with_mr": sum(bool(case.mr) for case in cases),
        "with_ct": sum(case.ct is not None for case in cases),
        "pairs": sum(case.paired for case in cases),
        "channels": ", ".join(plan.channel_names),
        "folds": ", ".join(manifest.folds),
        "one_fold": len(manifest.folds) == 1,
        "description": "; ".join(
            f"{key}: {text.strip().rstrip('.')}"
            for key, text in said.items()
            if isinstance(text, str) and 0 < len(text) <= 500
        ),
        "mae": _figure(results.held_out, "mae_hu"),
        "test_mae": _figure(results.test, "mae_hu"),
        "scored": bool(scored),
        "few_scored": 0 < len(scored) < FEW_PATIENTS,
        "single_folds": len(manifest.folds) > 1 and bool(results.held_out) and not results.test,
        "masks": masks_in_words(str(row.get("mask")) for row in scored),
        "baselines": "; ".join(f"{_BASELINES.get(name, name)}: {mae:.1f} HU" for name, mae in constants.items()),
        "constant": f"{constant:.1f}",
        "hardly_better": bool(maes) and statistics.fmean(maes) > HARDLY_BETTER * constant,
        "register": plan.register,
        "unregistered": plan.register == "off",
        "refined": plan.register == "refine" and model.method.needs_pairs,
        "reference": model.reference is not None,
        "trainer": f"{manifest.trainer} of {manifest.trainer_package}".removesuffix(" of "),
        "paired": model.method.needs_pairs,
        "dimensions": model.method.dimensions,
        "configuration": manifest.configuration,
        "planner": plan.planner,
        "plane": seen.plane,
        "neighbours": seen.neighbours,
        "pixel_mm": " x ".join(f"{mm:.3g}" for mm in voxel_mm(model.configuration.preprocessing, seen.plane)),
        "mr_windows": "; ".join(map(str, model.input.coding.expected_mr(seen.mr_channels))),
        "low": f"{low:g}",
        "high": f"{high:g}",
        "high_air": low > -1000,
    }
    tables = {"results": _results(results), "by_fold": _by_fold(file, results), "scans": _scans(file)}

    def holding(line: re.Match[str]) -> str:
        return line["text"] if bool(values[line["name"]]) == (line["sign"] == "?") else ""

    template = packaged_text("synthct.exchange", "model_card.md")
    chosen = re.sub(r"^(?P<sign>[?!])(?P<name>\w+) (?P<text>.*\n)", holding, template, flags=re.MULTILINE)
    safe = {name: _safe(str(value)) for name, value in values.items()}
    return re.sub(r"\n{3,}", "\n\n", Template(chosen).substitute(safe | tables))


def lines_before(card: str, heading: str) -> list[str]:
    """For the terminal: the lines of a card before one of its headings, without empty ones."""
    return [line.lstrip("# ") for line in card.partition(f"\n## {heading}")[0].splitlines() if line]


def _results(results: Results) -> str:
    scored = (*results.held_out, *results.test)
    rows = [
        [title, _figure(results.held_out, column), _figure(results.test, column)]
        for column, title in _TITLES.items()
        if _values(scored, column)
    ]
    return _table(["mean ± SD over patients, 95 % interval of the mean", "held out", "test set"], rows)


def _by_fold(file: ModelFile, results: Results) -> str:
    head = ["fold", "trained on", "held out", "MAE, HU", "epochs", "steps", "batch size", "synthct", "torch"]
    rows = []
    for fold, how in file.trainings.items():
        mae = _figure(tuple(row for row in results.held_out if row.get("fold") == fold), "mae_hu")
        patients = (len(file.splits[fold].train), len(file.splits[fold].val))
        steps = (how.epoch, how.step, how.training.batch_size)
        rows.append([fold, *patients, mae, *steps, how.synthct_version, how.torch_version])
    return _table(head, rows)


def _scans(file: ModelFile) -> str:
    cases, channels = file.fingerprint.cases.values(), file.model.plan.channel_names
    scans = {f"MR {name}": [case.mr[i] for case in cases if len(case.mr) > i] for i, name in enumerate(channels)}
    scans["CT"] = [case.ct for case in cases if case.ct is not None]
    scans = {name: facts for name, facts in scans.items() if facts}
    measured = {name: [_measured(scan) for scan in facts] for name, facts in scans.items()}
    rows = [["scans", *map(len, scans.values())]]
    for quantity in next(iter(measured.values()), [{}])[0]:
        rows.append([quantity, *(_spread([scan[quantity] for scan in scans_of]) for scans_of in measured.values())])
    axes = [", ".join(sorted({scan.orientation for scan in facts})) for facts in scans.values()]
    return _table(["", *scans], [*rows, ["axes of the files", *axes]])


def _measured(facts: VolumeFacts) -> dict[str, float]:
    """What is said of a scan; mm along the patient's axes."""
    return {
        **{f"voxel {axis}, mm": round(mm, 3) for axis, mm in zip(_AXES, facts.spacing_mm)},
        **{f"field of view {axis}, mm": round(mm) for axis, mm in zip(_AXES, facts.field_of_view_mm)},
        "axes tilted by, degrees": round(facts.oblique_deg, 1),
        "volume of the head, l": round(facts.head_volume_l, 2),
        **{
            f"{p}th percentile in the head, MR units or HU": round(facts.head_percentiles[p]) for p in ("5", "50", "95")
        },
    }


def _spread(values: Sequence[float]) -> str:
    spread = [f"{value:g}" for value in (min(values), statistics.median(values), max(values))]
    return " / ".join(spread if len(set(spread)) > 1 else spread[:1])


def _values(rows: Rows, column: str) -> list[float]:
    return [float(row[column]) for row in rows if is_number(row.get(column))]


def _figure(rows: Rows, column: str) -> str:
    """Such as ``80.0 ± 14.1, 70.2 to 89.5 (n = 20)``; empty where there is none."""
    values = _values(rows, column)
    if not values:
        return ""
    mean, (low, high) = statistics.fmean(values), bootstrap_interval(np.array(values))
    digits = 2 if abs(mean) < 10 else 1
    sd = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    interval = "" if math.isnan(low) else f", {low:.{digits}f} to {high:.{digits}f}"
    return f"{mean:.{digits}f}{sd}{interval} (n = {len(values)})"


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows] if rows else []
    return "\n".join("| " + " | ".join(_safe(str(cell)) for cell in line) + " |" for line in lines)


def _safe(text: str) -> str:
    """In one line of Markdown, without tags, links or table borders of its own, nor a terminal's control characters."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"[<>\[\]|`]", lambda match: f"\\{match[0]}", text)
