"""What a model is not good for, as far as its plan, its patients and its results tell; sentences for the model card."""

from __future__ import annotations

from synthct.exchange.file_format import Manifest
from synthct.exchange.model_texts import ModelTexts
from synthct.exchange.results import figure
from synthct.inference.read_model import Model
from synthct.planning.plan import voxel_mm
from synthct.qa.usefulness import HARDLY_BETTER

FEW_PATIENTS = 20  # the seed had 24


def limits_of(texts: ModelTexts, manifest: Manifest, model: Model) -> tuple[str, ...]:
    """A sentence or two a limit, the most important first."""
    return (
        *_of_patients(texts),
        *_of_images(model),
        *_of_results(texts, manifest),
        *_of_model(texts, manifest, model),
    )


def _of_patients(texts: ModelTexts) -> list[str]:
    n, channels = len(texts.fingerprint.cases), ", ".join(texts.plan.channel_names)
    return [
        f"Trained on {n} patients of one dataset{', which is few' * (n < FEW_PATIENTS)}. It is not known how it "
        "does on other scanners, field strengths and hospitals before it is tried there on patients with a CT.",
        f"Takes MRs of the same kind alone: {channels}. Scanner, field strength, contrast agent, sequence parameters, "
        "and age, sex and disease of the patients are not recorded by synthct; ask whoever exported it.",
    ]


def _of_images(model: Model) -> list[str]:
    (low, high), plane = model.hu_range, model.configuration.input.plane
    pixel = " x ".join(f"{mm:.2g}" for mm in voxel_mm(model.configuration.preprocessing, plane))
    patches = " in 3-D patches" if model.method.dimensions == 3 else ""
    air = f"air cavities read {low:g} HU and not -1000, " if low > -1000 else ""
    return [
        "HU mean what they meant on the training patients' CT scanners, whose tube voltage is not recorded either.",
        f"HU lie within {low:g} to {high:g}: {air}metal and dense teeth at most {high:g}.",
        f"The network works on {plane} slices{patches} with pixels of {pixel} mm: finer detail is not in the sCT.",
        "Head alone; outside it -1000 HU: no couch, no mask, no head rest. Quality assurance does not recognise metal, "
        "tumours or missing bone; look at each sCT.",
    ]


def _of_results(texts: ModelTexts, manifest: Manifest) -> list[str]:
    results = texts.results
    if results is None:
        return []
    limits = []
    constant = [row["mae_hu_mean"] for row in results.baselines if isinstance(row.get("mae_hu_mean"), float)]
    own = figure(results.held_out, "mae_hu")
    if own and constant and own.mean > HARDLY_BETTER * min(constant):
        limits.append(
            f"Its MAE of {own.mean:.1f} HU is hardly better than the {min(constant):.1f} HU of a CT of one HU "
            "everywhere; it has learnt little."
        )
    limits += ["The results are of patients of the same dataset, not of another hospital. No dose was calculated."]
    if len(results.held_out) + len(results.test) < FEW_PATIENTS:
        limits.append("Few patients were scored: intervals are rough, and a rare failure would hardly be among them.")
    if len(manifest.folds) > 1 and not results.test:
        limits.append(
            "The results are of single folds; how all folds together do, which a new patient gets, was not scored."
        )
    return limits


def _of_model(texts: ModelTexts, manifest: Manifest, model: Model) -> list[str]:
    limits = []
    if not model.method.needs_pairs:
        limits.append(
            "Trained on unpaired slices: no reference ties the sCT's anatomy to the MR's, so that it can look "
            "right and lie elsewhere."
        )
    if texts.plan.register == "off":
        limits.append("CTs were not registered to MRs by synthct; pairs are as well aligned as the dataset had them.")
    if texts.reference is None:
        limits.append("Without qa_reference.json, quality assurance holds new patients against the fingerprint alone.")
    if len(manifest.folds) == 1:
        limits.append("One fold: there is no uncertainty over folds.")
    if manifest.anonymous:
        limits.append(
            "Case ids were replaced: that a patient of yours was among the training patients cannot be noticed."
        )
    return limits
