"""Phantoms whose MR stays as it is while the CT is misaligned by levels, as cached slices in a folder a level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.imaging.geometry import mask_points, moved_rigidly
from synthct.imaging.registration import HeadPair, register_ct_to_mr
from synthct.phantom import PaintedPatient, PhantomOptions
from synthct.phantom.patient import rigid_offset
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.cache import cached_path
from synthct.preprocessing.case import slices_of_case

SCANNED_APART = {"rigid_offset_mm": 10.0, "rigid_offset_deg": 5.0}  # before the registration; local: the default
RESIDUAL = "rigid_residual_mm"  # in the info of a stack
POINTS = 5000  # of the head, over which the residual is averaged


@dataclass(frozen=True, order=True)
class Level:
    """A misalignment of the training CTs.

    Attributes:
        kind: ``aligned``; ``local``: jaw, neck, throat; ``rigid``: the whole CT is shifted; ``registered``: scanned
            apart by a shift and a rotation, which rigid registration took away as well as it could.
        sign: ``random``: a direction of each patient's own; ``common``: the same for all. Empty where there is none.
        mm: of a rigid shift, or the largest local one.
    """

    kind: str
    sign: str = ""
    mm: float = 0.0

    @staticmethod
    def of(name: str) -> Level:
        """From its name, such as ``rigid-common-2``."""
        if name in ("aligned", "registered"):
            return Level(name)
        found = re.fullmatch(r"(local|rigid)-(random|common)-(\d+(?:\.\d+)?)", name)
        if not found or float(found[3]) == 0:
            raise SystemExit(
                f"{name}: no level; there are aligned, registered, and such as rigid-common-2, local-random-6."
            )
        return Level(found[1], found[2], float(found[3]))

    @property
    def name(self) -> str:
        """As :meth:`of` reads it."""
        return f"{self.kind}-{self.sign}-{self.mm:g}" if self.sign else self.kind

    @property
    def curve(self) -> str:
        """Which curve it is a point of; empty of those that stand alone."""
        return f"{self.kind} {self.sign}" if self.sign else ""

    def options(self, voxel_scale: float) -> PhantomOptions:
        """How the phantom is scanned."""
        options = PhantomOptions(voxel_scale=voxel_scale, misalignment_common=self.sign == "common")
        if self.kind == "registered":
            return replace(options, **SCANNED_APART)
        rigid, local = (self.mm if self.kind == kind else 0.0 for kind in ("rigid", "local"))
        return replace(options, misalignment_mm=local, rigid_offset_mm=rigid)


ALIGNED = Level("aligned")


def patient_names(n: int) -> list[str]:
    """Of the first ``n`` phantoms."""
    return [f"HEAD_{number:03d}" for number in range(1, n + 1)]


def make_slices(
    folder: Path, n_patients: int, levels: Sequence[Level], plan: PreprocessingPlan, voxel_scale: float
) -> None:
    """Write ``folder/LEVEL/PATIENT.npz`` of every patient and level that is not there; a head is painted once.

    The true head masks are taken, so that no error of segmentation is mixed into that of the alignment. As with real
    pairs the head of a stack is that of its CT, and moves with it.
    """
    for index, patient in enumerate(patient_names(n_patients)):
        missing = [level for level in levels if not cached_path(folder / level.name, patient).is_file()]
        if not missing:
            continue
        painted = PaintedPatient.paint(index, PhantomOptions(voxel_scale=voxel_scale))
        mr, mr_mask = painted.scan_mr()
        points = mask_points(mr_mask)
        points = points[:: max(1, len(points) // POINTS)]
        for level in missing:
            options = level.options(voxel_scale)
            ct, ct_mask = painted.scan_ct(options)
            found = sitk.Euler3DTransform()
            if level.kind == "registered":
                found = register_ct_to_mr(HeadPair(mr, mr_mask, ct, ct_mask))
                ct, ct_mask = (moved_rigidly(image, found.GetInverse()) for image in (ct, ct_mask))
            residual_mm = _mean_distance_mm(rigid_offset(painted.parameters, options), found, points)
            stack = slices_of_case(CaseImages(patient, (mr,), ct), plan, HeadMasks(mr_mask, ct_mask))
            stack = replace(stack, info={**stack.info, RESIDUAL: residual_mm})
            stack.save(cached_path(folder / level.name, patient))
        print(f"{patient}: slices of {len(missing)} levels", flush=True)


def _mean_distance_mm(true: sitk.Transform, found: sitk.Transform, points: np.ndarray) -> float:
    apart = [np.subtract(true.TransformPoint(point), found.TransformPoint(point)) for point in points.tolist()]
    return float(np.linalg.norm(apart, axis=1).mean())
