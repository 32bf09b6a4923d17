"""The images of one case in memory, and the head in them."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk

from synthct.dataset.raw import CaseFiles
from synthct.imaging.geometry import Grid, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import read_image


@dataclass(frozen=True)
class CaseImages:
    """The images of one patient: MR channels on one grid, CT in HU and a head mask on any grid, or None."""

    patient: str
    mr: tuple[sitk.Image, ...] = ()
    ct: sitk.Image | None = None
    given_mask: sitk.Image | None = None


@dataclass(frozen=True)
class HeadMasks:
    """Head masks, uint8, each on its image's own grid; None where there is no such image."""

    mr: sitk.Image | None
    ct: sitk.Image | None


def read_case(case: CaseFiles) -> CaseImages:
    """Read the files of a case.

    Raises:
        ImageError: naming the file.
    """
    return CaseImages(
        case.patient,
        tuple(read_image(path) for path in case.mr),
        read_image(case.ct) if case.ct else None,
        read_image(case.mask) if case.mask else None,
    )


def head_masks(images: CaseImages) -> HeadMasks:
    """The head in each image; a mask that the user gave stands for both."""
    if images.given_mask is not None:
        given = sitk.Cast(images.given_mask != 0, sitk.sitkUInt8)
        on_grid = [
            resample(given, Grid.of(image), interpolation="nearest", outside=0) if image is not None else None
            for image in (images.mr[0] if images.mr else None, images.ct)
        ]
        return HeadMasks(*on_grid)
    mr = head_mask_from_mr(images.mr[0]) if images.mr else None
    ct = head_mask_from_ct(images.ct, mr_head_mask=mr) if images.ct is not None else None
    return HeadMasks(mr, ct)
