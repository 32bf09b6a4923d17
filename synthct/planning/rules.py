"""The rules of self-configuration: each derives one value from the fingerprint and says by which measurement.

The value of Wolterink et al. 2017, the reference, stands wherever the data allow it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthct.imaging.coding import MrWindow
from synthct.imaging.planes import PLANE_AXES, Plane
from synthct.planning.fingerprint import Fingerprint, VolumeFacts
from synthct.planning.plan import Reason
from synthct.tuples import triple_of

# The geometry of Wolterink et al. 2017, the reference (sections 2 and 4): voxels of 1.00 x 0.87 x 0.87 mm, of which
# 288 pixels are shrunk to 256.
REFERENCE_SPACING_MM = (1.00, 0.87, 0.87)
REFERENCE_SLICE_SCALE = 288 / 256
REFERENCE_SLICE_SIZE = (256, 256)
REFERENCE_PADDED_SIZE = (286, 286)
REFERENCE_FOLDS = 4
REFERENCE_ITERATIONS = 18 * 183  # an epoch of the reference: 18 patients of 183 slices

_PLANES_ACROSS: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
_AXIS_NAMES = ("LR", "AP", "SI")


@dataclass(frozen=True)
class Decision:
    """A value and why it is so."""

    value: Any
    reason: Reason


def slice_plane(fingerprint: Fingerprint) -> Decision:
    """Sagittal, unless the MRs were acquired in thick slices of another plane."""
    spacing = _median_spacing(fingerprint)
    thick = int(np.argmax(spacing))
    others = [value for axis, value in enumerate(spacing) if axis != thick]
    plane: Plane = "sagittal"
    if spacing[thick] > 2.5 and spacing[thick] > 1.5 * max(others):
        plane = _PLANES_ACROSS[thick]
    return Decision(
        plane,
        Reason(
            "sagittal as the reference, unless the median MR is thicker than 2.5 mm and 1.5 x its other axes along one "
            "axis: then the slices are those that were acquired",
            _by_axis(spacing),
        ),
    )


def spacing_mm(fingerprint: Fingerprint, plane: Plane) -> Decision:
    """The reference's spacing (slices, rows, cols), coarser along axes where the median MR is."""
    median = _median_spacing(fingerprint)
    slices, rows, cols = (median[axis] for axis in PLANE_AXES[plane])
    in_plane = max(rows, cols)
    value = tuple(
        reference if measured <= 1.25 * reference else round(measured, 2)
        for reference, measured in zip(REFERENCE_SPACING_MM, (slices, in_plane, in_plane))
    )
    return Decision(
        value,
        Reason(
            "1.00 x 0.87 x 0.87 mm as the reference, unless the median MR is coarser by more than a quarter",
            _by_axis(median),
        ),
    )


def slice_size(in_plane_spacing_mm: float) -> Decision:
    """As many pixels as cover the reference's field of view, a multiple of 4; larger heads get larger slices."""
    field_of_view = REFERENCE_SLICE_SIZE[0] * REFERENCE_SPACING_MM[1]
    size = max(64, 4 * round(field_of_view / in_plane_spacing_mm / 4))
    return Decision(
        (size, size),
        Reason(
            "the reference's field of view, 256 pixels of 0.979 mm; heads that do not fit get larger slices of "
            "the same pixel",
            f"{in_plane_spacing_mm * REFERENCE_SLICE_SCALE:.3f} mm a pixel",
        ),
    )


def mr_window(fingerprint: Fingerprint, channel: int) -> Decision:
    """One window for all where the scanners' units agree, else each case's own percentiles inside the head."""
    tops = {
        patient: case.mr[channel].head_percentiles["99.5"] for patient, case in fingerprint.cases.items() if case.mr
    }
    lows = [case.mr[channel].head_percentiles["0.5"] for case in fingerprint.cases.values() if case.mr]
    values = sorted(tops.values())
    measured = {"p99.5 in the head": {"least": values[0], "median": float(np.median(values)), "greatest": values[-1]}}
    rule = (
        "one window from 0 to the median 99.5th percentile inside the head where these agree within a factor of 1.5; "
        "else 0.5th to 99.5th percentile of each case"
    )
    if values[0] > 0 and values[-1] <= 1.5 * values[0]:
        return Decision(MrWindow("fixed", min(0.0, *lows), _round_up(float(np.median(values)))), Reason(rule, measured))
    return Decision(MrWindow("percentile", 0.5, 99.5), Reason(rule, measured))


