"""The images of one series split into volumes: stacks of parallel slices with one image a position."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from synthct.imaging.dicom.copies import SAME_PLACE_MM, without_copies
from synthct.imaging.dicom.headers import TRAITS, ImageHeader, SeriesKey
from synthct.imaging.dicom.persons import contradictions
from synthct.imaging.dicom.series import DicomSeries
from synthct.tuples import pair_of

logger = logging.getLogger(__name__)
SAME_POSITION_MM = SAME_PLACE_MM  # images closer than this along the normal lie at one position
SAME_DIRECTION = 1e-3  # largest difference of the orientation's components within a stack: 0.06 degrees
FEWEST_SLICES = 10  # of a volume that shows a head
PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MAX_IP", "MIN_IP", "SCREEN SAVE"}
NO_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}


def volumes_of(key: SeriesKey, images: Sequence[ImageHeader]) -> list[DicomSeries]:
    """The volumes of one series. Identical copies of images at one place are left out, and counted in the log.

    Args:
        key: of the series.
        images: all images of the series, in any order.
    """
    stacks = [_without_copies(stack) for stack in stacks_of(images)]
    parts = [(split, part) for stack in stacks for split, part in _separated(stack, "")]
    parts.sort(key=lambda part: min((image.slice.instance, image.slice.frame) for image in part[1]))
    several = len(parts) > 1
    return [
        _volume(key, part, number if several else 0, split or (f"stack {number}" if several else ""), len(stacks))
        for number, (split, part) in enumerate(parts, start=1)
    ]


def stacks_of(images: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """Images of one pixel grid and orientation."""
    stacks: list[list[ImageHeader]] = []
    for image in images:
        for stack in stacks:
            if _in_one_stack(image, stack[0]):
                stack.append(image)
                break
        else:
            stacks.append([image])
    return stacks


def _without_copies(stack: list[ImageHeader]) -> list[ImageHeader]:
    shared = _at_one_position(stack)
    copies = {id(image) for image in without_copies(shared)} if shared else set()
    if copies:
        logger.info("%s: %d identical copies of slices are left out.", stack[0].name, len(copies))
    return [image for image in stack if id(image) not in copies]


def _in_one_stack(first: ImageHeader, second: ImageHeader) -> bool:
    if (first.plane, first.orientation) == (second.plane, second.orientation):
        return True
    same_plane = np.allclose(first.plane, second.plane, rtol=1e-4, atol=0)
    return same_plane and np.allclose(first.orientation, second.orientation, rtol=0, atol=SAME_DIRECTION)


def _separated(stack: list[ImageHeader], split: str) -> list[tuple[str, list[ImageHeader]]]:
    """Volumes with one image a position, each with what distinguishes it; still one where nothing does."""
    shared = _at_one_position(stack)
    if not shared:
        return [(split, stack)]
    for trait, words in enumerate(TRAITS.values()):
        # Acquisition numbers and image types may change from slice to slice: only what differs at a position counts.
        if not any(len({image.traits[trait] for image in images}) > 1 for images in shared):
            continue
        groups: dict[str, list[ImageHeader]] = {}
        if words == "trigger time":  # each slice has times of its own; which one of its slice's times it is counts
            groups = _by_rank(stack, trait)
        else:
            for image in stack:
                groups.setdefault(image.traits[trait], []).append(image)
        parts = []
        for value, group in groups.items():
            parts += _separated(group, f"{split}, {words} {value}".removeprefix(", "))
        return parts
    return [(split, stack)]


def _at_one_position(stack: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """The images of each position that has more than one."""
    return [images for images in _by_position(stack) if len(images) > 1]


def _by_position(stack: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    positions: list[list[ImageHeader]] = []
    depth_before = -np.inf
    for depth, image in sorted(((_depth(image), image) for image in stack), key=lambda pair: pair[0]):
        if depth - depth_before > SAME_POSITION_MM:
            positions.append([])
            depth_before = depth
        positions[-1].append(image)
    return positions


def _depth(image: ImageHeader) -> float:
    a, b, c, d, e, f = image.orientation
    x, y, z = image.slice.position_mm
    return (b * f - c * e) * x + (c * d - a * f) * y + (a * e - b * d) * z


def _by_rank(stack: Sequence[ImageHeader], trait: int) -> dict[str, list[ImageHeader]]:
    groups: dict[str, list[ImageHeader]] = {}
    for images in _by_position(stack):
        for rank, image in enumerate(sorted(images, key=lambda header: float(header.traits[trait] or 0)), start=1):
            groups.setdefault(str(rank), []).append(image)
    return groups


def _volume(key: SeriesKey, part: list[ImageHeader], number: int, split: str, n_stacks: int) -> DicomSeries:
    part = sorted(part, key=_depth)
    first = part[0]
    patient_id, study_uid, series_uid, modality = key
    rows, columns, *spacing = first.plane
    lows, highs = zip(*(image.stored_range for image in part))
    return DicomSeries(
        patient_id=patient_id,
        study_uid=study_uid,
        series_uid=series_uid,
        modality=modality,
        description=first.description,
        number=first.number,
        part=number,
        split=split,
        frame_of_reference_uid=first.frame_of_reference_uid,
        image_type=first.image_type,
        rows=int(rows),
        columns=int(columns),
        pixel_spacing_mm=pair_of(spacing),
        orientation=first.orientation,
        slices=tuple(image.slice for image in part),
        stored_range=(min(lows), max(highs)),
        unfit=_flaw(part, n_stacks),
        person=first.person,
    )


def _flaw(part: Sequence[ImageHeader], n_stacks: int) -> str:
    """Why a volume is not one to train on; empty for a proper one."""
    kinds = {kind for image in part for kind in image.image_type}
    if "LOCALIZER" in kinds:
        return "localizer"
    if kinds & PROJECTIONS:
        return "projection or screenshot"
    if part[0].series[3] == "MR" and kinds & NO_MAGNITUDE:
        return "not a magnitude image"
    if len(part) < FEWEST_SLICES:
        return f"{len(part)} slice{'s' * (len(part) > 1)} only" + (", of several orientations" * (n_stacks > 1))
    if _at_one_position(part):
        return "several images at a position that their headers do not tell apart"
    if contrary := contradictions(image.person for image in part):
        return f"images of several persons: they differ in {' and '.join(contrary)}"
    return ""
