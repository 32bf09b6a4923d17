"""The model card: what a colleague must know before predicting with a model of somebody else."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import Template

import torch

from synthct import __version__
from synthct.evaluation.compared import masks_in_words
from synthct.exchange.file_format import Manifest
from synthct.exchange.results import Figure, Results, Rows, figures
from synthct.exchange.texts import ModelTexts
from synthct.html_report.page_parts import packaged_text
from synthct.inference.read_model import Model, predicting_networks
from synthct.planning.fingerprint import VolumeFacts
from synthct.planning.plan import voxel_mm
from synthct.qa.usefulness import HARDLY_BETTER
from synthct.tuples import triple_of

FORMAT_VERSION = 2
AXES = ("LR", "AP", "SI")
INTENDED_USE = (
    "Research on synthetic CT from head MR. Not a medical device; not for clinical use: neither diagnosis nor dose "
    "calculation nor positioning of patients."
)
TISSUE_COLUMNS = ("me_hu", "mae_air_hu", "mae_soft_hu", "mae_bone_hu", "dice_bone_250", "wepl_median_mm")
SHOWN_COLUMNS = ("mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed", *TISSUE_COLUMNS)
FEW_PATIENTS = 20  # Wolterink et al. 2017 had 24


@dataclass(frozen=True)
class Spread:
    """Of one number over the scans."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True)
class ScanCard:
    """The training dataset's scans of one MR channel, or its CTs; mm along the patient's axes, :data:`AXES`."""

    name: str  # of the channel, which is all that is known of an MR's sequence; ``CT``
    scans: int
    orientations: tuple[str, ...]  # towards which the files' axes run, such as LPS
    voxel_mm: tuple[Spread, Spread, Spread]
    field_of_view_mm: tuple[Spread, Spread, Spread]
    oblique_deg: Spread  # angle between the files' axes and the patient's
    head_volume_l: Spread  # of the head mask
    intensities: dict[str, Spread]  # percentiles inside the head, scanner units or HU


@dataclass(frozen=True)
class FoldCard:
    """One fold; ``figures`` are of the patients that it held out and that were scored."""

    fold: str
    trained_on: int
    held_out: int
    epochs: int
    steps: int
    batch_size: int
    synthct_version: str
    torch_version: str
    figures: dict[str, Figure]


@dataclass(frozen=True)
class ModelCard:
    """``model_card.json``; numbers of patients are of the training dataset, figures by the evaluation's columns."""

    format_version: int
    synthct_version: str
    exported_on: str  # YYYY-MM-DD
    dataset_name: str
    description: dict[
        str, str
    ]  # what the dataset's author wrote in dataset.json (``name``, ``description``, ``licence``)
    trainer: str
    trainer_package: str  # that has the trainer, such as ``my-method 0.1``; empty where it is not known
    configuration: str
    paired: bool
    disjoint: bool
    folds: tuple[FoldCard, ...]
    model_hash: str
    anonymous: bool
    patients: int
    with_mr: int
    with_ct: int
    pairs: int  # aligned
    mr: tuple[ScanCard, ...]
    ct: ScanCard | None
    planner: str
    register: str  # whether CTs were registered to the MRs, as the plan has it
    slice_plane: str
    neighbours: int  # slices on each side that the network sees beside the one that it makes
    network_spacing_mm: tuple[float, float, float]  # of the network's pixels: slices, rows, cols of its plane
    mr_windows: tuple[str, ...]  # what is spread over the network's input range, a sentence a channel
    ct_window_hu: tuple[float, float]
    parameters: dict[str, int]  # numbers of weights of the networks that a prediction needs, by name
    has_cycle: bool
    has_qa_reference: bool
    evaluation: str  # which patients and mask the figures are of, or why there are none
    figures: dict[str, Figure]  # over all held-out patients
    test_figures: dict[str, Figure]  # of the test set
    baselines: dict[str, float]  # MAE, HU, of CTs of one HU everywhere on the held-out patients
    intended_use: str
    limits: tuple[str, ...]
    dimensions: int = 2  # 3 where the network sees patches of the volume; earlier cards do not say

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version is {self.format_version} and not {FORMAT_VERSION}; update synthct")

    @property
    def name(self) -> str:
        """Such as ``Dataset001_Brain, cyclegan, 2d``."""
        return f"{self.dataset_name}, {self.trainer}{' on disjoint patients' * self.disjoint}, {self.configuration}"


