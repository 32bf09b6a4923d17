"""The QA status of a prediction: every check, the reasons in words, and what could not be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthct.imaging.coding import MrWindow
from synthct.planning.fingerprint import Fingerprint
from synthct.qa.check import SEVERITY, Check, QaStatus
from synthct.qa.input_checks import (
    absolute_checks,
    fingerprint_checks,
    reference_checks,
)
from synthct.qa.measure_sct import Measurements
from synthct.qa.output_checks import certainty_checks, hu_checks
from synthct.qa.qa_reference import Reference
from synthct.qa.shape_checks import flag_reasons, orientation_checks
from synthct.qa.usefulness import useless_reason


@dataclass(frozen=True)
class Judgement:
    """What is thought of a prediction.

    Attributes:
        status: the worst of all checks; a doubtful head mask counts as ``check``, and so does a model that is not
            clearly better than a constant CT on its held-out patients.
        reasons: a sentence for each check that is not ``pass``, the worst first.
        checks: all that were made.
        notes: what was not judged, and why.
    """

    status: QaStatus
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]


def judge(
    measured: Measurements,
    windows: Sequence[MrWindow],
    fingerprint: Fingerprint | None = None,
    reference: Reference | None = None,
) -> Judgement:
    """Hold measurements against the training patients'.

    Args:
        measured: of the patient in question, who is not among the reference.
        windows: the plan's, one an MR channel.
        fingerprint: of the training dataset; without it only what holds for every head is checked.
        reference: of the model folder, with what the model did on this patient where held out; without
            it neither shape, contrast, noise nor the sCT is judged.
    """
    mr, output = measured.mr, measured.output
    records = list(reference.patients.values()) if reference else []
    known = [record.mr for record in records if record.mr is not None]
    checks = fingerprint_checks(mr, windows, fingerprint) if fingerprint else []
    if not checks:
        checks = absolute_checks(mr, windows)
    if known:
        checks += reference_checks(mr, known)
        checks += orientation_checks(mr, known)
    if output is not None:
        checks += hu_checks(output, records) + certainty_checks(output, records)
    flags = flag_reasons(mr, known)
    bad = sorted((check for check in checks if check.status != "pass"), key=lambda check: -SEVERITY[check.status])
    failing = [check.sentence for check in bad if check.status == "fail"]
    doubtful = [check.sentence for check in bad if check.status == "check"]
    useless = useless_reason(reference.errors) if reference is not None and output is not None else None
    model_reasons = [useless] if useless else []
    status: QaStatus = "fail" if failing else "check" if doubtful or flags or model_reasons else "pass"
    notes = _notes(measured, bool(fingerprint), reference, {check.name for check in checks})
    return Judgement(status, (*failing, *model_reasons, *flags, *doubtful), tuple(checks), notes)


def _notes(
    measured: Measurements, has_fingerprint: bool, reference: Reference | None, made: set[str]
) -> tuple[str, ...]:
    notes = []
    if not has_fingerprint:
        notes.append("The model has no dataset_fingerprint.json: geometry and intensities were not compared.")
    if reference is not None and "orientation_margin" not in made:
        notes.append(
            "How the head lies, front to back and head to foot, was not judged: its side view or the others' differ."
        )
    if reference is None:
        notes.append(
            "The model folder has no qa_reference.json: orientation, contrast, noise and the sCT were not judged. "
            "synthct_train ... --val writes it."
        )
    elif not any(record.output for record in reference.patients.values()):
        notes.append("No fold of the model held a patient out: the sCT was compared with CTs of the training alone.")
    output = measured.output
    if output is not None and reference is not None and not reference.errors:
        notes.append(
            "Whether the model is better than a constant CT was not judged: no error of a held-out patient with an "
            "aligned CT is in qa_reference.json; synthct_train ... --val measures it where a fold holds one out."
        )
    if output is not None and output.uncertainty_head_hu is None:
        notes.append("There is no uncertainty: it is the SD over folds, and one fold predicted alone.")
    elif output is not None and reference and "uncertainty_head_hu" not in made:
        notes.append("The uncertainty was measured but not judged: no held-out patient was predicted by several folds.")
    if output is not None and output.cycle_error_head is None:
        notes.append("There is no cycle error: the model has no way back to MR, or it was not asked for.")
    return tuple(notes)
