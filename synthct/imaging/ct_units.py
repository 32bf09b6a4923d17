"""Whether a CT is in HU: its air near -1000, its soft tissue near 40, and air around it.

Air and soft tissue are the two great peaks of every CT of a head. Where they lie shows what the stored values lack:
both shifted alike, an intercept; another distance between them, a slope. Brain lies at 20 to 45 HU, muscle at 40 to 70,
fat at -120 to -80 (Kalender, Computed Tomography, 3rd ed., 2011, fig. 1.12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from skimage.filters import threshold_otsu

AIR_RANGE_HU = (-1100.0, -900.0)  # air and a scanner's lowest value, -1024; padding that was never HU lies below
MIN_AIR_SHARE = 5e-4  # a CT of a head always shows some air around it
SOFT_TISSUE_HU = (-60.0, 120.0)  # where its peak may lie: noise, contrast agent, the calibration of cone beams
FAT_HU = (-150.0, -60.0)  # the greater peak in a neck with shoulders
DENSER_THAN_FOAM_HU = -700.0  # lungs and head holders lie below
TYPICAL_TISSUE_HU = 38.0  # of brain and muscle
PURE_SHIFT_HU = (950.0, 1110.0)  # from air to soft tissue, where the slope is right
COMMON_SHIFTS = (1000.0, 1024.0)
SHIFT_ROUNDING = 6.0  # HU by which air differs from -1000 between scanners
MIN_AIR_ON_FACES = 0.15
MIN_NEGATIVE_SHARE = 1e-3  # fat, sinuses and rims: what distinguishes a CT with a filled-in background from an MR
MIN_BACKGROUND_SHARE = 0.3  # of the voxels on the volume's faces, which one value takes
MIN_PEAK_SHARE = 1 / 3  # of what is denser than air; half of a CT's, a sixth of an MR's
BACKGROUND_HU = -300.0  # above it a background is a value that was filled in, not air of another scale
MAX_BETWEEN = 0.3  # rims and some lung, relative to what is denser; the intensities of an MR are spread
MAX_BELOW = 2e-3  # of the volume, below air: a CT whose background alone is wrong has fat and air there
AIR_NOISE = 60.0  # values from the peak of air
MAX_HU_AIR = 0.1  # near -1000, relative to the air of a scaled CT; rims alone
MIN_TISSUE_SHARE = 0.05  # of the volume, in the peak of a shifted CT
_MAX_VALUES = 2_000_000  # of which peaks are measured


@dataclass(frozen=True)
class Peaks:
    """The peaks of a CT's histogram, in stored values: of air (or what stands for it) and of soft tissue."""

    air: float
    tissue: float

    @property
    def distance(self) -> float:
        """From air to soft tissue; about 1040 in HU."""
        return self.tissue - self.air

    @property
    def is_shift(self) -> bool:
        """Whether the two lie as far apart as in HU."""
        return PURE_SHIFT_HU[0] <= self.distance <= PURE_SHIFT_HU[1]


def shows_air(image: sitk.Image) -> bool:
    """Whether enough voxels are air in HU; an MR has none."""
    values = sitk.GetArrayViewFromImage(image)
    return float(((values >= AIR_RANGE_HU[0]) & (values <= AIR_RANGE_HU[1])).mean()) >= MIN_AIR_SHARE


