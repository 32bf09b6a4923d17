"""CT to MR registration of head phantoms whose true transform is known: target registration error, and time.

    python -m benchmarks.registration                 60 pairs at the seed's voxels, 12 a condition
    python -m benchmarks.registration --pairs 10 --voxel_scale 2

Every CT is moved by a random rigid offset of up to 30 mm and 20 degrees and has couch, rest and thermoplastic mask;
jaw, neck and throat have moved by up to 3 mm by themselves. The error is that at ten points of cranium and face.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import SimpleITK as sitk

from synthct.commands.console import progress_bar
from synthct.dataset.phantom import make_phantom_patient
from synthct.dataset.phantom.patient import PhantomPatient
from synthct.imaging.alignment import alignment_of
from synthct.imaging.geometry import Grid, bounding_box, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.registration import HeadPair, register_ct_to_mr
from synthct.parallel import run_cases

SEED = 7
N_POINTS = 10  # the first of the phantom's landmarks; the others move with jaw and neck
CONDITIONS = ("as in the seed", "MR of 4 mm axial slices", "MR with strong bias", "CT of part of the head", "noisy MR")
THICK_GRID = Grid((188, 208, 60), (1.25, 1.25, 4.0), (-118.0, -135.0, -150.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


@dataclass(frozen=True)
class Outcome:
    """One pair: errors at the points in mm, before and after; what speaks against the result; seconds without masks."""

    condition: str
    before_mm: float
    median_mm: float
    largest_mm: float
    flagged: bool
    seconds: float


def make_pair(index: int, voxel_scale: float) -> tuple[PhantomPatient, sitk.Image, sitk.Image]:
    """A patient, and his MR and CT under the condition of that index."""
    rng = np.random.default_rng(1000 + index)
    condition = CONDITIONS[index % len(CONDITIONS)]
    patient = make_phantom_patient(
        index,
        seed=SEED,
        voxel_scale=voxel_scale,
        rigid_offset_mm=float(rng.uniform(0, 30)),
        rigid_offset_deg=float(rng.uniform(0, 20)),
        bias_strength=0.3 if condition == "MR with strong bias" else 0.1,
        mr_noise=60.0 if condition == "noisy MR" else 22.0,
    )
    mr, ct = patient.mr, patient.ct
    if condition == "MR of 4 mm axial slices":
        mr = sitk.Cast(resample(mr, THICK_GRID), sitk.sitkInt16)
    if condition == "CT of part of the head":
        ct = _part_of(ct, patient.ct_head_mask, kind=index // len(CONDITIONS) % 3)
    return patient, mr, ct


def _part_of(ct: sitk.Image, head: sitk.Image, kind: int) -> sitk.Image:
    """The upper half of the head, all but its top, or its middle half."""
    low, high = bounding_box(head)[2]
    cut = ((0.45, 1.0), (0.0, 0.75), (0.30, 0.85))[kind]
    first, end = (int(low + (high - low) * share) for share in cut)
    return ct[:, :, (0 if cut[0] == 0 else first) : (ct.GetSize()[2] if cut[1] == 1 else end)]


def register_one(index: int, voxel_scale: float) -> Outcome:
    """Make a pair, register it, and measure."""
    patient, mr, ct = make_pair(index, voxel_scale)
    pair = HeadPair(mr, head_mask_from_mr(mr), ct, head_mask_from_ct(ct))
    start = time.perf_counter()
    found = register_ct_to_mr(pair)
    objections = alignment_of(pair, found).objections()
    seconds = time.perf_counter() - start
    before, after = (_errors_mm(transform, patient) for transform in (sitk.Transform(), found))
    condition = CONDITIONS[index % len(CONDITIONS)]
    return Outcome(condition, np.median(before), np.median(after), after.max(), bool(objections), seconds)


def _errors_mm(found: sitk.Transform, patient: PhantomPatient) -> np.ndarray:
    points = list(patient.landmarks_mm.values())[:N_POINTS]
    return np.array(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), patient.rigid.TransformPoint(p))) for p in points]
    )


def main() -> None:
    """Print a row a condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--voxel_scale", type=float, default=1.0)
    parser.add_argument("-np", dest="workers", type=int, default=1)
    arguments = parser.parse_args()
    work = {f"pair {i}": (i, arguments.voxel_scale) for i in range(arguments.pairs)}
    outcomes = run_cases(register_one, work, workers=arguments.workers, progress=progress_bar, describe="Registering")
    table = pd.DataFrame([vars(outcome) for outcome in outcomes.values()])
    groups = [*table.groupby("condition", sort=False), ("all", table)]
    rows = [
        {
            "condition": name,
            "pairs": len(group),
            "before, mm": group.before_mm.median(),
            "median, mm": group.median_mm.median(),
            "worst median, mm": group.median_mm.max(),
            "largest, mm": group.largest_mm.max(),
            "flagged": int(group.flagged.sum()),
            "off by 3 mm, not flagged": int(((group.largest_mm >= 3) & ~group.flagged).sum()),
            "seconds": group.seconds.median(),
        }
        for name, group in groups
    ]
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
