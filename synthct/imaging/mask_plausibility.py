"""Whether a head mask can be a head's: what a physicist should look at before trusting it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import bounding_box, reorient
from synthct.imaging.morphology import dilated, eroded, large_components, piece_shapes

PLAUSIBLE_VOLUME_L = (2.0, 7.5)  # an adult or child's head with some or much neck
COARSE_MM = 3.0  # voxels in which shapes are judged
HEAD_HEIGHT_MM = 160.0  # below the vertex: what is cut or lopsided further down may be neck and shoulders
CUT_AREA_CM2 = 6.0  # of the head at a border; less is the tip of the nose or an ear
CUT_VERTEX_CM2 = 25.0  # at the upper border: 4 mm of the vertex; a thermoplastic mask on it is 3 mm thick
PIECE_ML = 10.0  # the least that counts as a piece
MIRROR_DICE = 0.90  # heads reach 0.96
PLATE_MM = (14.0, 90.0, 25.0)  # thinner, longer and wider than this: a couch, a board or the wall of a holder
BORDERS = (("right", "left"), ("front", "back"), (None, "upper"))  # along LPS; the lower border cuts every neck


def volume_litres(mask: sitk.Image) -> float:
    """Volume of a mask in litres."""
    voxels = int(sitk.GetArrayViewFromImage(mask).astype(bool).sum())
    return voxels * float(np.prod(mask.GetSpacing())) * 1e-6


def mask_flags(mask: sitk.Image) -> tuple[str, ...]:
    """What makes a head mask doubtful, each a clause that can follow "BRAIN_001, MR: "; none of a good mask.

    Looked for: implausible volume, several pieces, a head cut by the image's borders (other than the neck, at the lower
    one), plates that stick out, and a head whose halves differ.

    Args:
        mask: non-zero inside the head.
    """
    volume, (min_l, max_l) = volume_litres(mask), PLAUSIBLE_VOLUME_L
    if volume == 0:
        return ("no head was found",)
    flags = []
    if not min_l <= volume <= max_l:
        flags.append(f"the head has {volume:.1f} l, and heads have {min_l:g} to {max_l:g} l")
    coarse = _coarse(mask)
    pieces = len(piece_shapes(coarse, PIECE_ML))
    if pieces > 1:
        flags.append(f"the head is in {pieces} pieces")
    borders = _cut_borders(coarse)
    if borders:
        plural = "s" if len(borders) > 1 else ""
        names = " and ".join(filter(None, (", ".join(borders[:-1]), borders[-1])))
        flags.append(f"the head is cut by the {names} border{plural} of the image: what lies outside is unknown")
    plate = _longest_plate_mm(coarse)
    if plate:
        flags.append(f"a plate {plate / 10:.0f} cm long sticks out of the head, such as a couch or a head holder")
    likeness = _mirror_dice(coarse)
    if likeness < MIRROR_DICE and not {"left", "right"} & set(borders):
        flags.append(
            f"the head's left and right halves differ (Dice {likeness:.2f}): some is missing or does not belong"
        )
    return tuple(flags)


def mask_agreement(mr_mask: sitk.Image, ct_mask: sitk.Image, known: sitk.Image) -> float:
    """Dice of two masks on one grid, 0..1, where ``known`` is not 0: inside both fields of view. 0 of empty masks."""
    inside = sitk.GetArrayViewFromImage(known) > 0
    mr, ct = (sitk.GetArrayViewFromImage(mask)[inside] > 0 for mask in (mr_mask, ct_mask))
    return 2.0 * float((mr & ct).sum()) / max(1.0, float(mr.sum() + ct.sum()))


def _coarse(mask: sitk.Image) -> sitk.Image:
    """The mask along LPS in voxels of about 3 mm, so that all that follows takes a tenth of a second."""
    binary = reorient(sitk.Cast(mask != 0, sitk.sitkUInt8), "LPS")
    return binary[tuple(slice(None, None, max(1, round(COARSE_MM / s))) for s in binary.GetSpacing())]


def _upper_part(mask: sitk.Image) -> sitk.Image:
    """The head without the neck: so many mm below its top."""
    low, top = bounding_box(mask)[2]
    start = max(low, top - round(HEAD_HEIGHT_MM / mask.GetSpacing()[2]))
    return mask[:, :, int(start) :]


def _cut_borders(mask: sitk.Image) -> list[str]:
    """The borders of the image that the head touches over more than a tip."""
    head = sitk.GetArrayFromImage(_upper_part(mask)).astype(bool)  # a view would outlive its image
    spacing = mask.GetSpacing()
    cut = []
    for axis, names in enumerate(BORDERS):
        pixel_cm2 = np.prod(spacing) / spacing[axis] / 100.0
        for name, place in zip(names, (0, -1)):
            min_cm2 = CUT_VERTEX_CM2 if name == "upper" else CUT_AREA_CM2
            if name and head.take(place, axis=2 - axis).sum() * pixel_cm2 > min_cm2:
                cut.append(name)
    return cut


def _longest_plate_mm(mask: sitk.Image) -> float:
    """Length of the longest thin, wide piece that an opening takes off; 0 where there is none."""
    thickness, length, width = PLATE_MM
    solid = dilated(large_components(eroded(mask, thickness / 2), 0.1), thickness / 2 + 2.0 * max(mask.GetSpacing()))
    plates = [extent for _, extent in piece_shapes(mask & (solid == 0), PIECE_ML) if extent[1] > width]
    return max((extent[2] for extent in plates if extent[2] > length), default=0.0)


def _mirror_dice(mask: sitk.Image) -> float:
    """Dice of the head with its mirror image about the sagittal plane in which it is best balanced."""
    upper = _upper_part(mask)
    head = sitk.GetArrayViewFromImage(upper).astype(bool)
    columns = head.sum(axis=(0, 1))
    middle = float((columns * np.arange(columns.size)).sum() / columns.sum())
    best = 0.0
    for twice in range(round(2 * middle) - 3, round(2 * middle) + 4):  # mirrored, x goes to twice - x
        mirrored = np.zeros_like(head)
        x = np.arange(max(0, twice - head.shape[2] + 1), min(head.shape[2], twice + 1))
        mirrored[:, :, x] = head[:, :, twice - x]
        best = max(best, 2.0 * float((head & mirrored).sum()) / float(head.sum() + mirrored.sum()))
    return best
