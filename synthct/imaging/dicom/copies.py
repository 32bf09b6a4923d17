"""Images that a series holds more than once, and images whose SOPInstanceUIDs do not tell them apart."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.imaging.dicom.decoding import decode
from synthct.imaging.dicom.headers import ImageHeader

logger = logging.getLogger(__name__)
SAME_PLACE_MM = 0.01  # images closer than this lie at one place


def without_second_files(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """The images of a series, each once: of files with one SOPInstanceUID (0008,0018) the first.

    Where images at different places share a SOPInstanceUID, as some anonymisers leave them, it says nothing: then all
    images stay, which is logged.
    """
    places: dict[tuple[str, int], set[tuple]] = {}
    for image in images:
        place = (image.slice.position_mm, image.orientation, image.plane, image.traits)
        places.setdefault((image.sop_uid, image.slice.frame), set()).add(place)
    shared = [uid for (uid, _), at in places.items() if uid and len(at) > 1]
    if shared:
        logger.warning(
            "%s: images at different places share a SOPInstanceUID (0008,0018), which should be one an image; all %d "
            "images are used, by their ImagePositionPatient.", images[0].name, len(images)
        )  # fmt: skip
        return list(images)
    once: dict[tuple[str, int], ImageHeader] = {}
    for image in images:
        once.setdefault((image.sop_uid or str(image.slice.path), image.slice.frame), image)
    return list(once.values())


def without_copies(at_one_position: Sequence[Sequence[ImageHeader]]) -> list[ImageHeader]:
    """The copies among images that lie at one place and that their headers do not tell apart: those with equal voxels.

    Voxels are read of such images alone, and only as far as none of them differ.

    Args:
        at_one_position: the images of each position of a stack that has more than one.

    Returns:
        All copies but the first of each image, in the order of the files' paths.
    """
    copies: list[ImageHeader] = []
    ambiguous: set[tuple[str, ...]] = set()  # traits of volumes that are refused anyway: other images differ
    keys = _VoxelKeys()
    for images in at_one_position:
        for alike in _alike(images):
            if len(alike) < 2 or alike[0].traits in ambiguous:
                continue
            kept = {keys.of(image): image for image in reversed(alike)}
            if len(kept) > 1:
                ambiguous.add(alike[0].traits)
            copies += [image for image in alike if image not in kept.values()]
    return [image for image in copies if image.traits not in ambiguous]


def _alike(images: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """Images of one place with equal traits, in the order of their paths."""
    groups: list[list[ImageHeader]] = []
    for image in sorted(images, key=lambda header: (str(header.slice.path), header.slice.frame)):
        for group in groups:
            apart = np.subtract(group[0].slice.position_mm, image.slice.position_mm)
            if group[0].traits == image.traits and np.abs(apart).max() <= SAME_PLACE_MM:
                group.append(image)
                break
        else:
            groups.append([image])
    return groups


class _VoxelKeys:
    """Digests of images' values (HU or scanner units); of a multi-frame file all at once, since GDCM decodes all."""

    def __init__(self) -> None:
        self.digests: dict[Path, list[str]] = {}

    def of(self, image: ImageHeader) -> str:
        path = image.slice.path
        if path not in self.digests:
            self.digests[path] = self._decode(path)
        digests = self.digests[path]
        return digests[image.slice.frame] if image.slice.frame < len(digests) else f"damaged {path} {image.slice.frame}"

    @staticmethod
    def _decode(path: Path) -> list[str]:
        before = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's warnings name files
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pydicom, which hold values of the file
                volume = sitk.GetArrayFromImage(decode(path)).astype(np.float64)
        except Exception:  # whatever a damaged file leads to; reading the series will show
            return []
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(before)
        return [hashlib.sha256(np.ascontiguousarray(plane).data).hexdigest() for plane in volume]