def ct_unit_problems(ct: sitk.Image, name: str) -> list[str]:
    """Why a CT (or an sCT) is not in HU, a sentence each, with what was measured and the remedy; none where it is.

    Found are values shifted against HU (by the measured amount), scaled, or in other units, and a background that is
    not air's -1000 HU.

    Args:
        ct: of a head, any size; not constant.
        name: what the sentences begin with, such as its path.
    """
    values = sitk.GetArrayViewFromImage(ct)
    faces = np.concatenate([values.take(end, axis=axis).ravel() for axis in range(3) for end in (0, -1)])
    values = values.ravel()[:: values.size // _MAX_VALUES | 1].astype(np.float64)
    peaks = _peaks(values, faces)
    if peaks is not None and not _are_of_a_ct(values, peaks):
        peaks = None
    applied = "export it with RescaleSlope and RescaleIntercept applied"
    found = f"its air lies near {peaks.air:.4g} and its soft tissue near {peaks.tissue:.4g}" if peaks else ""
    if peaks and peaks.is_shift and not AIR_RANGE_HU[0] <= peaks.air <= AIR_RANGE_HU[1]:
        shift = _shift(values, peaks)
        action = f"{'subtract' if shift > 0 else 'add'} {'' if abs(shift) in COMMON_SHIFTS else 'about '}{abs(shift):g}"
        return [f"{name} is not in HU: {found}; {action} and check the RescaleIntercept, or {applied}."]
    background = _background(faces)
    if _tissue_is_right(values if background is None else values[values != background]):
        negative = (values < min(0.0, background or 0.0) - 30).mean() >= MIN_NEGATIVE_SHARE
        if background is not None and background > BACKGROUND_HU and negative:
            return [
                f"{name} is not in HU outside the patient: its background is {background:g}, where air has -1000; set "
                f"it to -1000, or {applied}."
            ]
        if shows_air(ct) and not (peaks and (_is_scaled_about_0(peaks) or _is_noisy_air_below(values, peaks))):
            return []
    if not peaks:
        around = f", its background {background:g}" if background is not None else ""
        return [
            f"{name} is not in HU: it does not show air near -1000 and soft tissue near 40 (its lowest value is "
            f"{values.min():g}{around}); {applied}."
        ]
    if peaks.is_shift:  # of two values alone
        return []
    return [
        f"{name} is not in HU: {found}, {peaks.distance:.4g} apart and not about 1040, as if HU had been multiplied by "
        f"{peaks.distance / (1000 + TYPICAL_TISSUE_HU):.2g}; {applied}."
    ]


def _background(faces: np.ndarray) -> float | None:
    """The one value that a good part of the volume's faces has; None where there is none, as in noise."""
    kinds, counts = np.unique(faces, return_counts=True)
    return float(kinds[counts.argmax()]) if counts.max() >= MIN_BACKGROUND_SHARE * faces.size else None


def _tissue_is_right(values: np.ndarray) -> bool:
    """Whether what is denser than lungs has its peak where soft tissue, or fat with soft tissue beside it, lies."""
    dense = values[(values > DENSER_THAN_FOAM_HU) & (values < 3000)]
    if dense.size == 0 or np.ptp(values) < 300:
        return False
    peak = _peak(dense, 20.0)
    if SOFT_TISSUE_HU[0] <= peak <= SOFT_TISSUE_HU[1]:
        return True
    beside = ((dense >= 0) & (dense <= 80)).sum()
    return bool(FAT_HU[0] <= peak < FAT_HU[1] and beside >= MIN_PEAK_SHARE * (np.abs(dense - peak) <= 40).sum())


def _is_scaled_about_0(peaks: Peaks) -> bool:
    """Whether air far below -1000 is air of another slope, not padding around a CT in HU: soft tissue has moved too."""
    scaled = TYPICAL_TISSUE_HU * peaks.distance / (1000 + TYPICAL_TISSUE_HU)
    return peaks.air < AIR_RANGE_HU[0] and abs(peaks.tissue - scaled) < abs(peaks.tissue - TYPICAL_TISSUE_HU)


def _is_noisy_air_below(values: np.ndarray, peaks: Peaks) -> bool:
    """Whether air far below -1000 is air of another slope: it has noise, as padding has not, and none is near -1000."""
    near = values[np.abs(values - peaks.air) <= AIR_NOISE]
    in_hu = ((values >= AIR_RANGE_HU[0]) & (values <= AIR_RANGE_HU[1])).sum()
    is_noisy = (near == peaks.air).sum() < 0.5 * near.size
    return bool(peaks.air < AIR_RANGE_HU[0] and is_noisy and in_hu < MAX_HU_AIR * near.size)


def _peaks(values: np.ndarray, faces: np.ndarray) -> Peaks | None:
    """Peaks below and above Otsu's threshold, with and without a lowest value that may be padding."""
    as_stored = _two_peaks(values)
    lowest = values.min()
    is_padded = (values == lowest).mean() >= 0.01
    without = _two_peaks(values[values > lowest]) if is_padded else None
    if without is None or as_stored is None:
        return without or as_stored
    # What is left has air in it if its lower peak lies on the volume's faces, where the neck is but a small part.
    on_faces, stored_on_faces = (
        (np.abs(faces - peaks.air) <= 0.05 * peaks.distance).mean() for peaks in (without, as_stored)
    )
    if on_faces >= MIN_AIR_ON_FACES and (not as_stored.is_shift or without.is_shift and on_faces > stored_on_faces):
        return without
    return as_stored


def _two_peaks(values: np.ndarray) -> Peaks | None:
    if values.size == 0:
        return None
    low, high = np.percentile(values, (0.1, 99.5))
    clipped = np.clip(values, low, high)
    if not high > low:
        return None
    threshold = threshold_otsu(clipped)
    below, above = clipped[clipped <= threshold], clipped[clipped > threshold]
    if not below.size or not above.size:
        return None
    width = (high - low) / 100
    return Peaks(_peak(below, width), _peak(above, width))


def _peak(values: np.ndarray, width: float) -> float:
    """Median of the values in the fullest window of about ``width``."""
    low = values.min()
    index = np.floor((values - low) / (width / 2)).astype(np.int64)
    counts = np.bincount(index)
    fullest = np.convolve(counts, (0.5, 1, 0.5), "same").argmax()
    return float(np.median(values[np.abs(index - fullest) <= 1]))


def _are_of_a_ct(values: np.ndarray, peaks: Peaks) -> bool:
    """Whether soft tissue is a peak, little lies between it and air, and only padding below air; not so in an MR."""
    relative = (values - peaks.air) / peaks.distance
    dense = relative > 0.75
    in_peak = np.abs(relative - 1) <= 0.1
    between = (relative > 0.3) & (relative <= 0.75)
    below = (relative < -0.15) & (values > values.min())
    return bool(
        in_peak.mean() >= MIN_TISSUE_SHARE
        and in_peak.sum() >= MIN_PEAK_SHARE * dense.sum()
        and between.sum() <= MAX_BETWEEN * dense.sum()
        and below.mean() <= MAX_BELOW
    )


def _shift(values: np.ndarray, peaks: Peaks) -> float:
    """What is to be subtracted, from the peak of air; air without noise may be -1024, not -1000."""
    shift = peaks.air + 1000
    if (values == peaks.air).sum() > 0.5 * (np.abs(values - peaks.air) <= 20).sum():
        shift = min((shift, shift + 24), key=lambda candidate: abs(peaks.tissue - candidate - TYPICAL_TISSUE_HU))
    common = min(COMMON_SHIFTS, key=lambda candidate: abs(abs(shift) - candidate))
    return math.copysign(common, shift) if abs(abs(shift) - common) <= SHIFT_ROUNDING else float(round(shift))
