"""Register the CT of each patient to the patient's MR, once; the cases then carry their :class:`Registration`.

``read_case`` gives the CT of a registered case where the MR has it: its origin and direction are moved and no voxel is
touched, so that each is interpolated once, by whatever samples it next.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from synthct.dataset.images import found_heads, head_masks, read_case
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.dataset.registration_record import (
    FORMAT_VERSION,
    RegisterMode,
    Registration,
    RegistrationRecord,
    RigidMode,
    Status,
    load_transform,
    rigid_mode,
)
from synthct.errors import DatasetError
from synthct.imaging.alignment import alignment_of, largest_motion_mm
from synthct.imaging.registration import HeadPair, refine_registration, register_ct_to_mr
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

ALIGNED_MM = 1.5  # a registration that moves no corner of the head further says that the pair was aligned before

logger = logging.getLogger("synthct")


def register_dataset(
    raw: RawDataset,
    folder: Path,
    mode: RegisterMode,
    *,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> RawDataset:
    """Register every patient who has both scans; what was done before and is unchanged is not done again.

    Args:
        raw: the dataset; the patients of its test set are registered, too.
        folder: where the registrations are kept.
        mode: ``off`` takes MR and CT unregistered; ``auto`` leaves those alone that lie on each other already, as
            ``refine`` does, which makes the same rigid registrations.
        runner: how the patients are worked through; bad are those who cannot be registered at all.

    Returns:
        The dataset whose cases carry their registrations, without bad patients. A warning names every patient whose
        registration failed: the scans are used, but not as a pair.

    Raises:
        ImageError, DatasetError: an image, or a transform that the user put there, cannot be used.
    """
    known = with_registrations(raw, folder, mode)
    rigid = rigid_mode(mode)
    todo = {
        case.patient: (case, Path(folder), rigid)
        for case in (*known.training.values(), *known.test.values())
        if rigid != "off" and case.mr and case.ct is not None and case.registration is None
    }
    runner.run(register_case, todo, describe="Registering")
    return with_registrations(raw.without(runner.left_out), folder, mode)


def with_registrations(raw: RawDataset, folder: Path, mode: RegisterMode) -> RawDataset:
    """The dataset whose cases carry the registrations that ``folder`` keeps, made in this mode from these files."""
    rigid = rigid_mode(mode)
    if rigid == "off":
        return raw

    def attached(cases: Mapping[str, CaseFiles]) -> dict[str, CaseFiles]:
        return {name: replace(case, registration=_kept(case, Path(folder), rigid)) for name, case in cases.items()}

    return replace(raw, training=attached(raw.training), test=attached(raw.test))


def register_case(case: CaseFiles, folder: Path, mode: RigidMode) -> None:
    """Register one patient and keep ``PATIENT.tfm`` and ``PATIENT.json`` in ``folder``.

    Where the user has put a transform of their own there, it is taken, and judged all the same.
    """
    images = read_case(replace(case, registration=None))
    apart = replace(images, aligned=False)
    masks = head_masks(apart)
    heads = found_heads(apart, masks)  # a given mask may be far wider than the head that is found in the CT
    for mask, path in ((heads.the_mr, case.mr[0]), (heads.the_ct, case.ct)):
        if not sitk.GetArrayViewFromImage(mask).any():
            raise DatasetError(f"{path}: no head was found in it; check the image, or give a mask of the head.")
    cut = images.given_mask is not None and not sitk.GetArrayFromImage(heads.the_mr & (masks.the_mr == 0)).any()
    pair = HeadPair(images.mr[0], heads.the_mr, images.the_ct, heads.the_ct, within=masks.mr if cut else None)
    path = folder / f"{case.patient}.json"
    transform, status = _given(path) or _found(pair, mode)
    alignment = alignment_of(pair, transform)
    problems_found = alignment.problems_found()
    if problems_found and status != "given":
        status = "failed"
    registration = Registration.of(transform, status, alignment, problems_found)
    RegistrationRecord(FORMAT_VERSION, mode, case.files_key(), registration).save(path)


def _found(pair: HeadPair, mode: RigidMode) -> tuple[sitk.Transform, Status]:
    as_scanned = sitk.Euler3DTransform()
    if mode == "auto" and not alignment_of(pair, as_scanned).problems_found():
        nearby = refine_registration(pair, as_scanned)
        if largest_motion_mm(nearby, pair.mr_mask) <= ALIGNED_MM:
            return as_scanned, "aligned"
    return register_ct_to_mr(pair), "registered"


def _kept(case: CaseFiles, folder: Path, mode: RigidMode) -> Registration | None:
    """None where there is none yet, or it was made in another mode or from other files, or its .tfm is another now."""
    path = folder / f"{case.patient}.json"
    if not path.is_file() or case.ct is None or not case.mr:
        return None
    try:
        record = RegistrationRecord.load(path)
    except DatasetError as fault:
        logger.warning(f"{fault} {case.patient} is registered anew.")
        return None
    if (record.mode, record.files_key) != (mode, case.files_key()):
        return None
    transform_path = path.with_suffix(".tfm")
    if record.registration.status == "failed":
        return None if transform_path.is_file() else record.registration
    is_there = transform_path.is_file() and record.registration.moves_as(load_transform(transform_path))
    return record.registration if is_there else None


def _given(path: Path) -> tuple[sitk.Transform, Status] | None:
    """The transform beside ``PATIENT.json`` where it is not ours; ours is never there after a failure."""
    transform_path = path.with_suffix(".tfm")
    if not transform_path.is_file():
        return None
    transform = load_transform(transform_path)
    try:
        ours = RegistrationRecord.load(path).registration
    except DatasetError:
        return transform, "given"
    is_ours = ours.status in ("registered", "aligned") and ours.moves_as(transform)
    return None if is_ours else (transform, "given")
