"""Exports in which every slice has a SeriesInstanceUID of its own: put together where they make one regular stack."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from synthct.imaging.dicom.headers import ImageHeader, SeriesKey
from synthct.imaging.dicom.series import DicomSeries
from synthct.imaging.dicom.volumes import FEWEST_SLICES, SAME_POSITION_MM, stacks_of

logger = logging.getLogger(__name__)
REGULAR_MM = 0.1  # slices of one stack lie this near to even steps along a line


def join_series(found: Mapping[SeriesKey, Sequence[ImageHeader]]) -> dict[SeriesKey, list[ImageHeader]]:
    """Series of one image each become one series, where nothing but the SeriesInstanceUID (0020,000E) tells them apart.

    They have one patient, study, Modality, SeriesDescription, frame of reference, image type, pixel grid and
    orientation, and their positions are at least 10 even steps along a line. The new series has the least of their
    UIDs. What does not fit stays as it is.
    """
    joined = {key: list(images) for key, images in found.items()}
    groups: dict[tuple, dict[SeriesKey, ImageHeader]] = {}
    for key, images in found.items():
        if len(images) == 1:
            (image,) = images
            alike = (*key[:2], key[3], image.description, image.frame_of_reference_uid, image.image_type)
            groups.setdefault(alike, {})[key] = image
    for group in groups.values():
        keys = {id(image): key for key, image in group.items()}
        for stack in stacks_of(list(group.values())):
            for whole in _regular(stack):
                members = [keys[id(image)] for image in whole]
                for key in members:
                    del joined[key]
                patient, study, _, modality = members[0]
                joined[patient, study, min(key[2] for key in members), modality] = whole
                logger.info(
                    "%s: %d images with a SeriesInstanceUID (0020,000E) of their own make one regular stack and are "
                    "taken for one series.", whole[0].name, len(whole)
                )  # fmt: skip
    return joined


def not_joined(series: Sequence[DicomSeries]) -> str:
    """What is wrong with series of one image each that :func:`join_series` left; empty where there are no such ones."""
    for alike in alone(series):
        positions = np.array([volume.slices[0].position_mm for volume in alike])
        if len(np.unique(np.round(positions / SAME_POSITION_MM), axis=0)) >= FEWEST_SLICES:
            described = f" '{alike[0].description}'" if alike[0].description else ""
            return (
                f"{len(alike)} {alike[0].modality} images{described} have a SeriesInstanceUID (0020,000E) each, and do "
                "not make one regular stack of one study and frame of reference that they could be taken for; export "
                "them again as one series."
            )
    return ""


def alone(series: Sequence[DicomSeries]) -> list[list[DicomSeries]]:
    """Series of one image, of one modality and description each list; lists shorter than a volume are left out."""
    groups: dict[tuple[str, str], list[DicomSeries]] = {}
    for volume in series:
        if len(volume.slices) == 1 and not volume.part and volume.unfit == "1 slice only":
            groups.setdefault((volume.modality, volume.description), []).append(volume)
    return [group for group in groups.values() if len(group) >= FEWEST_SLICES]


def _regular(stack: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """The regular stacks that these images make: by SeriesNumber where each number has one, else all together."""
    by_number: dict[int, list[ImageHeader]] = {}
    for image in stack:
        by_number.setdefault(image.number, []).append(image)
    if all(map(_is_regular, by_number.values())):
        return list(by_number.values())
    return [list(stack)] if _is_regular(stack) else []


def _is_regular(stack: Sequence[ImageHeader]) -> bool:
    if len(stack) < FEWEST_SLICES:
        return False
    positions = np.array([image.slice.position_mm for image in stack])
    row, column = np.reshape(stack[0].orientation, (2, 3))
    positions = positions[np.argsort(positions @ np.cross(row, column))]
    step = (positions[-1] - positions[0]) / (len(stack) - 1)
    even = positions[0] + np.arange(len(stack))[:, None] * step
    return bool(np.abs(positions - even).max() <= REGULAR_MM and abs(step @ np.cross(row, column)) > 2 * REGULAR_MM)
