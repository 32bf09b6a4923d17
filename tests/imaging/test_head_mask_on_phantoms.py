"""Head masks of phantoms that carry what real scans carry, against their truth, in coarse voxels.

The whole table is made by ``python -m benchmarks.head_masks``; the bars are the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import dice

from synthct.imaging.geometry import bounding_box, reorient
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, mask_flags
from synthct.phantom import (
    FLAIR,
    PROTON_DENSITY,
    T1_INVERSION,
    T1_SEED,
    T2,
    PhantomPatient,
    make_phantom_patient,
)

SCANS = {
    "pressed mask, fillings": {"contrast": T1_INVERSION, "mask_lift_mm": 0.0, "fillings": 4},
    "head holder, strong bias": {
        "contrast": T2,
        "head_holder": True,
        "thermoplastic_mask": False,
        "bias_strength": 0.35,
    },
    "FLAIR": {"contrast": FLAIR},
    "proton density": {"contrast": PROTON_DENSITY, "bias_strength": 0.35},
    "T1, strong bias": {"contrast": T1_SEED, "bias_strength": 0.35},
}
CT_BAR, MR_BAR = 0.98, 0.96


@cache
def patient(name: str) -> PhantomPatient:
    return make_phantom_patient(1, voxel_scale=3.0, **SCANS[name])


@pytest.mark.parametrize("name", list(SCANS))
def test_an_mr_of_any_contrast_and_bias_gives_the_head(name):
    mask = head_mask_from_mr(patient(name).mr)
    assert dice(mask, patient(name).mr_head_mask) >= MR_BAR
    assert mask_flags(mask) == ()


@pytest.mark.parametrize("name", ["pressed mask, fillings", "head holder, strong bias"])
def test_a_ct_gives_the_head_whatever_holds_it_and_whatever_the_metal(name):
    mask = head_mask_from_ct(patient(name).ct)
    assert dice(mask, patient(name).ct_head_mask) >= CT_BAR
    assert mask_flags(mask) == ()


CUTS = {
    "right and left": np.s_[30:-30, :, :],
    "front": np.s_[:, 25:, :],
    "upper": np.s_[:, :, :-25],
}  # mm of the head's bounding box along LPS


@pytest.mark.parametrize("modality", ["mr", "ct"])
@pytest.mark.parametrize("border", list(CUTS))
def test_a_tight_field_of_view_spoils_nothing_inside_it_and_is_flagged(modality, border):
    scans = patient("FLAIR")
    image, truth = (reorient(getattr(scans, name), "LPS") for name in (modality, f"{modality}_head_mask"))
    box = bounding_box(truth)
    start, stop = np.zeros(3, int), np.array(image.GetSize())
    for axis, cut in enumerate(CUTS[border]):
        if cut.start:
            start[axis] = box[axis, 0] + round(cut.start / image.GetSpacing()[axis])
        if cut.stop:
            stop[axis] = box[axis, 1] + round(cut.stop / image.GetSpacing()[axis])
    image, truth = (sitk.RegionOfInterest(v, (stop - start).tolist(), start.tolist()) for v in (image, truth))
    mask = (head_mask_from_mr if modality == "mr" else head_mask_from_ct)(image)
    assert dice(mask, truth) >= (MR_BAR if modality == "mr" else CT_BAR)
    assert any(f"cut by the {border} border" in flag for flag in mask_flags(mask))


def test_an_mr_that_lost_its_signal_in_the_mouth_takes_no_face_from_the_ct():
    scans = patient("FLAIR")
    lost = sitk.GetArrayFromImage(scans.mr_head_mask)
    where = scans.mr.TransformPhysicalPointToIndex(scans.landmarks_mm["menton"])[::-1]
    lost[tuple(slice(max(i - 15, 0), i + 15) for i in where)] = 0
    mr_mask = sitk.GetImageFromArray(lost)
    mr_mask.CopyInformation(scans.mr_head_mask)
    assert dice(head_mask_from_ct(scans.ct, mr_head_mask=mr_mask), scans.ct_head_mask) >= CT_BAR


def test_blank_borders_of_a_resampled_mr_are_not_head():
    scans = patient("T1, strong bias")
    mask = head_mask_from_mr(sitk.ConstantPad(scans.mr, [60, 40, 5], [10, 60, 15], 0))
    truth = sitk.ConstantPad(scans.mr_head_mask, [60, 40, 5], [10, 60, 15], 0)
    assert dice(mask, truth) >= MR_BAR


def test_blank_slices_inside_the_field_of_view_spoil_nothing_around_them():
    scans = patient("T1, strong bias")
    values = sitk.GetArrayFromImage(scans.mr)
    values[:6], values[:, :, :8] = 0, 0  # below all noise
    mr = sitk.GetImageFromArray(values)
    mr.CopyInformation(scans.mr)
    seen = values > 0
    mask, truth = (sitk.GetArrayFromImage(image) > 0 for image in (head_mask_from_mr(mr), scans.mr_head_mask))
    assert 2 * (mask & truth & seen).sum() / ((mask & seen).sum() + (truth & seen).sum()) >= MR_BAR
    assert (mask & ~truth & ~seen).sum() < 0.01 * truth.sum()
