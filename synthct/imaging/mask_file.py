"""Reading a head mask that a user gives: what its values mean, and which images are not masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.errors import ImageError
from synthct.imaging.geometry import image_like
from synthct.imaging.io import read_image

PROBABILITY_RANGE = (-0.5, 1.5)  # splines overshoot a mask of 0 and 1 by up to 0.3
MAX_LABELS = 255  # TotalSegmentator has 117
GREY_LEVELS = 8  # more values than this with the most voxels at the highest: a mask of 0 and 255 that was interpolated


def read_head_mask(path: Path) -> tuple[sitk.Image, str | None]:
    """Read the file of a head mask; see :func:`head_mask_of`.

    Raises:
        ImageError: the file cannot be read, or is not a mask.
    """
    return head_mask_of(read_image(path), str(path))


def head_mask_of(image: sitk.Image, name: str) -> tuple[sitk.Image, str | None]:
    """A head mask and what the user should know of its values.

    Inside the head are: the one value of a mask of two values; every label of a label map; of probabilities (a
    mask that was interpolated is read as one) what is 0.5 or more.

    Args:
        image: as the user gives it.
        name: what the sentences begin with, such as its path.

    Returns:
        uint8 image, 1 inside the head, which may be empty; and a sentence where the values are not those of a mask.

    Raises:
        ImageError: its values are neither a mask's, a label map's nor probabilities.
    """
    inside, note = _inside(sitk.GetArrayViewFromImage(image), name)
    return image_like(image, inside.astype(np.uint8)), note


def _inside(values: np.ndarray, name: str) -> tuple[np.ndarray, str | None]:
    kinds, counts = np.unique(values, return_counts=True)
    low, high = float(kinds[0]), float(kinds[-1])
    remedy = "give a mask of 0 outside and 1 inside the head"
    if low >= 0 and kinds[kinds > 0].size <= 1:
        return values > 0, None
    if np.array_equal(kinds, np.round(kinds)):
        if low < 0 or high > MAX_LABELS:
            raise ImageError(f"{name} is not a mask: its values go from {low:g} to {high:g}, as in a scan; {remedy}.")
        head_counts = counts[kinds > 0]
        if head_counts.size > GREY_LEVELS and head_counts[-1] > 0.5 * head_counts.sum():
            half = high / 2
            return values >= half, f"{name} holds grey levels of 0 to {high:g}; what is {half:g} or more is the head."
        labels = ", ".join(f"{kind:g}" for kind in kinds[kinds > 0][:5]) + (" ..." if head_counts.size > 5 else "")
        return values > 0, f"{name} holds labels ({labels}), not 0 and 1; all of them are taken as the head."
    if not (PROBABILITY_RANGE[0] <= low and high <= PROBABILITY_RANGE[1]):
        raise ImageError(
            f"{name} is not a mask: its values go from {low:.4g} to {high:.4g} and are not whole numbers; {remedy}, "
            "resampled by nearest neighbour."
        )
    return values >= 0.5, f"{name} holds values between 0 and 1; what is 0.5 or more is taken as the head."
