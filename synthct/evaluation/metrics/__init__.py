"""The metrics that a patient is scored by, in the order of the tables' columns, and protocols that choose among them.

A further metric is a file with its formula and a line in :data:`METRICS`: tables, summary and statistics follow.
Another package adds one by an entry point in the group ``synthct.metrics``, see :data:`synthct.plugins.METRICS`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from synthct import plugins
from synthct.errors import DatasetError
from synthct.evaluation.metrics.bias import mean_error
from synthct.evaluation.metrics.dice import bone_dice, head_dice
from synthct.evaluation.metrics.histogram import histogram_distance
from synthct.evaluation.metrics.mae import mae
from synthct.evaluation.metrics.metric import WINDOW_HU, Metric
from synthct.evaluation.metrics.psnr import psnr, psnr_synthrad2023
from synthct.evaluation.metrics.similarity import RANGE_2023_HU, RANGE_2025_HU, ms_ssim, ssim
from synthct.evaluation.metrics.slice_jumps import slice_discontinuity
from synthct.evaluation.metrics.tissue_classes import Tissue, tissue_mae, tissue_mean_error
from synthct.evaluation.metrics.volume_pair import VolumePair
from synthct.evaluation.metrics.wepl import wepl_median, wepl_p95

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "Metric",
    "Protocol",
    "VolumePair",
    "all_metrics",
    "measure",
    "metrics_in",
    "metrics_of",
    "unusable_metrics",
]

Protocol = Literal["all", "seed", "synthrad2023", "synthrad2025"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
OTHER_COLUMNS = (
    "patient",
    "fold",
    "model",
    "set",
    "n",
    "voxels",
    "scored_head_percent",
    "mask",
    "clipping",
    "grid",
    "notes",
)  # of the tables

_SEED, _SR23, _SR25, _OURS = "Wolterink et al. 2017", "SynthRAD2023", "SynthRAD2025", "synthct"
_MAE, _PSNR = "mean |sCT - CT|", "20 log10(4095 / RMSE)"
_WEPL = "|WEPL(sCT) - WEPL(CT)| over 36 axial directions and the points of the mask"
_WEPL_REGION = "points in the mask; densities in the head of each CT"
_TISSUES: tuple[tuple[Tissue, str, str], ...] = (
    ("air", "air", "CT < -200 HU"),
    ("soft", "soft tissue", "-200 to 250 HU"),
    ("bone", "bone", "CT > 250 HU"),
)

# Unclipped is the main figure. The windowed one is beside it because the RMSE / MAE of about 1.35 in Wolterink et al.
# 2017 suggests that their reference CTs were clipped to the window that their network sees. It is always their window,
# whatever HU a model can show: else models of different windows could not be compared.
METRICS = (
    Metric(
        "mae_hu",
        "MAE",
        "HU",
        True,
        mae,
        _MAE,
        f"{_SEED}, eq. 4",
        protocols=("seed", "synthrad2023", "synthrad2025"),
        main=True,
    ),
    Metric("psnr_db", "PSNR", "dB", False, psnr, _PSNR, f"{_SEED}, eq. 5", protocols=("seed",), main=True),
    Metric("mae_hu_windowed", "windowed MAE", "HU", True, mae, _MAE, _SEED, clip_hu=WINDOW_HU, protocols=("seed",)),
    Metric(
        "psnr_db_windowed", "windowed PSNR", "dB", False, psnr, _PSNR, _SEED, clip_hu=WINDOW_HU, protocols=("seed",)
    ),
    Metric(
        "psnr_db_synthrad2023",
        "PSNR of SynthRAD2023",
        "dB",
        False,
        psnr_synthrad2023,
        "20 log10(4024 / RMSE)",
        _SR23,
        clip_hu=RANGE_2023_HU,
        protocols=("synthrad2023",),
    ),
    Metric(
        "ssim_synthrad2023",
        "SSIM of SynthRAD2023",
        "",
        False,
        ssim,
        "mean of SSIM in windows of 7 x 7 x 7 voxels, -1024 HU outside the mask",
        f"{_SR23}; Wang et al. 2004",
        clip_hu=RANGE_2023_HU,
        region="the mask without the outer 3 voxels of the volume",
        protocols=("synthrad2023",),
    ),
    Metric(
        "psnr_db_synthrad2025",
        "PSNR of SynthRAD2025",
        "dB",
        False,
        psnr,
        _PSNR,
        _SR25,
        clip_hu=RANGE_2025_HU,
        protocols=("synthrad2025",),
    ),
    Metric(
        "ms_ssim_synthrad2025",
        "MS-SSIM of SynthRAD2025",
        "",
        False,
        ms_ssim,
        "product over 5 scales of mean (L C S)^w in windows of 7 x 7 x 7 voxels, -1024 HU outside the mask",
        f"{_SR25}; Wang et al. 2003",
        clip_hu=RANGE_2025_HU,
        region="the mask without the outer 3 voxels of the volume, at each scale",
        protocols=("synthrad2025",),
    ),
    Metric("me_hu", "mean error", "HU", None, mean_error, "mean (sCT - CT)", _OURS),
    *(
        Metric(
            f"mae_{name}_hu",
            f"MAE in {title}",
            "HU",
            True,
            tissue_mae(name),
            _MAE,
            _OURS,
            region=f"{where} in the mask",
        )
        for name, title, where in _TISSUES
    ),
    *(
        Metric(
            f"me_{name}_hu",
            f"mean error in {title}",
            "HU",
            None,
            tissue_mean_error(name),
            "mean (sCT - CT)",
            _OURS,
            region=f"{where} in the mask",
        )
        for name, title, where in _TISSUES
    ),
    *(
        Metric(
            f"dice_bone_{threshold}",
            f"bone Dice above {threshold} HU",
            "",
            False,
            bone_dice(threshold),
            f"2 |A and B| / (|A| + |B|), A: sCT > {threshold} HU, B: CT > {threshold} HU",
            "Dice 1945",
        )
        for threshold in (150, 200, 250)
    ),
    Metric(
        "dice_head",
        "head Dice",
        "",
        False,
        head_dice,
        "2 |A and B| / (|A| + |B|), A: head found in the sCT, B: head found in the CT",
        "Dice 1945",
        region="where MR and CT are known",
        needs_heads=True,
    ),
    Metric(
        "histogram_distance_hu",
        "histogram distance",
        "HU",
        True,
        histogram_distance,
        "1-Wasserstein: integral |F_sCT - F_CT| dh of the cumulative distributions of HU",
        "Villani 2009",
    ),
    Metric(
        "slice_discontinuity_percent",
        "slice discontinuity",
        "%",
        None,
        slice_discontinuity,
        "jumps between neighbouring slices, sCT over CT, relative to those within slices, less 1",
        _OURS,
    ),
    Metric(
        "wepl_median_mm",
        "median WEPL difference",
        "mm",
        True,
        wepl_median,
        f"median of {_WEPL}",
        "density table: matRad",
        region=_WEPL_REGION,
        needs_heads=True,
    ),
    Metric(
        "wepl_p95_mm",
        "95th percentile of the WEPL difference",
        "mm",
        True,
        wepl_p95,
        f"95th percentile of {_WEPL}",
        "density table: matRad",
        region=_WEPL_REGION,
        needs_heads=True,
    ),
)


def metrics_of(protocol: Protocol) -> tuple[Metric, ...]:
    """The metrics of a protocol, always with those of Wolterink et al. 2017 first, which figures and terminal show.

    Raises:
        DatasetError: there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"'{protocol}' is not a protocol; there are {', '.join(PROTOCOLS)}.")
    metrics = all_metrics()
    if protocol == "all":
        return metrics
    wanted = {"seed", protocol}
    return tuple(metric for metric in metrics if wanted & set(metric.protocols))


