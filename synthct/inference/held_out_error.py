"""How far the sCT of a held-out patient, and a constant CT, are from the CT inside the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import found_heads, head_masks, read_case
from synthct.dataset.raw import CaseFiles
from synthct.imaging.coding import AIR_HU
from synthct.imaging.field_of_view import scanned_on
from synthct.imaging.geometry import Grid, resample, resample_mask
from synthct.imaging.io import read_image
from synthct.qa.usefulness import HeldOutError


def held_out_error(case: CaseFiles, sct: Path, constant_hu: float) -> HeldOutError | None:
    """The error of an sCT and of a constant CT over the same voxels.

    Those are the voxels inside the head that is found in the MR and in the CT, where the CT is known; of a given mask
    the sCT is compared inside it too. Air around the head, which any sCT has right, is not counted, however wide the
    given mask is.

    Args:
        case: of the patient, with the registration of CT to MR where there is one.
        sct: the file of the sCT.
        constant_hu: HU of the constant CT.

    Returns:
        None where the patient has no CT that is aligned with the MR, or the two share no voxel.

    Raises:
        ImageError: naming the file that cannot be read.
    """
    if not case.paired:
        return None
    images, synthetic = read_case(case), read_image(sct)
    masks = head_masks(images)
    heads = found_heads(images, masks)
    grid = Grid.of(synthetic)
    inside = scanned_on(images.ct_scanned, grid)
    for head in (masks.the_mr, heads.the_mr, heads.the_ct):
        inside = inside & (sitk.GetArrayFromImage(resample_mask(head, grid)) > 0)
    if not inside.any():
        return None
    ct_hu = sitk.GetArrayFromImage(resample(images.the_ct, grid, interpolation="linear", outside=AIR_HU))[inside]
    sct_hu = sitk.GetArrayFromImage(synthetic)[inside]
    model_error, constant_error = (np.abs(hu - ct_hu.astype(np.float64)).mean() for hu in (sct_hu, constant_hu))
    return HeldOutError(round(float(model_error), 2), round(float(constant_hu), 2), round(float(constant_error), 2))
