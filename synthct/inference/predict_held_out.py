"""A fold's held-out patients: their sCTs, and what is remembered of them to compare new patients with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from synthct import locks
from synthct.dataset.images import CaseImages, HeadMasks, found_heads, head_masks, read_case
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.dataset.register_dataset import with_registrations
from synthct.dataset.registration_record import REGISTRATIONS
from synthct.errors import ModelError
from synthct.evaluation.baseline import median_ct_hu
from synthct.evenly import evenly_spread
from synthct.files import write_json
from synthct.inference.held_out_error import held_out_error
from synthct.inference.measure_prediction import in_found_head
from synthct.inference.predict_file import QaSettings, check_mrs, predict_file
from synthct.inference.predictor import Predictor
from synthct.model_folder import ModelFolder
from synthct.parallel import CaseRunner, Progress, quiet
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD
from synthct.qa.measure_sct import BONE_ABOVE_HU, HuFacts, Measurements, mean_inside, measure_hu
from synthct.qa.mr_facts import MrFacts, measure_mr
from synthct.qa.qa_reference import PatientRecord, Reference
from synthct.training.checkpoint import load_checkpoint

MAX_SCANS = 24  # training patients whose scans are measured: more say little more about what is usual
ENSEMBLE_EVERY = 4  # slices; the mean SD over a head needs no more
MEASURE_ONLY = QaSettings(write=False)


@dataclass(frozen=True)
class Validation:
    """What a fold did on the patients that it held out.

    Attributes:
        measured: in their MRs and sCTs, by patient; empty for the fold ``all``.
        n_pairs: how many of them have a CT that is aligned, with which the sCT can be compared.
        reference: what new patients are compared with.
    """

    measured: dict[str, Measurements]
    n_pairs: int
    reference: Reference


def validate_fold(
    raw: RawDataset,
    preprocessed: Path,
    model_folder: Path,
    fold: str = "0",
    *,
    device: torch.device | str | None = None,
    progress: Progress = quiet,
) -> Validation:
    """Predict the patients that a trained fold held out, and keep what new patients are compared with.

    Writes ``fold_N/validation``, ``fold_N/validation_qa`` and ``qa_reference.json``, from which an evaluation is made;
    the second half of ``synthct_train``.

    Args:
        raw: the dataset that the model was trained on.
        preprocessed: such as ``synthct_preprocessed/Dataset001_Brain``, where registrations are.
        model_folder: as :func:`synthct.training.train_fold.train_fold` returns it.
        fold: ``0``, ``1``, ... or ``all``.
        device: where to compute; the best there is by default.
        progress: a display like ``tqdm``.

    Raises:
        ModelError: the fold is not trained, or the raw dataset no longer has a patient.
        ImageError: naming the file that cannot be read.
    """
    files = ModelFolder(Path(model_folder)).fold(fold)
    if not files.final.exists():
        raise ModelError(f"{files.path} holds no trained model; train it first, without --val.")
    # Who was held out is what the model itself was trained by, whatever splits_final.json says by now.
    split = load_checkpoint(files.final)["split"]
    write_json(split, files.split)  # which a training killed at its very end did not
    predictor = Predictor.from_model_folder(model_folder, [files.name], device=device)
    raw = with_registrations(raw, Path(preprocessed) / REGISTRATIONS, predictor.plan.register)
    measured = predict_held_out(raw, predictor, tuple(split["val"]), files.validation, progress=progress)
    reference = record_fold(raw, predictor, Path(model_folder), files.name, measured, split["train"], progress=progress)
    return Validation(measured, sum(raw.training[patient].paired for patient in measured), reference)


def predict_held_out(
    raw: RawDataset, predictor: Predictor, patients: tuple[str, ...], output: Path, *, progress: Progress = quiet
) -> dict[str, Measurements]:
    """Write the sCT of each of a fold's held-out patients from the raw MR, exactly as for a new patient.

    The head is found in the MR alone, or is the mask that the user gave. What an earlier model left there is removed.

    Returns:
        What was measured, by patient.

    Raises:
        ModelError: the raw dataset no longer has a patient.
        ImageError: naming an MR that cannot be used; what is there stays as it was.
    """
    missing = sorted(set(patients) - set(raw.training))
    if missing:
        raise ModelError(
            f"{raw.folder} no longer has {', '.join(missing)}, whom this fold holds out; restore the files."
        )
    check_mrs({patient: raw.training[patient] for patient in patients}, runner=CaseRunner(progress=progress))
    _clear(output)
    measured = {}
    for patient in progress(patients, total=len(patients), desc="Held-out patients", unit="case"):
        path = Path(output) / f"{patient}{raw.file_ending}"
        report = predict_file(predictor, raw.training[patient], path, settings=MEASURE_ONLY)
        assert report is not None
        measured[patient] = report.measured
    return measured


def record_fold(
    raw: RawDataset,
    predictor: Predictor,
    model_folder: Path,
    fold: str,
    measured: Mapping[str, Measurements],
    training: Sequence[str],
    *,
    progress: Progress = quiet,
) -> Reference:
    """Extend ``qa_reference.json`` of a model folder by a fold, and write ``fold_N/validation_qa/PATIENT.json``.

    Held-out patients leave what was measured in their scans, in their sCTs and, where other folds are trained, in the
    SD over these folds, and how far their sCTs and a constant CT are from their CTs; of up to ``MAX_SCANS`` training
    patients the scans alone are measured. Each held-out patient is compared with all others.

    Args:
        raw: the training dataset, with its registrations.
        predictor: of this fold.
        model_folder: of the model.
        fold: such as ``"0"`` or ``"all"``.
        measured: of its held-out patients.
        training: the patients that it was trained on.
        progress: a display like ``tqdm``.

    Raises:
        ModelError, ImageError: naming the file that cannot be read.
    """
    known = Reference.load(model_folder) or Reference()
    ensemble = _ensemble(predictor, model_folder)
    there = [patient for patient in training if patient in raw.training]
    chosen = evenly_spread(there, MAX_SCANS)
    scans_of = [patient for patient in chosen if patient not in known.patients]
    constant_hu = median_ct_hu(predictor.fingerprint, training) if predictor.fingerprint else None
    validation = ModelFolder(Path(model_folder)).fold(fold).validation
    records = {}
    for patient in progress([*measured, *scans_of], total=len(measured) + len(scans_of), desc="Quality", unit="case"):
        case = raw.training[patient]
        if patient not in measured:
            records[patient] = PatientRecord(None, *measure_scans(case, predictor), None)
            continue
        # The mask of a patient whose registration failed lies on the MR.
        ct_alone = replace(case, mr=(), mask=case.mask if case.aligned else None)
        ct_facts = measure_scans(ct_alone, predictor)[1] if case.ct else None
        sct = validation / f"{patient}{raw.file_ending}"
        error = held_out_error(case, sct, constant_hu) if constant_hu is not None and sct.is_file() else None
        record = PatientRecord(fold, measured[patient].mr, ct_facts, measured[patient].output, error=error)
        records[patient] = _with_uncertainty(record, ensemble, case) if ensemble else record
    with locks.section(model_folder):  # another fold may have ended, or end just now
        reference = (Reference.load(model_folder) or Reference()).with_fold(fold, records)
        reference.save(model_folder)
    folder = ModelFolder(Path(model_folder)).fold(fold).validation_qa
    _clear(folder)
    for patient, measurements in measured.items():
        predictor.judged(measurements, reference.without(patient)).save(folder / f"{patient}.json", patient)
    return reference


def measure_scans(case: CaseFiles, predictor: Predictor) -> tuple[MrFacts | None, HuFacts | None]:
    """What there is to know of a patient's MR and CT without a network; HU as this model could show them."""
    images = read_case(case)
    heads = found_heads(images, head_masks(images))
    mr = measure_mr(images.mr, heads.the_mr, images.mr_scanned) if images.mr else None
    return mr, _ct_facts(images, heads, predictor) if images.ct is not None else None


