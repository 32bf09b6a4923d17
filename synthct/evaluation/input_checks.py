"""Checks of two folders that a user has scored: CTs in HU, in one place, of one patient, over the whole head.

A synthetic CT that is merely poor must be scored. So it is refused only where its voxels follow the reference closely
and their units or place are wrong; where that cannot be distinguished from a poor one, it is scored with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.errors import DatasetError
from synthct.evaluation.hu_scale import AIR_BELOW_HU, measure_scale
from synthct.files import sha256_of
from synthct.imaging.coding import AIR_HU
from synthct.imaging.ct_units import ct_unit_problems
from synthct.imaging.geometry import Grid, known_region, orientation_code, resample
from synthct.imaging.head_mask_ct import TISSUE_HU
from synthct.imaging.planes import body_axes

MIN_SCORED_PERCENT = 95.0
CLOSE = 0.8  # correlation from which an sCT is taken to show what its reference shows
CLEARLY_CLOSER = 0.1  # of correlations, by which another place or direction explains the sCT better
NETWORK_RANGE = 1.05  # an image within [-1.05, 1.05] is not in HU, however poor
FAR_MM = 10.0  # between the centres of the tissue in two images of one patient
MAX_AIR_ERROR_HU = 150.0  # of an sCT in the reference's air
CUT_OFF_HU = -300.0  # windows of CT begin below
MIN_OVERLAP = 0.6  # Dice of the tissue where a header without a place is believed
MIN_PADDED_SHARE = 0.05  # of the head


def check_reference(ct: sitk.Image, path: Path) -> None:
    """Check that a reference is a CT in HU.

    Raises:
        DatasetError: naming the file, with the measured offset where there is one.
    """
    values = sitk.GetArrayViewFromImage(ct)
    if values.min() == values.max():
        raise DatasetError(f"{path} is empty: every voxel is {values.flat[0]:g}; export the reference CT again.")
    if problems := ct_unit_problems(ct, str(path)):
        raise DatasetError(problems[0])


def check_sct(sct: sitk.Image, path: Path, ct: sitk.Image, ct_path: Path) -> list[str]:
    """What is doubtful of an sCT, a sentence each.

    Args:
        sct: float32.
        ct: its reference, in HU.

    Raises:
        DatasetError: the sCT is certainly not in HU, or it has the reference's voxels in another place or direction.
    """
    values = sitk.GetArrayViewFromImage(sct)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return [f"{path} is constant: every voxel is {low:g} HU; it is scored as it is."]
    if low >= -NETWORK_RANGE and high <= NETWORK_RANGE:
        units = "[-1, 1]" if low < 0 else "[0, 1]"
        raise DatasetError(
            f"{path} is not in HU: its values lie between {low:.3g} and {high:.3g}, as a network puts out in {units}; "
            "convert them to HU with the window that the network was trained with."
        )
    _check_place(sct, path, ct, ct_path)
    on_sct = sitk.GetArrayFromImage(resample(ct, Grid.of(sct), outside=AIR_HU))
    known = sitk.GetArrayFromImage(known_region(ct, Grid.of(sct))) > 0
    if not known.any():
        return []  # they do not overlap, which the scoring refuses
    if known.mean() > 0.999 and np.array_equal(np.round(on_sct), np.round(values)):
        return [f"{path} equals its reference {ct_path}; check that the reference was not copied in place of the sCT."]
    both = _Known(values[known], on_sct[known])
    warnings = _unit_warnings(ct_unit_problems(sct, str(path)), both, path, ct_path)
    if both.is_air_right:
        _check_header(sct, values, on_sct, ct, path)
    for axis, name in _axes_to_flip(sct):
        flipped = _correlation(np.flip(values, axis)[known], on_sct[known])
        if flipped >= CLOSE and flipped - both.likeness >= CLEARLY_CLOSER:
            raise DatasetError(
                f"{path} is flipped {name}: mirrored, it agrees far better with {ct_path}; write it with the direction "
                "of its MR."
            )
    if warnings:
        return warnings
    return [*_distance_warning(values, on_sct, known, sct, path, ct_path), *_padding_warning(values, on_sct, path)]


def coverage_warning(patient: str, percent: float) -> list[str]:
    """A sentence where less than 95 % of the reference's head was scored."""
    if not percent < MIN_SCORED_PERCENT:
        return []
    return [
        f"{patient}: only {percent:.0f} % of the head in the reference CT is scored; the sCT or the mask does not "
        "cover the rest, and the numbers cannot be compared with those of whole heads."
    ]


def one_file_twice(paths: Sequence[Path]) -> list[str]:
    """A sentence for every sCT whose file equals that of an earlier patient."""
    first: dict[str, Path] = {}
    warnings = []
    for path in paths:
        digest = sha256_of(path)
        if digest in first:
            warnings.append(f"{path} and {first[digest]} are one image under two names; check which patient it is of.")
        first.setdefault(digest, path)
    return warnings


class _Known:
    """An sCT and its reference in the voxels where the reference is known."""

    def __init__(self, values: np.ndarray, reference_hu: np.ndarray) -> None:
        self.values, self.reference_hu = values, reference_hu
        self.likeness = _correlation(values, reference_hu)
        air = values[reference_hu < AIR_BELOW_HU]
        self.air_hu = float(np.median(air)) if air.size else AIR_HU
        self.is_air_right = abs(self.air_hu + 1000) <= MAX_AIR_ERROR_HU


