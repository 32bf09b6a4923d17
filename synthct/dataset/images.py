"""The images of one case in memory, and the head in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.dataset.raw import CaseFiles
from synthct.dataset.registration_record import Registration
from synthct.imaging.field_of_view import CT_TISSUE_HU, scanned_region
from synthct.imaging.geometry import Grid, moved_rigidly, resample
from synthct.imaging.head_mask import PLAUSIBLE_VOLUME_L, head_mask_from_ct, head_mask_from_mr, volume_litres
from synthct.imaging.io import read_image
from synthct.imaging.mask_file import read_head_mask

MIN_KEPT = 0.5  # of a found head by a given mask; one that keeps less is of a part of the head, such as the brain
MIN_FILLED = 0.4  # of a given mask by the found head; masks that are dilated by 20 mm are filled to 0.58


@dataclass(frozen=True)
class CaseImages:
    """The images of one patient: MR channels on one grid, CT in HU and a head mask on any grid, or None.

    The CT lies where the MR has it, and the given mask as well. Where they are not ``aligned``, the mask is the MR's.
    It is uint8, 1 inside the head, as :mod:`synthct.imaging.mask_file` reads it.
    """

    patient: str
    mr: tuple[sitk.Image, ...] = ()
    ct: sitk.Image | None = None
    given_mask: sitk.Image | None = None
    aligned: bool = True

    @cached_property
    def mr_scanned(self) -> sitk.Image:
        """Where the MR's scanner has seen: 1, else 0; uint8 on the MR's grid."""
        return scanned_region(self.mr[0])

    @cached_property
    def ct_scanned(self) -> sitk.Image:
        """Where the CT's scanner has seen: 1, else 0; uint8 on the CT's grid."""
        return scanned_region(self.the_ct, tissue=CT_TISSUE_HU)

    @property
    def the_ct(self) -> sitk.Image:
        """``ct`` of a patient who has one."""
        assert self.ct is not None
        return self.ct


@dataclass(frozen=True)
class HeadMasks:
    """Head masks, uint8, each on its image's own grid; None where there is no such image."""

    mr: sitk.Image | None
    ct: sitk.Image | None

    @property
    def the_mr(self) -> sitk.Image:
        """``mr`` where there is an MR."""
        assert self.mr is not None
        return self.mr

    @property
    def the_ct(self) -> sitk.Image:
        """``ct`` where there is a CT."""
        assert self.ct is not None
        return self.ct


def read_case(case: CaseFiles) -> CaseImages:
    """Read the files of a case; a registered CT is moved to where the MR has it.

    Raises:
        ImageError: naming the file.
    """
    return CaseImages(
        case.patient,
        tuple(read_image(path) for path in case.mr),
        read_ct(case.ct, case.registration) if case.ct else None,
        read_head_mask(case.mask)[0] if case.mask else None,
        case.aligned,
    )


def read_ct(path: Path, registration: Registration | None = None) -> sitk.Image:
    """Read a CT, and put it where the MR has it; one whose registration failed stays where it is.

    Raises:
        ImageError: naming the file.
    """
    ct = read_image(path)
    if registration is None or registration.status == "failed":
        return ct
    return moved_rigidly(ct, registration.mr_to_ct().GetInverse())


def head_masks(images: CaseImages) -> HeadMasks:
    """The head in each image, as far as its scanner has seen it.

    A mask that the user gave stands for both where they are aligned.
    """
    mr, ct, given = images.mr[0] if images.mr else None, images.ct, images.given_mask
    own_mr = own_ct = None
    if given is not None:
        own_mr = _on_grid_of(mr, given) if mr is not None else None
        own_ct = _on_grid_of(ct, given) if ct is not None and (images.aligned or mr is None) else None
    if mr is not None and own_mr is None:
        own_mr = head_mask_from_mr(mr)
    if ct is not None and own_ct is None:
        own_ct = head_mask_from_ct(ct, mr_head_mask=own_mr if images.aligned else None)
    return HeadMasks(
        None if mr is None else sitk.Mask(own_mr, images.mr_scanned),
        None if ct is None else sitk.Mask(own_ct, images.ct_scanned),
    )


def found_heads(images: CaseImages, masks: HeadMasks) -> HeadMasks:
    """The heads that are found in the images themselves, for whatever judges the shape or the content of a head.

    A given mask says what is trained, predicted and scored. It may be the head dilated by centimetres, or the brain
    alone, and so neither its shape nor its content can be compared with those of a head that was found. It takes off
    what a found head has outside it, and stands for the head where none can be found.

    Args:
        images: of one patient.
        masks: what :func:`head_masks` gives for them; returned where no mask was given.
    """
    if images.given_mask is None:
        return masks
    found = head_masks(replace(images, given_mask=None))
    if images.mr and images.ct is not None and not images.aligned:  # the given mask is the MR's
        (mr,) = _within((found.the_mr,), (masks.the_mr,))
        return HeadMasks(mr, found.ct)
    there = [name for name in ("mr", "ct") if getattr(masks, name) is not None]
    limited = _within([getattr(found, name) for name in there], [getattr(masks, name) for name in there])
    return replace(HeadMasks(None, None), **dict(zip(there, limited)))


def _within(found: Sequence[sitk.Image], given: Sequence[sitk.Image]) -> tuple[sitk.Image, ...]:
    """The found heads less what lies outside the given mask; all of them, or none, so that they can be compared."""
    cut = [head & mask for head, mask in zip(found, given)]
    n_found, n_given, n_cut = ([_n_voxels(mask) for mask in masks] for masks in (found, given, cut))
    min_l, max_l = PLAUSIBLE_VOLUME_L
    for head, n_head, n_mask, n_both in zip(found, n_found, n_given, n_cut):
        if n_head == 0 or not (min_l <= volume_litres(head) <= max_l or n_both >= MIN_FILLED * n_mask):
            return tuple(given)  # there is no head to be found in this image
    return tuple(cut if all(n >= MIN_KEPT * of for n, of in zip(n_cut, n_found)) else found)


def _n_voxels(mask: sitk.Image) -> int:
    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask)))


def _on_grid_of(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    return resample(mask, Grid.of(image), interpolation="nearest", outside=0)
