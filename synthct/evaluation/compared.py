"""What is compared in one patient: the sCTs, the reference CT and the mask, read, checked and on one grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import read_ct
from synthct.dataset.registration_record import Registration
from synthct.errors import DatasetError
from synthct.evaluation.average_head import AverageHead
from synthct.evaluation.input_checks import check_reference, check_sct, coverage_warning
from synthct.imaging.coding import AIR_HU
from synthct.imaging.field_of_view import CT_TISSUE_HU, scanned_on, scanned_region, with_padding_as
from synthct.imaging.geometry import Grid, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import read_image
from synthct.imaging.mask_file import read_head_mask
from synthct.imaging.planes import Plane

MaskKind = Literal["ct_and_mr", "given", "ct"]
_MASKS_IN_WORDS = {
    "ct_and_mr": "the head determined in both CT and MR",
    "ct": "the head determined in the reference CT",
    "given": "the given head mask",
}
# Where the CT is known, the heads of one patient in CT and MR share most of the smaller one, if they are registered.
MIN_HEAD_OVERLAP = 0.85


def masks_in_words(kinds: Iterable[str]) -> str:
    """Inside what patients were compared, for a sentence; ``kinds`` are :data:`MaskKind`, or of a file."""
    return " or ".join(_MASKS_IN_WORDS.get(kind, "a head mask") for kind in sorted(set(kinds)))


@dataclass(frozen=True)
class Reference:
    """What the sCTs of one patient are compared with."""

    patient: str
    ct: Path
    mr: Path | None = None  # the first channel
    mask: Path | None = None  # head mask given by the user; replaces those determined in CT and MR
    registration: Registration | None = None  # of the CT to the MR
    from_user: bool = False  # files that neither an import nor a verification has seen; they are checked here


@dataclass(frozen=True)
class Candidate:
    """A model's sCT of one patient, and the fold that held the patient out (None where folds play no part).

    ``sct`` is a file, or a trivial baseline: the HU of an sCT that is the same everywhere, or the average head. In a
    given mask, which may be far wider than the head, a constant holds inside the head that is found in the MR, with air
    around it.
    ``slice_plane`` is that of the network's slices, the reference method's where no plan says otherwise.
    """

    sct: Path | float | AverageHead
    fold: int | None = None
    slice_plane: Plane = "sagittal"


@dataclass(frozen=True)
class Compared:
    """What is compared, all on the grid of the sCTs.

    Attributes:
        ct: the reference, float32 HU; -1000 where it is unknown.
        ct_known: uint8, 1 inside the CT's field of view.
        mask: uint8, 1 in the voxels that count.
        scts: float32 HU by model label.
        mr: float32 scanner units; None where there is none.
        kind: how the mask was determined.
        warnings: a sentence each.
        sct_heads: uint8, 1 in the head found in an sCT, where all images are known, by model label; where asked for.
        ct_head: uint8, 1 in the head found in the CT, likewise.
        head: uint8, 1 in the head found in the MR, or in the CT without one.
        scored_head_percent: the share of the head in the CT that lies in the mask, 0..100.
    """

    ct: sitk.Image
    ct_known: sitk.Image
    mask: sitk.Image
    scts: dict[str, sitk.Image]
    mr: sitk.Image | None
    kind: MaskKind
    warnings: tuple[str, ...]
    sct_heads: dict[str, sitk.Image]
    ct_head: sitk.Image | None
    head: sitk.Image
    scored_head_percent: float


def read_compared(reference: Reference, candidates: Mapping[str, Candidate], *, with_heads: bool = False) -> Compared:
    """Read one patient's images and bring them to the grid of the sCTs.

    Args:
        candidates: by model label; at least one is a file.
        with_heads: also find the heads in the sCTs and in the CT.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: the files cannot be compared: there is no voxel to compare, the sCTs are on different grids, or
            files of the user are not what they should be; naming the files.
    """
    files = {label: candidate.sct for label, candidate in candidates.items() if isinstance(candidate.sct, Path)}
    scts = _read_on_one_grid(files)
    first = next(iter(scts))
    grid = Grid.of(scts[first])

    ct = read_ct(reference.ct, reference.registration)
    warned: list[str] = []
    if reference.from_user:
        check_reference(ct, reference.ct)
        for label, sct in scts.items():
            warned += check_sct(sct, files[label], ct, reference.ct)
    mr = read_image(reference.mr) if reference.mr is not None else None
    ct_scanned = scanned_region(ct, tissue=CT_TISSUE_HU)
    ct_known = _known(ct_scanned, grid)
    if not sitk.GetArrayViewFromImage(ct_known).any():
        raise DatasetError(
            f"{reference.ct} and {files[first]} do not overlap: no voxel of the sCT is inside the reference CT. "
            "Register the reference to the MR, or check that the two files are of one patient."
        )
    mr_head = None if mr is None else head_mask_from_mr(mr)
    in_mr = None if mr_head is None else _on_grid(mr_head, grid)
    ct_head = head_mask_from_ct(ct, mr_head_mask=mr_head)
    in_ct = _on_grid(ct_head, grid)
    head, kind, warnings = _head_mask(reference, in_ct, in_mr, ct_known, grid)
    mask = head & ct_known
    if not sitk.GetArrayViewFromImage(mask).any():
        raise DatasetError(_empty_mask_message(reference, files[first], kind))
    percent = _scored_percent(ct_head, mask)
    if reference.from_user:
        warned += coverage_warning(reference.patient, percent)
    known = ct_known if mr is None else ct_known & _known(scanned_region(mr), grid)
    return Compared(
        _ct_on_grid(with_padding_as(ct, ct_scanned, AIR_HU), scts[first]),
        ct_known,
        mask,
        scts,
        None if mr is None else resample(mr, grid, interpolation="linear", outside=0.0),
        kind,
        (*warned, *warnings),
        {label: head_mask_from_ct(sct) & known for label, sct in scts.items()} if with_heads else {},
        in_ct & known if with_heads else None,
        in_ct if in_mr is None else in_mr,
        percent,
    )


def as_bool(mask: sitk.Image) -> np.ndarray:
    """The array of a mask (z, y, x)."""
    return sitk.GetArrayFromImage(mask).astype(bool)


def _read_on_one_grid(files: Mapping[str, Path]) -> dict[str, sitk.Image]:
    """The sCTs by label, float32.

    Raises:
        DatasetError: one is not on the grid of the first.
    """
    scts: dict[str, sitk.Image] = {}
    for label, path in files.items():
        scts[label] = sitk.Cast(read_image(path), sitk.sitkFloat32)
        first = next(iter(scts))
        if not Grid.of(scts[label]).matches(Grid.of(scts[first])):
            raise DatasetError(
                f"{path} is not on the grid of {files[first]}, though both are sCTs of one MR; predict it again."
            )
    return scts


def _ct_on_grid(ct: sitk.Image, sct: sitk.Image) -> sitk.Image:
    """The reference CT on the grid of the sCT, float32."""
    grid = Grid.of(sct)
    if Grid.of(ct).matches(grid):  # even a shift by a rounding error would change voxels, and equal images would differ
        same = sitk.Cast(ct, sitk.sitkFloat32)
        same.CopyInformation(sct)
        return same
    return resample(ct, grid, interpolation="linear", outside=AIR_HU)  # outside is never counted


def _head_mask(
    reference: Reference, in_ct: sitk.Image, in_mr: sitk.Image | None, ct_known: sitk.Image, grid: Grid
) -> tuple[sitk.Image, MaskKind, tuple[str, ...]]:
    """The head on ``grid`` (uint8), how it was determined, and warnings (a sentence each)."""
    warnings: tuple[str, ...] = ()
    if in_mr is not None:  # found heads are compared, whatever mask is given
        overlap = _share_of_smaller(in_ct, in_mr & ct_known)
        if overlap < MIN_HEAD_OVERLAP:
            warnings = (
                f"{reference.patient}: the heads in CT and MR share only {overlap:.0%} of the smaller one; "
                "where CT and MR are not registered, the patient's numbers mean nothing.",
            )
    if reference.mask is not None:
        given, note = read_head_mask(reference.mask)
        notes = (f"{reference.patient}: {note}",) if note else ()
        return _on_grid(given, grid), "given", (*warnings, *notes)
    if in_mr is None:
        return in_ct, "ct", ()
    return in_ct & in_mr, "ct_and_mr", warnings


def _on_grid(mask: sitk.Image, grid: Grid) -> sitk.Image:
    return sitk.Cast(resample(mask, grid, interpolation="nearest", outside=0) != 0, sitk.sitkUInt8)


def _scored_percent(ct_head: sitk.Image, mask: sitk.Image) -> float:
    """Share of the head on the CT's own grid that lies in the mask on the sCT's; NaN where no head was found."""
    head = as_bool(ct_head)
    scored = as_bool(resample(mask, Grid.of(ct_head), interpolation="nearest", outside=0))
    return 100.0 * float((head & scored).sum() / head.sum()) if head.any() else math.nan


def _known(scanned: sitk.Image, grid: Grid) -> sitk.Image:
    """1 where the grid lies inside a scanned region, else 0."""
    return grid.place(scanned_on(scanned, grid).astype(np.uint8))


def _share_of_smaller(first: sitk.Image, second: sitk.Image) -> float:
    a, b = (sitk.GetArrayViewFromImage(mask).astype(bool) for mask in (first, second))
    smaller = min(a.sum(), b.sum())
    return float((a & b).sum() / smaller) if smaller else 0.0


def _empty_mask_message(reference: Reference, sct: Path, kind: MaskKind) -> str:
    if kind == "given":
        return (
            f"{reference.mask} marks no voxel that lies inside both {sct} and {reference.ct}; fix or remove the mask."
        )
    sources = f"{reference.ct}" if kind == "ct" else f"both {reference.ct} and {reference.mr}"
    return (
        f"No head was found in {sources} on the grid of {sct}; check that they show one patient's head, or give a mask."
    )