def _unit_warnings(problems: Sequence[str], both: _Known, path: Path, ct_path: Path) -> list[str]:
    """A sentence where the units are doubtful; ``problems`` are those of the sCT alone.

    Raises:
        DatasetError: they are certainly not HU.
    """
    air_hu = both.air_hu
    is_certain = both.likeness >= CLOSE and not both.is_air_right
    scale = measure_scale(both.values, both.reference_hu) if is_certain else None
    if scale and scale.is_wrong:
        raise DatasetError(
            f"{path} is not in HU: against {ct_path}, its values are {scale.slope:.3g} x HU {scale.offset:+.0f}; "
            "export it with RescaleSlope and RescaleIntercept applied, or turn it back into HU by this line."
        )
    if scale and scale.explanation and air_hu <= CUT_OFF_HU:
        return [
            f"{path} has {air_hu:.0f} where the reference has air (-1000 HU), as if {scale.explanation}, or all of it "
            f"been multiplied by {scale.slope:.2g}. It is scored as it is, since a poor sCT can look like this."
        ]
    if problems and is_certain:
        raise DatasetError(problems[0])
    if problems:
        return [f"{problems[0]} It is scored as it is, since a poor sCT can look like this."]
    if is_certain:
        return [
            f"{path} has {air_hu:.0f} where the reference has air (-1000 HU); check its scale (RescaleSlope, "
            "RescaleIntercept) and its background. It is scored as it is."
        ]
    return []


def _check_place(sct: sitk.Image, path: Path, ct: sitk.Image, ct_path: Path) -> None:
    """Compare voxel by voxel, whatever the headers say.

    Raises:
        DatasetError: images of one size agree that way alone.
    """
    if sct.GetSize() != ct.GetSize() or Grid.of(sct).matches(Grid.of(ct), tolerance_mm=1.0):
        return
    values, reference = (sitk.GetArrayViewFromImage(image) for image in (sct, ct))
    in_place = _correlation(values, sitk.GetArrayFromImage(resample(ct, Grid.of(sct), outside=AIR_HU)))
    by_voxel = _correlation(values, reference)
    if by_voxel >= CLOSE and by_voxel - in_place >= CLEARLY_CLOSER:
        wrong = [
            name
            for name, sct_place, ct_place in (
                ("origin", sct.GetOrigin(), ct.GetOrigin()),
                ("spacing", sct.GetSpacing(), ct.GetSpacing()),
                ("direction", sct.GetDirection(), ct.GetDirection()),
            )
            if not np.allclose(sct_place, ct_place, atol=1e-2)
        ]
        raise DatasetError(
            f"{path} has the voxels of {ct_path} but another {' and '.join(wrong)} in its header, so it lies "
            "elsewhere; write it with the header of the image that it was made from."
        )


def _check_header(sct: sitk.Image, values: np.ndarray, on_sct: np.ndarray, ct: sitk.Image, path: Path) -> None:
    """Whether the place is that of an identity header, which programs write that drop the MR's.

    Raises:
        DatasetError: it is, and the sCT does not lie on its reference.
    """
    is_identity = not np.any(sct.GetOrigin()) and np.array_equal(np.abs(sct.GetDirection()), np.eye(3).ravel())
    if not is_identity or np.allclose(sct.GetOrigin(), ct.GetOrigin(), atol=1e-2):
        return
    own, of_ct = values > TISSUE_HU, on_sct > TISSUE_HU
    if 2 * (own & of_ct).sum() < MIN_OVERLAP * (own.sum() + of_ct.sum()):
        raise DatasetError(
            f"{path} has an identity header (origin 0, 0, 0), so it lies beside its reference; write it with the "
            "header of its MR."
        )


def _correlation(values: np.ndarray, reference: np.ndarray) -> float:
    """Pearson's, of the values with the reference, its bone clipped to 500 HU; 0 where either is constant."""
    values, reference = values.ravel().astype(np.float64), np.clip(reference.ravel(), -1000, 500).astype(np.float64)
    if values.size < 2 or np.ptp(values) == 0 or np.ptp(reference) == 0:
        return 0.0
    return float(np.corrcoef(np.clip(values, *np.percentile(values, (0.1, 99.5))), reference)[0, 1])


def _axes_to_flip(image: sitk.Image) -> list[tuple[int, str]]:
    """Array axes along which a flip can be seen; heads are alike on the left and the right."""
    along = body_axes(orientation_code(image))
    return [(2 - along.index(1), "front to back"), (2 - along.index(2), "upside down")]


def _distance_warning(
    values: np.ndarray, on_sct: np.ndarray, known: np.ndarray, sct: sitk.Image, path: Path, ct_path: Path
) -> list[str]:
    heads = [(array > TISSUE_HU) & known for array in (values, on_sct)]
    if not all(head.any() for head in heads):
        return [f"{path} and {ct_path} show no common tissue; check that they lie in one place."]
    own, of_ct = (np.argwhere(head).mean(axis=0) for head in heads)
    apart = float(np.linalg.norm((own - of_ct) * sct.GetSpacing()[::-1]))
    if apart <= FAR_MM:
        return []
    return [
        f"{path} lies {apart:.0f} mm from {ct_path} (middle of the tissue); check its origin and direction, and that "
        "both are of one patient."
    ]


def _padding_warning(values: np.ndarray, on_sct: np.ndarray, path: Path) -> list[str]:
    tissue = on_sct > -200.0
    padded = float((values[tissue] == values.min()).mean()) if tissue.any() else 0.0
    if padded < MIN_PADDED_SHARE:
        return []
    return [
        f"{path} has its lowest value in {padded:.0%} of the reference's tissue, as if it had been cropped and "
        "filled up; the missing part is scored as an error."
    ]
