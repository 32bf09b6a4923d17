"""The dataset as models saw it in their training: with the registrations that its preprocessing kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthct.dataset.raw import RawDataset
from synthct.dataset.register_dataset import with_registrations
from synthct.dataset.registration_record import REGISTRATIONS
from synthct.errors import DatasetError
from synthct.evaluation.trained_models import TrainedModel
from synthct.planning.plan import Plan


def as_registered(
    raw: RawDataset, models: Sequence[TrainedModel], preprocessed_folder: Path | None
) -> tuple[RawDataset, tuple[str, ...]]:
    """The dataset with the registrations of its preprocessing, and a warning for every patient that lacks a valid one.

    Raises:
        DatasetError: a model was trained on registered pairs, and the registrations are not there.
    """
    plan_path = None if preprocessed_folder is None else Path(preprocessed_folder) / "plans.json"
    if plan_path is None or not plan_path.is_file():
        registered = [model.folder for model in models if Plan.load(model.files.plans).register != "off"]
        if registered:
            raise DatasetError(
                f"{registered[0]} was trained on registered pairs, and {plan_path or 'synthct_preprocessed'} is "
                "missing; preprocess the dataset again, or set synthct_preprocessed to where it is."
            )
        return raw, ()
    mode = Plan.load(plan_path).register
    raw = with_registrations(raw, plan_path.parent / REGISTRATIONS, mode)
    warnings = []
    for patient, case in (*raw.training.items(), *raw.test.items()):
        if not case.aligned:
            warnings.append(f"{patient} is left out: the registration of the CT to the MR failed.")
        elif mode != "off" and case.paired and case.registration is None:
            warnings.append(
                f"{patient}: the files have changed since the CT was registered, and are taken as unregistered; "
                "run synthct_plan_and_preprocess again."
            )
    return raw, tuple(warnings)
