"""The model card: what a colleague must know before he predicts with a model that he did not train."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from synthct import __version__
from synthct.exchange.file_format import Manifest
from synthct.exchange.limitations import limits_of
from synthct.exchange.model_texts import ModelTexts
from synthct.exchange.results import Figure, figure
from synthct.inference.read_model import Model, predicting_networks
from synthct.planning.fingerprint import VolumeFacts
from synthct.planning.plan import voxel_mm
from synthct.tuples import triple

FORMAT_VERSION = 2
INTENDED_USE = (
    "Research on synthetic CT from head MR. Not a medical device; not for clinical use: neither diagnosis nor dose "
    "calculation nor positioning of patients."
)
AXES = ("left-right", "front-back", "foot-head")
TISSUE_COLUMNS = ("me_hu", "mae_air_hu", "mae_soft_hu", "mae_bone_hu", "dice_bone_250", "wepl_median_mm")
SHOWN_COLUMNS = ("mae_hu", "psnr_db", "mae_hu_windowed", "psnr_db_windowed", *TISSUE_COLUMNS)


@dataclass(frozen=True)
class Spread:
    """Of one number over the scans."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True)
class ScanCard:
    """The training dataset's scans of one MR channel, or its CTs.

    Attributes:
        name: of the channel, which is all that is known of an MR's sequence; ``CT``.
        orientations: towards which the files' axes run, such as LPS.
        voxel_mm, field_of_view_mm: along the patient's axes (left-right, front-back, foot-head).
        oblique_deg: angle between the files' axes and the patient's.
        head_volume_l: of the head mask.
        intensities: 5th, 50th and 95th percentile inside the head, scanner units or HU.
    """

    name: str
    scans: int
    orientations: tuple[str, ...]
    voxel_mm: tuple[Spread, Spread, Spread]
    field_of_view_mm: tuple[Spread, Spread, Spread]
    oblique_deg: Spread
    head_volume_l: Spread
    intensities: dict[str, Spread]


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
    """``model_card.json``.

    Attributes:
        exported_on: date, YYYY-MM-DD.
        description: what the dataset's author wrote of it in dataset.json (``name``, ``description``, ``licence``).
        patients, with_mr, with_ct, pairs: numbers of patients of the training dataset; pairs are aligned.
        register: whether CTs were registered to the MRs, as the plan has it.
        trainer_package: that has the trainer, such as ``my-method 0.1``; empty where it is not known.
        neighbours: slices on each side that the network sees beside the one that it makes.
        network_spacing_mm: of the network's pixels: slices, rows, cols of its plane.
        mr_windows: what is spread over the network's input range, a sentence a channel.
        evaluation: which patients and mask the figures are of, or why there are none.
        figures: over all held-out patients, by the evaluation's columns; ``test_figures`` of the test set.
        parameters: numbers of weights of the networks that a prediction needs, by name.
        baselines: MAE, HU, of CTs of one HU everywhere on the same patients.
        dimensions: 2 where the network sees slices, 3 where it sees patches of the volume; cards of before say nothing.
    """

    format_version: int
    synthct_version: str
    exported_on: str
    dataset_name: str
    description: dict[str, str]
    trainer: str
    trainer_package: str
    configuration: str
    paired: bool
    disjoint: bool
    folds: tuple[FoldCard, ...]
    model_hash: str
    anonymous: bool
    patients: int
    with_mr: int
    with_ct: int
    pairs: int
    mr: tuple[ScanCard, ...]
    ct: ScanCard | None
    planner: str
    register: str
    slice_plane: str
    neighbours: int
    network_spacing_mm: tuple[float, float, float]
    mr_windows: tuple[str, ...]
    ct_window_hu: tuple[float, float]
    parameters: dict[str, int]
    has_cycle: bool
    has_qa_reference: bool
    evaluation: str
    figures: dict[str, Figure]
    test_figures: dict[str, Figure]
    baselines: dict[str, float]
    intended_use: str
    limits: tuple[str, ...]
    dimensions: int = 2

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
    plan, fingerprint, results = texts.plan, texts.fingerprint, texts.results
    configuration, coding = model.configuration, model.input.coding
    cases = fingerprint.cases.values()
    held_out, test = (results.held_out, results.test) if results else ((), ())
    mrs = [
        _scans(name, (case.mr[i] for case in cases if len(case.mr) > i)) for i, name in enumerate(plan.channel_names)
    ]
    return ModelCard(
        format_version=FORMAT_VERSION,
        synthct_version=__version__,
        exported_on=today,
        dataset_name=manifest.dataset_name,
        description={key: texts.dataset[key] for key in ("name", "description", "licence") if _is_text(texts, key)},
        trainer=manifest.trainer,
        trainer_package=manifest.trainer_package,
        configuration=manifest.configuration,
        paired=model.method.needs_pairs,
        disjoint=manifest.disjoint,
        folds=tuple(_fold(texts, fold, held_out) for fold in manifest.folds),
        model_hash=manifest.model_hash,
        anonymous=manifest.anonymous,
        patients=len(fingerprint.cases),
        with_mr=sum(bool(case.mr) for case in cases),
        with_ct=sum(case.ct is not None for case in cases),
        pairs=sum(case.paired for case in cases),
        mr=tuple(one for one in mrs if one is not None),
        ct=_scans("CT", (case.ct for case in cases if case.ct is not None)),
        planner=plan.planner,
        register=plan.register,
        slice_plane=configuration.input.plane,
        neighbours=configuration.input.neighbours,
        network_spacing_mm=triple(
            round(value, 3) for value in voxel_mm(configuration.preprocessing, configuration.input.plane)
        ),
        mr_windows=tuple(map(str, coding.expected_mr(configuration.input.mr_channels))),
        ct_window_hu=model.hu_range,
        parameters=_parameters(model),
        has_cycle=has_cycle,
        has_qa_reference=texts.reference is not None,
        evaluation=_evaluation(held_out, test, why_no_results),
        figures=_figures(held_out),
        test_figures=_figures(test),
        baselines={
            row["model"]: row["mae_hu_mean"]
            for row in (results.baselines if results else ())
            if isinstance(row.get("mae_hu_mean"), float)
        },
        intended_use=INTENDED_USE,
        limits=limits_of(texts, manifest, model),
        dimensions=model.method.dimensions,
    )


