"""One case: from its images to network-ready slices, each voxel interpolated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import CaseImages, HeadMasks, head_masks
from synthct.errors import ImageError
from synthct.imaging.field_of_view import scanned_on, with_padding_as
from synthct.imaging.geometry import Grid, resample, resample_mask, slice_grid
from synthct.imaging.intensity import to_grey_levels
from synthct.planning.plan import MrWindow, PreprocessingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack

AIR_HU = -1000.0


def slices_of_case(images: CaseImages, plan: PreprocessingPlan, masks: HeadMasks | None = None) -> SliceStack:
    """Network-ready slices of a case.

    A pair lies on one grid along the MR's axes, centred on the head in the MR; a CT alone is laid out by the same rule
    from its own head. The head of a pair is the CT's, propagated to the MR; where the CT's field of view ends, the
    MR's. Outside the head both are black (grey level 0), so that couch, thermoplastic mask and noise are not learnt.

    Args:
        images: of one patient.
        plan: the preprocessing in force.
        masks: the head in the images, where it is known already.

    MR and CT that are not aligned are laid out each by itself, and the slices of the CT follow those of the MR.

    Raises:
        ImageError: no head was found.
    """
    masks = masks or head_masks(images)
    if images.mr and images.ct is not None and not images.aligned:
        mr_alone = slices_of_case(replace(images, ct=None), plan, HeadMasks(masks.mr, None))
        ct_alone = slices_of_case(replace(images, mr=()), plan, HeadMasks(None, masks.ct))
        return _one_after_the_other(mr_alone, ct_alone, plan.slice_plane)
    reference, own_mask = (images.mr[0], masks.mr) if images.mr else (images.ct, masks.ct)
    if reference is None or not sitk.GetArrayViewFromImage(own_mask).any():
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
    regions = _regions(images, masks, grid)
    head = (regions & HEAD) > 0
    windows = tuple(window_in_force(mr, masks.mr, window) for mr, window in zip(images.mr, plan.mr_windows))
    mr_slices = [
        _grey_slices(mr, grid, window, plan, head & ((regions & MR_KNOWN) > 0))
        for mr, window in zip(images.mr, windows)
    ]
    ct_slices = None
    if images.ct is not None:
        ct = with_padding_as(images.ct, images.ct_scanned, AIR_HU)
        ct_slices = _grey_slices(ct, grid, plan.ct_window_hu, plan, head & ((regions & CT_KNOWN) > 0))
    return SliceStack(
        patient=images.patient,
        mr=np.stack(mr_slices) if mr_slices else None,
        ct=ct_slices,
        regions=regions,
        info={"grid": asdict(grid), "mr_windows": windows, "ct_window_hu": plan.ct_window_hu},
    )


def window_in_force(mr: sitk.Image, head_mask: sitk.Image, window: MrWindow) -> tuple[float, float]:
    """The intensities (scanner units) that a planned window means for this MR."""
    if window.kind == "fixed":
        return window.low, window.high
    inside = sitk.GetArrayViewFromImage(mr)[sitk.GetArrayViewFromImage(head_mask) > 0]
    low, high = np.percentile(inside, (window.low, window.high))
    return float(low), float(max(high, low + 1e-6))


def _regions(images: CaseImages, masks: HeadMasks, grid: Grid) -> np.ndarray:
    """The bits HEAD, MR_KNOWN and CT_KNOWN on the slice grid; uint8 (slices, rows, cols)."""
    head = np.zeros(grid.array_shape, bool)
    regions = np.zeros(grid.array_shape, np.uint8)
    if images.mr:
        head = _array(resample_mask(masks.mr, grid)) > 0
        regions[scanned_on(images.mr_scanned, grid)] |= MR_KNOWN
    if images.ct is not None:
        known = scanned_on(images.ct_scanned, grid)
        head = np.where(known, _array(resample_mask(masks.ct, grid)) > 0, head)
        regions[known] |= CT_KNOWN
    regions[head] |= HEAD
    return regions


def _grey_slices(
    image: sitk.Image, grid: Grid, window: tuple[float, float], plan: PreprocessingPlan, visible: np.ndarray
) -> np.ndarray:
    """uint8 grey levels (slices, rows, cols), 0 where not ``visible``."""
    volume = resample(image, grid, interpolation=plan.interpolation, outside=window[0])
    grey = to_grey_levels(_array(volume), window, plan.grey_levels)
    grey[~visible] = 0
    return grey


def _one_after_the_other(mr_alone: SliceStack, ct_alone: SliceStack, plane: str) -> SliceStack:
    """One stack of a patient whose MR and CT are not aligned; info is the MR's."""
    n_mr, n_ct = len(mr_alone.regions), len(ct_alone.regions)
    size = np.maximum(mr_alone.regions.shape[1:], ct_alone.regions.shape[1:])

    def fitted(image: np.ndarray, before: int, after: int) -> np.ndarray:
        """(..., slices, rows, cols) with black slices before and after, and every slice grown to the common size."""
        rows, cols = size - image.shape[-2:]
        # The top of the head stays where it is; the first rows of sagittal and coronal slices are the uppermost.
        above = rows // 2 if plane == "axial" else 0
        margins = ((before, after), (above, rows - above), (cols // 2, cols - cols // 2))
        return np.pad(image, ((0, 0),) * (image.ndim - 3) + margins)

    return replace(
        mr_alone,
        mr=fitted(mr_alone.mr, 0, n_ct),
        ct=fitted(ct_alone.ct, n_mr, 0),
        regions=fitted(mr_alone.regions, 0, n_ct) | fitted(ct_alone.regions, n_mr, 0),
    )


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
