"""A model file without the case ids of its training dataset."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from synthct.errors import ModelError
from synthct.exchange.model_file import ModelFile
from synthct.exchange.results import Rows
from synthct.planning.splits import Split

KEPT_OF_DATASET = ("channel_names", "file_ending")  # what synthct reads; the rest of dataset.json is its author's


def is_anonymous(file: ModelFile) -> bool:
    """Whether case ids are those of :func:`anonymise`, as of a model that came without its own."""
    return all(re.fullmatch(r"CASE_[0-9]+", patient) for patient in file.patients)


def anonymise(file: ModelFile) -> ModelFile:
    """The same with CASE_001, ... in place of the case ids, in random order, and only what is read of the dataset.

    Raises:
        ModelError: a case id occurs in a text all the same.
    """
    order = sorted(file.patients)
    secrets.SystemRandom().shuffle(order)
    width = max(3, len(str(len(order))))
    new = {patient: f"CASE_{number:0{width}d}" for number, patient in enumerate(order, 1)}

    def table(by_patient: Mapping[str, Any]) -> dict[str, Any]:
        return dict(sorted((new[patient], value) for patient, value in by_patient.items()))

    def rows(old: Rows) -> Rows:
        return tuple(sorted((row | {"patient": new[row["patient"]]} for row in old), key=lambda row: row["patient"]))

    def side(patients: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(new[patient] for patient in patients))

    # files_key is a hash of file names, which can be guessed
    cases = {patient: replace(case, files_key="") for patient, case in file.fingerprint.cases.items()}
    reference, results = file.model.reference, file.results
    renamed = replace(
        file,
        model=replace(file.model, reference=reference and replace(reference, patients=table(reference.patients))),
        fingerprint=replace(file.fingerprint, cases=table(cases)),
        dataset={key: file.dataset[key] for key in KEPT_OF_DATASET if key in file.dataset},
        results=results and replace(results, held_out=rows(results.held_out), test=rows(results.test)),
        splits={fold: Split(side(split.train), side(split.val)) for fold, split in file.splits.items()},
    )
    for name, value in renamed.texts().items():
        text = "\n".join(_texts(value))
        for patient in set(order) - set(new.values()):
            if len(patient) > 3 and re.search(rf"(?<!\w){re.escape(patient)}(?!\w)", text):
                raise ModelError(f"{name} still names the patient '{patient}' in a text; take the name out of it.")
    return renamed


def _texts(value: Any) -> Iterator[str]:
    """Every key and every text in what JSON can hold."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(item)