def n_blocks(crop: tuple[int, int]) -> Decision:
    """Fewer residual blocks for smaller images, whose far ends fewer blocks connect already."""
    smallest = min(crop)
    return Decision(
        9 if smallest > 128 else 6 if smallest > 96 else 4,
        Reason(
            "9 for crops above 128 pixels (the reference), 6 above 96 (as Zhu et al. 2017 for 128), 4 for smaller ones",
            f"crop {list(crop)}",
        ),
    )


def padded_size(size: tuple[int, ...]) -> tuple[int, int]:
    """The reference's margin for random crops, 286 for 256, in proportion."""
    margin = REFERENCE_PADDED_SIZE[0] / REFERENCE_SLICE_SIZE[0]
    rows, cols = (round(pixels * margin) for pixels in size)
    return rows, cols


def n_folds(fingerprint: Fingerprint) -> Decision:
    """Four folds, fewer where there are fewer pairs to hold out, one (no patient held out) where there are none."""
    pairs = sum(case.paired for case in fingerprint.cases.values())
    return Decision(
        min(REFERENCE_FOLDS, pairs) if pairs >= 2 else 1,
        Reason("4 as the reference's 18 / 6, at most the number of patients with both scans; 1, none held out, below 2",
               f"{pairs} patients with MR and CT of {len(fingerprint.cases)}"),
    )  # fmt: skip


def recommended_trainer(fingerprint: Fingerprint) -> Decision:
    """A U-Net: on pairs where there are any, else on pseudo-pairs."""
    pairs = sum(case.paired for case in fingerprint.cases.values())
    return Decision(
        "unet" if pairs else "unet_unpaired",
        Reason("unet, the most accurate from pairs (documentation/benchmarks.md), where there are any; else "
               "unet_unpaired, which needs none: other patients' CTs, registered to an MR, show it where HU belong",
               f"{pairs} patients with MR and CT of {len(fingerprint.cases)}"),
    )  # fmt: skip


def iterations_per_epoch(fingerprint: Fingerprint, plane: Plane, slice_spacing_mm: float) -> Decision:
    """As many as the larger domain has slices (the reference), bounded so that large datasets do not train longer."""
    axis = PLANE_AXES[plane][0]

    def slices(volumes: list[VolumeFacts]) -> int:
        return sum(math.ceil(volume.head_size_mm[axis] / slice_spacing_mm) for volume in volumes)

    cases = fingerprint.cases.values()
    counts = {
        "mr": slices([case.mr[0] for case in cases if case.mr]),
        "ct": slices([case.ct for case in cases if case.ct is not None]),
    }
    return Decision(
        None if max(counts.values()) <= REFERENCE_ITERATIONS else REFERENCE_ITERATIONS,
        Reason(
            f"null (as many as the larger domain has slices), but at most the reference's {REFERENCE_ITERATIONS}",
            {f"{domain} slices with head": count for domain, count in counts.items()},
        ),
    )


def _median_spacing(fingerprint: Fingerprint) -> tuple[float, float, float]:
    """Median spacing (LR, AP, SI) of the MRs, of the CTs where there is no MR."""
    volumes = [case.mr[0] for case in fingerprint.cases.values() if case.mr]
    volumes = volumes or [case.ct for case in fingerprint.cases.values() if case.ct is not None]
    return triple_of(float(value) for value in np.median([volume.spacing_mm for volume in volumes], axis=0))


def _by_axis(values: tuple[float, float, float]) -> dict[str, float]:
    return {f"median {name} mm": round(value, 3) for name, value in zip(_AXIS_NAMES, values)}


def _round_up(value: float) -> float:
    """Up to two significant digits: 3432 -> 3500."""
    digit = 10 ** (math.floor(math.log10(value)) - 1)
    return float(math.ceil(value / digit) * digit)