def metrics_in(columns: Collection[str]) -> tuple[Metric, ...]:
    """The metrics of these columns, in the order of :func:`all_metrics`."""
    known = METRICS if {metric.column for metric in METRICS}.issuperset(columns) else all_metrics()
    return tuple(metric for metric in known if metric.column in columns)


def all_metrics() -> tuple[Metric, ...]:
    """Ours, then those of other packages that can be used."""
    return (*METRICS, *_from_other_packages()[0])


def unusable_metrics() -> tuple[str, ...]:
    """A sentence for every metric of another package that is left out, and why."""
    return _from_other_packages()[1]


def _from_other_packages() -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    metrics: dict[str, Metric] = {}
    faults = []
    taken = {*OTHER_COLUMNS, *(metric.column for metric in METRICS)}
    for name in plugins.METRICS.names():
        try:
            metric = plugins.METRICS.load(name)
        except DatasetError as fault:
            faults.append(str(fault))
            continue
        if metric.column in taken | metrics.keys():
            faults.append(f"The metric '{name}' is left out: there is a column {metric.column} already.")
        else:
            metrics[metric.column] = metric
    return tuple(metrics.values()), tuple(faults)


def measure(pair: VolumePair, metrics: Sequence[Metric] = METRICS) -> dict[str, float]:
    """The metrics of one sCT, keyed by column in the order of ``metrics``.

    Raises:
        DatasetError: a metric of another package cannot be computed.
    """
    values: dict[str, float] = {}
    for clip_hu in dict.fromkeys(metric.clip_hu for metric in metrics):  # one clipped pair at a time
        clipped = pair if clip_hu is None else pair.clipped(*clip_hu)
        values |= {metric.column: _computed(metric, clipped) for metric in metrics if metric.clip_hu == clip_hu}
    return {metric.column: values[metric.column] for metric in metrics}


def _computed(metric: Metric, pair: VolumePair) -> float:
    if metric in METRICS:
        return metric.compute(pair)
    try:
        return float(metric.compute(pair))
    except Exception as fault:  # whatever code of another package raises
        raise DatasetError(
            f"The metric {metric.column} cannot be computed ({type(fault).__name__}: {fault})."
        ) from fault
