"""Measuring the raw images into the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from synthct import __version__
from synthct.dataset.images import found_heads, head_masks, read_case
from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.errors import DatasetError
from synthct.imaging.geometry import bounding_box, oblique_degrees, orientation_code, reorient
from synthct.imaging.head_mask import volume_litres
from synthct.parallel import IN_THIS_PROCESS, CaseRunner
from synthct.planning.fingerprint import FORMAT_VERSION, HEAD_PERCENTILES, CaseFacts, Fingerprint, VolumeFacts
from synthct.tuples import triple_of


def measure_dataset(
    raw: RawDataset,
    *,
    unchanged: Mapping[str, CaseFacts] | None = None,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Fingerprint:
    """The fingerprint of the training cases; the facts of the ``unchanged`` ones are taken over.

    Args:
        raw: the dataset.
        unchanged: facts of an earlier fingerprint that still hold, by patient.
        runner: how the patients are worked through; bad are those who cannot be measured.

    Raises:
        DatasetError: no head can be found in an image.
    """
    unchanged = unchanged or {}
    arguments = {patient: (case,) for patient, case in raw.training.items() if patient not in unchanged}
    known = {**unchanged, **runner.run(measure_case, arguments, describe="Fingerprint")}
    cases = {patient: known[patient] for patient in raw.training if patient in known}
    return Fingerprint(FORMAT_VERSION, __version__, raw.name, cases)


def unchanged_cases(raw: RawDataset, known: Fingerprint | None) -> dict[str, CaseFacts]:
    """The training cases whose files are still those that ``known`` was measured from."""
    if known is None:
        return {}
    return {
        patient: known.cases[patient]
        for patient, case in raw.training.items()
        if patient in known.cases and known.cases[patient].files_key == case.key()
    }


def measure_case(case: CaseFiles) -> CaseFacts:
    """The facts of one patient.

    Raises:
        DatasetError: no head can be found in an image.
    """
    images = read_case(case)
    masks = head_masks(images)
    heads = found_heads(images, masks)
    return CaseFacts(
        mr=tuple(measure_volume(image, masks.the_mr, str(path), heads.mr) for image, path in zip(images.mr, case.mr)),
        ct=measure_volume(images.ct, masks.the_ct, str(case.ct), heads.ct) if images.ct is not None else None,
        files_key=case.key(),
        aligned=case.aligned,
    )


def measure_volume(image: sitk.Image, head_mask: sitk.Image, name: str, head: sitk.Image | None = None) -> VolumeFacts:
    """The facts of one image.

    Args:
        image: an MR channel, or a CT in HU.
        head_mask: what is trained on, on the same grid; slices have to be as large as it.
        name: of the image in messages.
        head: whose volume and intensities are measured, on the same grid; the head mask by default.

    Raises:
        DatasetError: a mask is empty.
    """
    head = head_mask if head is None else head
    values = sitk.GetArrayViewFromImage(image)
    inside = values[sitk.GetArrayViewFromImage(head) > 0]
    if not sitk.GetArrayViewFromImage(head_mask).any():
        inside = inside[:0]
    if inside.size == 0:
        raise DatasetError(f"{name}: no head was found in it; check the image, or give a mask of the head in masksTr.")
    percentiles = np.percentile(inside, HEAD_PERCENTILES)
    return VolumeFacts(
        size_xyz=image.GetSize(),
        spacing_mm_xyz=_rounded(image.GetSpacing(), 4),
        orientation=orientation_code(image),
        oblique_deg=round(oblique_degrees(image), 1),
        minimum=float(values.min()),
        maximum=float(values.max()),
        head_volume_l=round(volume_litres(head), 3),
        head_size_mm=_head_size_mm(head_mask),
        head_mean=round(float(inside.mean(dtype=np.float64)), 2),
        head_percentiles={f"{p:g}": round(float(value), 2) for p, value in zip(HEAD_PERCENTILES, percentiles)},
    )


def _head_size_mm(head_mask: sitk.Image) -> tuple[float, float, float]:
    mask = reorient(head_mask, "LPS")
    first, end = bounding_box(mask).T
    return _rounded((end - first) * mask.GetSpacing(), 1)


def _rounded(values: Sequence[float], digits: int) -> tuple[float, float, float]:
    return triple_of(round(float(value), digits) for value in values)
