"""The trivial sCTs that a model has to beat, of the training patients' CTs: one HU everywhere, and their average."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

from synthct.errors import PlanError
from synthct.evaluation.average_head import AverageHead, average_head
from synthct.evaluation.compared import Candidate
from synthct.evaluation.score import PatientSet, Row, mae_by_patient
from synthct.evaluation.trained_models import TrainedModel
from synthct.planning.fingerprint import Fingerprint, VolumeFacts
from synthct.planning.plan import Plan
from synthct.preprocessing.cache import cache_folder

log = logging.getLogger("synthct")

# The mean is the constant of the least squared error, so the one to beat by PSNR; the median is the one to beat by MAE.
CONSTANTS = ("mean_ct", "median_ct")
AVERAGE_HEAD = "average_head"
BASELINES = (*CONSTANTS, AVERAGE_HEAD)


def mean_ct_hu(fingerprint: Fingerprint, trained_on: Iterable[str]) -> float | None:
    """Mean HU over all head voxels of the training patients' CTs.

    Of all sCTs that do not look at the MR and are constant inside the head, this one has the least squared error over
    the training patients.

    Args:
        trained_on: the training patients of the fold that held the scored patient out; those without a CT are passed
            over.

    Returns:
        The mean of the patients' mean HU, weighted by the volumes of their heads; None where none of them has a CT.
    """
    cts = _cts(fingerprint, trained_on)
    volume_l = sum(ct.head_volume_l for ct in cts)
    return sum(ct.head_mean * ct.head_volume_l for ct in cts) / volume_l if cts else None


def median_ct_hu(fingerprint: Fingerprint, trained_on: Iterable[str]) -> float | None:
    """Median HU of the training patients' CTs inside the head.

    The constant of the least absolute error over all voxels is their median; the median of the patients' medians, which
    is what the fingerprint allows, is near it.

    Args:
        trained_on: as for :func:`mean_ct_hu`.

    Returns:
        The median of the patients' median HU; None where none of them has a CT.
    """
    medians = [ct.head_percentiles["50"] for ct in _cts(fingerprint, trained_on) if "50" in ct.head_percentiles]
    return median(medians) if medians else None


def add_baselines(
    candidates: Mapping[str, dict[str, Candidate]],
    models: Sequence[TrainedModel],
    patients: PatientSet = "cross_validation",
    preprocessed: Path | None = None,
) -> None:
    """Give every scored patient the baselines of the patients whom the first model that held them out trained on.

    Args:
        candidates: by patient and label; gains the labels :data:`BASELINES` in place.
        patients: the set that they are of.
        preprocessed: the dataset's folder of cached slices; without one there is no average head.
    """
    average_heads: dict[tuple[Path, tuple[str, ...]], AverageHead | None] = {}
    fingerprints: dict[Path, Fingerprint | None] = {}
    for patient, by_label in candidates.items():
        model = next((model for model in models if model.label in by_label), None)
        if model is None:
            continue
        if model.folder not in fingerprints:
            try:
                fingerprints[model.folder] = Fingerprint.load(model.files.fingerprint)
            except PlanError as fault:
                fingerprints[model.folder] = None
                log.warning(f"The trivial baselines {' and '.join(CONSTANTS)} are left out: {fault}")
        held_out = model.predictions(patients)[patient]
        training_set = model.folder, tuple(held_out.trained_on)
        if training_set not in average_heads:
            average_heads[training_set] = _average_head(model, held_out.trained_on, preprocessed)
        if (average := average_heads[training_set]) is not None:
            by_label[AVERAGE_HEAD] = Candidate(average, held_out.fold)
        fingerprint = fingerprints[model.folder]
        if fingerprint is None:
            continue
        for label, constant_hu in zip(CONSTANTS, (mean_ct_hu, median_ct_hu)):
            hu = constant_hu(fingerprint, held_out.trained_on)
            if hu is not None:
                by_label[label] = Candidate(float(hu), held_out.fold)


def useless_models(
    rows: Mapping[str, Sequence[Row]], candidates: Mapping[str, Mapping[str, Candidate]], labels: Sequence[str]
) -> tuple[str, ...]:
    """A sentence for each model whose mean MAE is not below that of every baseline, on their common patients.

    Args:
        rows: the scored patients by label, baselines included.
        candidates: by patient and label, for the HU of the baselines.
        labels: of the trained models.
    """
    sentences = []
    for label in labels:
        own = mae_by_patient(rows.get(label, ()))
        not_beaten: list[tuple[float, float, list[float]]] = []
        for constant_label in CONSTANTS:
            constant = mae_by_patient(rows.get(constant_label, ()))
            common = own.keys() & constant.keys()
            if not common:
                continue
            model_mae, constant_mae = (fmean(mae[patient] for patient in common) for mae in (own, constant))
            if model_mae >= constant_mae:
                scts = [candidates[patient][constant_label].sct for patient in common]
                values_hu = [sct for sct in scts if isinstance(sct, float)]
                not_beaten.append((constant_mae, model_mae, values_hu))
        if not_beaten:
            constant_mae, model_mae, values_hu = min(not_beaten)
            sentences.append(
                f"{label} (MAE {model_mae:.1f} HU) is not better than a constant CT of {_range(values_hu)} HU "
                f"(MAE {constant_mae:.1f} HU): it has learnt nothing useful yet."
            )
            continue
        average = mae_by_patient(rows.get(AVERAGE_HEAD, ()))
        common = own.keys() & average.keys()
        if not common:
            continue
        model_mae, average_mae = (fmean(mae[patient] for patient in common) for mae in (own, average))
        if model_mae >= average_mae:
            sentences.append(
                f"{label} (MAE {model_mae:.1f} HU) is not better than the average head of the training patients "
                f"(MAE {average_mae:.1f} HU), which does not look inside the MR: it has learnt little but where things "
                "lie in a head."
            )
    return tuple(sentences)


def _average_head(model: TrainedModel, trained_on: Sequence[str], preprocessed: Path | None) -> AverageHead | None:
    """Of the slices that the model was trained on; None where they are no longer there."""
    if preprocessed is None:
        return None
    try:
        plan = Plan.load(model.files.plans).configuration(model.configuration).preprocessing
        return average_head(cache_folder(preprocessed, plan), trained_on, plan)
    except PlanError as fault:
        log.warning(f"The trivial baseline {AVERAGE_HEAD} is left out: {fault}")
        return None


def _cts(fingerprint: Fingerprint, patients: Iterable[str]) -> list[VolumeFacts]:
    cts = [fingerprint.cases[patient].ct for patient in patients if patient in fingerprint.cases]
    return [ct for ct in cts if ct is not None and ct.head_volume_l > 0]


def _range(values_hu: Sequence[float]) -> str:
    """Every fold has a constant of its own."""
    low, high = f"{min(values_hu):.0f}", f"{max(values_hu):.0f}"
    return low if low == high else f"{low} to {high}"