def _ct_facts(images: CaseImages, heads: HeadMasks, predictor: Predictor) -> HuFacts | None:
    """HU of the CT's own head, on slices as they are cached."""
    plan = predictor.configuration.preprocessing
    stack = slices_of_case(replace(images, mr=()), plan, HeadMasks(None, heads.ct))
    head = (stack.regions & (HEAD | CT_KNOWN)) == (HEAD | CT_KNOWN)
    return measure_hu(stack.the_ct.astype(np.float32), head, plan, predictor.hu_range) if head.any() else None


def _ensemble(predictor: Predictor, model_folder: Path) -> Predictor | None:
    """All trained folds that hold patients out; None where there is but one."""
    folds = [fold for fold in ModelFolder(Path(model_folder)).trained_folds() if fold != "all"]
    if len(folds) < 2:
        return None
    return Predictor.from_model_folder(model_folder, folds, device=predictor.device, precision=predictor.precision)


def _with_uncertainty(record: PatientRecord, ensemble: Predictor, case: CaseFiles) -> PatientRecord:
    images = read_case(CaseFiles(case.patient, case.mr, None, case.mask))
    masks = head_masks(images)
    stack = slices_of_case(images, ensemble.configuration.preprocessing, masks)
    output = ensemble.synthesize(stack, every=ENSEMBLE_EVERY)
    seen = in_found_head(stack, found_heads(images, masks).the_mr)
    assert output.spread_hu is not None  # there are several folds
    seen &= output.spread_hu > 0  # where slices were left out there is no spread
    bone = seen & (output.sct_hu > BONE_ABOVE_HU)
    return replace(
        record,
        ensemble_folds=ensemble.n_folds,
        uncertainty_head_hu=mean_inside(output.spread_hu, seen),
        uncertainty_bone_hu=mean_inside(output.spread_hu, bone),
    )


def _clear(folder: Path) -> None:
    """Remove what an earlier model left, whose training may have seen the patients held out now."""
    for leftover in Path(folder).glob("*") if Path(folder).is_dir() else ():
        if leftover.is_file():
            leftover.unlink()