def _parameters(model: Model) -> dict[str, int]:
    with torch.device("meta"):
        networks = predicting_networks(model.method, model.configuration, model.settings)
    return {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}


def _scans(name: str, volumes: Iterable[VolumeFacts]) -> ScanCard | None:
    facts = list(volumes)
    if not facts:
        return None
    spacings, extents = zip(*(_along_the_body(one) for one in facts))
    return ScanCard(
        name,
        len(facts),
        tuple(sorted({one.orientation for one in facts})),
        triple(_spread(values) for values in zip(*spacings)),
        triple(_spread(values, 0) for values in zip(*extents)),
        _spread([one.oblique_deg for one in facts], 1),
        _spread([one.head_volume_l for one in facts], 2),
        {
            f"{percentile}th percentile": _spread([one.head_percentiles[percentile] for one in facts], 0)
            for percentile in ("5", "50", "95")
            if all(percentile in one.head_percentiles for one in facts)
        },
    )


def _along_the_body(facts: VolumeFacts) -> tuple[list[float], list[float]]:
    """Voxel and field of view, mm, along left-right, front-back, foot-head; the file's axes may run otherwise."""
    order = sorted(
        range(3),
        key=lambda axis: next(i for i, ends in enumerate(("LR", "PA", "IS")) if facts.orientation[axis] in ends),
    )
    spacing = [facts.spacing_mm_xyz[axis] for axis in order]
    return spacing, [facts.size_xyz[axis] * mm for axis, mm in zip(order, spacing)]


def _spread(values: Sequence[float], digits: int = 3) -> Spread:
    return Spread(*(round(float(value), digits) for value in (min(values), statistics.median(values), max(values))))


def _fold(texts: ModelTexts, fold: str, held_out: Sequence[dict[str, Any]]) -> FoldCard:
    training, split = texts.trainings[fold], texts.splits[fold]
    return FoldCard(
        fold,
        len(split.train),
        len(split.val),
        training.epoch,
        training.step,
        training.training.batch_size,
        training.synthct_version,
        training.torch_version,
        _figures([row for row in held_out if row["fold"] == fold], ("mae_hu", "psnr_db")),
    )


def _figures(rows: Sequence[dict[str, Any]], columns: Sequence[str] = SHOWN_COLUMNS) -> dict[str, Figure]:
    return {column: found for column in columns if (found := figure(rows, column)) is not None}


def _evaluation(held_out: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]], why_no_results: str) -> str:
    if not held_out and not test:
        return f"There are no results: {why_no_results}."
    masks = {
        "ct_and_mr": "the head determined in both CT and MR",
        "given": "head masks given with the dataset",
        "ct": "the head determined in the CT",
    }
    inside = " or ".join(sorted({masks.get(str(row.get("mask")), "a head mask") for row in (*held_out, *test)}))
    parts = [f"{len(held_out)} patients, each predicted by the fold that held the patient out"] if held_out else []
    parts += [f"{len(test)} patients of the test set, predicted by all folds together"] if test else []
    return f"{'; '.join(parts)}. Compared inside {inside}, HU not clipped unless a metric says so."


def _is_text(texts: ModelTexts, key: str) -> bool:
    return isinstance(texts.dataset.get(key), str) and 0 < len(texts.dataset[key]) <= 500