def make_card(
    texts: ModelTexts, manifest: Manifest, model: Model, *, has_cycle: bool, why_no_results: str, today: str
) -> ModelCard:
    """The card of a model.

    Args:
        texts: of the model, already anonymous where it shall be.
        manifest: which model it is.
        model: of all folds.
        has_cycle: whether every fold has a network back to MR.
        why_no_results: where ``texts`` has none.
        today: YYYY-MM-DD.
    """
    plan, seen = texts.plan, model.configuration.input
    cases = texts.fingerprint.cases.values()
    results = texts.results or Results(manifest.model_hash, (), (), (), ())
    channels = enumerate(plan.channel_names)
    mrs = [_scans(name, [case.mr[i] for case in cases if len(case.mr) > i]) for i, name in channels]
    with torch.device("meta"):
        networks = predicting_networks(model.method, model.configuration, model.settings)
    card = ModelCard(
        format_version=FORMAT_VERSION,
        synthct_version=__version__,
        exported_on=today,
        dataset_name=manifest.dataset_name,
        description=_description(texts),
        trainer=manifest.trainer,
        trainer_package=manifest.trainer_package,
        configuration=manifest.configuration,
        paired=model.method.needs_pairs,
        disjoint=manifest.disjoint,
        folds=tuple(_fold(texts, fold, results.held_out) for fold in manifest.folds),
        model_hash=manifest.model_hash,
        anonymous=manifest.anonymous,
        patients=len(cases),
        with_mr=sum(bool(case.mr) for case in cases),
        with_ct=sum(case.ct is not None for case in cases),
        pairs=sum(case.paired for case in cases),
        mr=tuple(scans for scans in mrs if scans is not None),
        ct=_scans("CT", [case.ct for case in cases if case.ct is not None]),
        planner=plan.planner,
        register=plan.register,
        slice_plane=seen.plane,
        neighbours=seen.neighbours,
        network_spacing_mm=triple_of(round(mm, 3) for mm in voxel_mm(model.configuration.preprocessing, seen.plane)),
        mr_windows=tuple(map(str, model.input.coding.expected_mr(seen.mr_channels))),
        ct_window_hu=model.hu_range,
        parameters={name: sum(one.numel() for one in network.parameters()) for name, network in networks.items()},
        has_cycle=has_cycle,
        has_qa_reference=texts.reference is not None,
        evaluation=_evaluation(results, why_no_results),
        figures=figures(results.held_out, SHOWN_COLUMNS),
        test_figures=figures(results.test, SHOWN_COLUMNS),
        baselines={row["model"]: mae for row in results.baselines if isinstance(mae := row.get("mae_hu_mean"), float)},
        intended_use=INTENDED_USE,
        limits=(),
        dimensions=model.method.dimensions,
    )
    return replace(card, limits=_limits(card, scored=len(results.held_out) + len(results.test)))


def _description(texts: ModelTexts) -> dict[str, str]:
    said = {key: texts.dataset.get(key) for key in ("name", "description", "licence")}
    return {key: text for key, text in said.items() if isinstance(text, str) and 0 < len(text) <= 500}


def _scans(name: str, facts: Sequence[VolumeFacts]) -> ScanCard | None:
    if not facts:
        return None
    return ScanCard(
        name,
        len(facts),
        tuple(sorted({one.orientation for one in facts})),
        triple_of(_spread(values) for values in zip(*(one.spacing_mm for one in facts))),
        triple_of(_spread(values, 0) for values in zip(*(one.field_of_view_mm for one in facts))),
        _spread([one.oblique_deg for one in facts], 1),
        _spread([one.head_volume_l for one in facts], 2),
        {
            f"{percentile}th percentile": _spread([one.head_percentiles[percentile] for one in facts], 0)
            for percentile in ("5", "50", "95")
        },
    )


def _spread(values: Sequence[float], digits: int = 3) -> Spread:
    return Spread(*(round(float(value), digits) for value in (min(values), statistics.median(values), max(values))))


def _fold(texts: ModelTexts, fold: str, held_out: Rows) -> FoldCard:
    training, split = texts.trainings[fold], texts.splits[fold]
    own = figures([row for row in held_out if row["fold"] == fold], ("mae_hu", "psnr_db"))
    how = (
        training.epoch,
        training.step,
        training.training.batch_size,
        training.synthct_version,
        training.torch_version,
    )
    return FoldCard(fold, len(split.train), len(split.val), *how, own)


def _evaluation(results: Results, why_no_results: str) -> str:
    held_out, test = len(results.held_out), len(results.test)
    if not held_out and not test:
        return f"There are no results: {why_no_results}."
    inside = masks_in_words(str(row.get("mask")) for row in (*results.held_out, *results.test))
    parts = [f"{held_out} patients, each predicted by the fold that held the patient out"] if held_out else []
    parts += [f"{test} patients of the test set, predicted by all folds together"] if test else []
    return f"{'; '.join(parts)}. Compared inside {inside}, HU not clipped unless a metric says so."


def _limits(card: ModelCard, scored: int) -> tuple[str, ...]:
    """What the model is not good for: those lines of limits.md whose condition holds, the most important first."""
    low, high = card.ct_window_hu
    mae = card.figures["mae_hu"].mean if card.figures else 0.0
    constant = min(card.baselines.values(), default=float("inf"))
    values = {
        "patients": card.patients,
        "few": ", which is few" * (card.patients < FEW_PATIENTS),
        "channels": ", ".join(scans.name for scans in card.mr),
        "low": f"{low:g}",
        "high": f"{high:g}",
        "air": f"air cavities read {low:g} HU and not -1000, " * (low > -1000),
        "plane": card.slice_plane,
        "patches": " in 3-D patches" * (card.dimensions == 3),
        "pixel": " x ".join(f"{mm:.2g}" for mm in card.network_spacing_mm),
        "mae": f"{mae:.1f}",
        "constant": f"{constant:.1f}",
    }
    conditions = {
        "always": True,
        "hardly_better": mae > HARDLY_BETTER * constant,
        "scored": scored > 0,
        "few_scored": 0 < scored < FEW_PATIENTS,
        "single_folds": len(card.folds) > 1 and scored > 0 and not card.test_figures,
        "unpaired": not card.paired,
        "unregistered": card.register == "off",
        "no_reference": not card.has_qa_reference,
        "one_fold": len(card.folds) == 1,
        "anonymous": card.anonymous,
    }
    lines = (line.split(": ", 1) for line in packaged_text("synthct.exchange", "limits.md").splitlines())
    return tuple(Template(limit).substitute(values) for condition, limit in lines if conditions[condition])
