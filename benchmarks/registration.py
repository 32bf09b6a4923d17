"""CT to MR registration of head phantoms whose true transform is known: target registration error, and time.

    python -m benchmarks.registration                 60 pairs at the paper's voxels, 12 a condition
    python -m benchmarks.registration --pairs 10 --voxel_scale 2
    python -m benchmarks.registration --keep pairs    makes the pairs, 15 s each, once for several runs

Every CT is moved by a random rigid offset of up to 30 mm and 20 degrees and has couch, rest and thermoplastic mask;
jaw, neck and throat have moved by up to 3 mm by themselves. The error is that at ten points of cranium and face.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from synthct.commands.console import progress_bar
from synthct.files import read_json, write_json
from synthct.imaging.alignment import alignment_of
from synthct.imaging.geometry import Grid, bounding_box, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import read_image, write_image
from synthct.imaging.registration import HeadPair, register_ct_to_mr
from synthct.parallel import CaseRunner
from synthct.phantom import make_phantom_patient

SEED = 7
N_POINTS = 10  # the first of the phantom's landmarks; the others move with jaw and neck
CONDITIONS = ("as in the paper", "MR of 4 mm axial slices", "MR with strong bias", "CT of part of the head", "noisy MR")
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


@dataclass(frozen=True)
class Pair:
    """What is registered, and what it is compared with: points of the MR (mm), and the true transform to the CT."""

    mr: sitk.Image
    ct: sitk.Image
    points: list[tuple[float, float, float]]
    truth: sitk.Transform

    @staticmethod
    def kept_or_made(index: int, voxel_scale: float, folder: Path | None) -> Pair:
        """The pair of that index, from ``folder`` where it is there; else made, and kept there."""
        if folder is None:
            return make_pair(index, voxel_scale)
        paths = [folder / f"{index}_{name}" for name in ("mr.mha", "ct.mha", "truth.tfm", "points.json")]
        if not all(path.is_file() for path in paths):
            pair = make_pair(index, voxel_scale)
            write_image(pair.mr, paths[0])
            write_image(pair.ct, paths[1])
            sitk.WriteTransform(pair.truth, str(paths[2]))
            write_json(pair.points, paths[3])
        points = [tuple(point) for point in read_json(paths[3])]
        return Pair(read_image(paths[0]), read_image(paths[1]), points, sitk.ReadTransform(str(paths[2])))


def make_pair(index: int, voxel_scale: float) -> Pair:
    """A patient's MR and CT under the condition of that index."""
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
    return Pair(mr, ct, list(patient.landmarks_mm.values())[:N_POINTS], patient.rigid)


def _part_of(ct: sitk.Image, head: sitk.Image, kind: int) -> sitk.Image:
    """The upper half of the head, all but its top, or its middle half."""
    low, high = bounding_box(head)[2]
    cut = ((0.45, 1.0), (0.0, 0.75), (0.30, 0.85))[kind]
    first, end = (int(low + (high - low) * share) for share in cut)
    return ct[:, :, (0 if cut[0] == 0 else first) : (ct.GetSize()[2] if cut[1] == 1 else end)]


def register_patient(index: int, voxel_scale: float, folder: Path | None) -> Outcome:
    """Register a pair, and measure."""
    pair = Pair.kept_or_made(index, voxel_scale, folder)
    heads = HeadPair(pair.mr, head_mask_from_mr(pair.mr), pair.ct, head_mask_from_ct(pair.ct))
    start = time.perf_counter()
    found = register_ct_to_mr(heads)
    problems_found = alignment_of(heads, found).problems_found()
    seconds = time.perf_counter() - start
    before, after = (_errors_mm(transform, pair) for transform in (sitk.Transform(), found))
    condition = CONDITIONS[index % len(CONDITIONS)]
    return Outcome(condition, np.median(before), np.median(after), after.max(), bool(problems_found), seconds)


def _errors_mm(found: sitk.Transform, pair: Pair) -> np.ndarray:
    return np.array(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), pair.truth.TransformPoint(p))) for p in pair.points]
    )


def main() -> None:
    """Print a row a condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--voxel_scale", type=float, default=1.0)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the pairs, for another run at these voxels")
    parser.add_argument("-np", dest="workers", type=int, default=1)
    arguments = parser.parse_args()
    work = {f"pair {i}": (i, arguments.voxel_scale, arguments.keep) for i in range(arguments.pairs)}
    outcomes = CaseRunner(arguments.workers, progress=progress_bar).run(register_patient, work, describe="Registering")
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
