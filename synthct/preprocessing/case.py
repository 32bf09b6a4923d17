"""One case: from its images to cached slices in HU and scanner units, each voxel interpolated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import CaseImages, HeadMasks, head_masks
from synthct.errors import ImageError
from synthct.imaging.coding import AIR_HU, GreyLevels, MrStatistics
from synthct.imaging.field_of_view import scanned_on, with_padding_as
from synthct.imaging.geometry import Grid, resample, resample_mask, slice_grid
from synthct.imaging.intensity import to_int16
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack, one_after_the_other

MAX_INT16 = 32767
MR_STEPS = 4096  # as many as an MR scanner's images usually have
# Rounding to 16 bits keeps the grey levels of the reference method (Wolterink et al. 2017, section 4).
REFERENCE = GreyLevels()


def slices_of_case(
    images: CaseImages,
    plan: PreprocessingPlan,
    masks: HeadMasks | None = None,
    refinement: sitk.Transform | None = None,
) -> SliceStack:
    """The slices of a case, for the cache or for a prediction.

    A pair lies on one grid along the MR's axes, centred on the head in the MR; a CT alone is laid out by the same rule
    from its own head. The head of a pair is the CT's, propagated to the MR; where the CT's field of view ends, the
    MR's. Outside the head there is nothing in either, so that couch, thermoplastic mask and noise are not learnt.

    Args:
        images: of one patient.
        plan: the preprocessing in force.
        masks: the head in the images, where it is known already.
        refinement: of a pair, from points of the MR to points of the CT, see :mod:`synthct.imaging.refinement`.

    MR and CT that are not aligned are laid out each by itself, and the slices of the CT follow those of the MR.

    Raises:
        ImageError: no head was found.
    """
    masks = masks or head_masks(images)
    if images.mr and images.ct is not None and not images.aligned:
        mr_alone = slices_of_case(replace(images, ct=None), plan, HeadMasks(masks.mr, None))
        ct_alone = slices_of_case(replace(images, mr=()), plan, HeadMasks(None, masks.ct))
        return one_after_the_other(mr_alone, ct_alone)
    reference, own_mask = (images.mr[0], masks.mr) if images.mr else (images.ct, masks.ct)
    if reference is None or own_mask is None or not sitk.GetArrayViewFromImage(own_mask).any():
        raise ImageError(
            f"{images.patient}: no head was found in the {'MR' if images.mr else 'CT'}; "
            "check the image, or give a mask of the head."
        )
    grid = slice_grid(
        reference,
        own_mask,
        plane=plan.slice_plane,
        spacing_mm=plan.network_spacing_mm,
        slice_size=plan.slice_size,
    )
    regions = _regions(images, masks, grid, refinement)
    head = (regions & HEAD) > 0
    shown = head & ((regions & MR_KNOWN) > 0)
    coded = [_mr_slices(mr, grid, plan, shown) for mr in images.mr]
    ct_slices = None
    if images.ct is not None:
        ct = with_padding_as(images.ct, images.ct_scanned, AIR_HU)
        shown_ct = head & ((regions & CT_KNOWN) > 0)
        volume = _array(resample(ct, grid, interpolation=plan.interpolation, outside=AIR_HU, transform=refinement))
        ct_slices = np.full(grid.array_shape, OUTSIDE, np.int16)
        ct_slices[shown_ct] = to_int16(volume[shown_ct], REFERENCE.ct_window_hu, REFERENCE.grey_levels)
    return SliceStack(
        patient=images.patient,
        mr=np.stack([slices for slices, _ in coded]) if coded else None,
        ct=ct_slices,
        regions=regions,
        plane=plan.slice_plane,
        mr_steps=tuple(step for _, step in coded),
        mr_statistics=tuple(mr_statistics(mr, masks.the_mr) for mr in images.mr),
        info={"grid": asdict(grid)},
    )


def mr_statistics(mr: sitk.Image, head_mask: sitk.Image) -> MrStatistics:
    """What codings need to know of an MR channel: its intensities inside the head mask, both on one grid."""
    return MrStatistics.of(sitk.GetArrayViewFromImage(mr)[sitk.GetArrayViewFromImage(head_mask) > 0])


def _mr_slices(mr: sitk.Image, grid: Grid, plan: PreprocessingPlan, shown: np.ndarray) -> tuple[np.ndarray, float]:
    """int16 (slices, rows, cols), OUTSIDE where not ``shown``, and the scanner units of one unit of it.

    The unit is a power of two, so that the product with it is exact: the largest that leaves MR_STEPS steps up to the
    99.5th percentile inside the head (more would be noise, which takes room), or the smallest that int16 has room for.
    """
    (window,) = REFERENCE.mr_windows
    intensities = _array(resample(mr, grid, interpolation=plan.interpolation, outside=window.low))[shown]
    magnitudes = np.abs(intensities) if intensities.size else np.zeros(1, np.float32)
    bright, brightest = float(np.percentile(magnitudes, 99.5)), float(magnitudes.max())
    fine, room = (np.log2(max(value, 1e-20)) for value in (bright / MR_STEPS, brightest / MAX_INT16))
    step = 2.0 ** max(np.floor(fine), np.ceil(room))
    slices = np.full(grid.array_shape, OUTSIDE, np.int16)
    slices[shown] = to_int16(intensities, (window.low, window.high), REFERENCE.grey_levels, step)
    return slices, float(step)


def _regions(images: CaseImages, masks: HeadMasks, grid: Grid, refinement: sitk.Transform | None = None) -> np.ndarray:
    """The bits HEAD, MR_KNOWN and CT_KNOWN on the slice grid; uint8 (slices, rows, cols)."""
    head = np.zeros(grid.array_shape, bool)
    regions = np.zeros(grid.array_shape, np.uint8)
    if images.mr:
        head = _array(resample_mask(masks.the_mr, grid)) > 0
        regions[scanned_on(images.mr_scanned, grid)] |= MR_KNOWN
    if images.ct is not None:
        known = scanned_on(images.ct_scanned, grid, refinement)
        head = np.where(known, _array(resample_mask(masks.the_ct, grid, refinement)) > 0, head)
        regions[known] |= CT_KNOWN
    regions[head] |= HEAD
    return regions


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)  # a copy: a view of a temporary image would outlive its memory


def check_channels(mr: Sequence[sitk.Image], n_channels: int, name: str) -> None:
    """Whether an MR given for prediction has the channels that the model was trained with, on one grid.

    Raises:
        ImageError: naming what is missing or differs.
    """
    if len(mr) != n_channels:
        raise ImageError(f"{name} has {len(mr)} MR channel(s) but the model needs {n_channels}.")
    for number, channel in enumerate(mr[1:], start=1):
        if not Grid.of(mr[0]).matches(Grid.of(channel)):
            raise ImageError(f"{name}: channel {number} lies on another grid than channel 0; resample it first.")
