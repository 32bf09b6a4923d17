"""Local refinement of rigidly registered phantom pairs whose local motion is known: what is left of it, and the CT.

    python -m benchmarks.refinement --phantoms 1          4 motions, a quarter of an hour on two busy cores
    python -m benchmarks.refinement --aligned             3 phantoms without a rigid error, with their true heads
    python -m benchmarks.refinement --phantoms 1 --motions 0 6 --contrast T2

Every CT is scanned apart by 10 mm and 5 degrees and registered rigidly, with the heads that are found in the images;
jaw, neck, tongue and nasal mucosa have moved by up to so many mm by themselves. Displacements are means over the points
of the head that moved by more than a third of that and, still, of those that moved by less than 0.3 mm; the MAE is that
against the CT without motion where the MR has it, in the head.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import SimpleITK as sitk

from synthct.imaging.coding import AIR_HU
from synthct.imaging.field_of_view import CT_TISSUE_HU, scanned_region
from synthct.imaging.geometry import Grid, block_means, known_region, mask_points, moved_rigidly, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.refinement import refine
from synthct.imaging.registration import HeadPair, register_ct_to_mr
from synthct.phantom import T1_SEED, T2, PaintedPatient, PhantomOptions
from synthct.phantom.anatomy_frame import misalignment
from synthct.phantom.patient import rigid_offset

CONTRASTS = {"T1": T1_SEED, "T2": T2}
STILL_MM = 0.3
RANGE_HU = (-1000.0, 2000.0)


def refine_phantom(
    index: int, motions_mm: list[float], options: PhantomOptions, *, aligned: bool
) -> list[dict[str, float]]:
    """A row a motion; what is ``aligned`` is not registered rigidly, and the heads are the true ones."""
    painted = PaintedPatient.paint(index, options)
    mr, true_head = painted.scan_mr(options)
    mr_head = true_head if aligned else head_mask_from_mr(mr)
    offset = rigid_offset(painted.parameters, options)
    true_ct = moved_rigidly(painted.scan_ct(replace(options, misalignment_mm=0.0))[0], offset.GetInverse())
    points = mask_points(sitk.Cast(block_means(true_head, 4.0) > 0.5, sitk.sitkUInt8))
    rows = []
    for motion_mm in motions_mm:
        ct, ct_head = painted.scan_ct(replace(options, misalignment_mm=motion_mm))
        rigid = sitk.Euler3DTransform()
        if not aligned:
            ct_head = head_mask_from_ct(ct)
            rigid = register_ct_to_mr(HeadPair(mr, mr_head, ct, ct_head))
        ct, ct_head = (moved_rigidly(image, rigid.GetInverse()) for image in (ct, ct_head))
        start = time.process_time()
        found = refine(HeadPair(mr, mr_head, ct, ct_head), scanned_region(mr), scanned_region(ct, tissue=CT_TISSUE_HU))
        seconds = time.process_time() - start
        there = _through(rigid.GetInverse(), _through(offset, _moved(painted, points, motion_mm)))
        own_mm = np.linalg.norm(_moved(painted, points, motion_mm) - _moved(painted, points, 0.0), axis=1)
        before, after = (np.linalg.norm(there - at, axis=1) for at in (points, _through(found, points)))
        moved, still = own_mm > max(motion_mm, 1.0) / 3, own_mm < STILL_MM
        grid = Grid.of(mr)
        inside = (_array(true_head) > 0) & (_array(known_region(ct, grid)) > 0)
        truth, as_registered, refined = (
            np.clip(_array(resample(image, grid, outside=AIR_HU, transform=transform))[inside], *RANGE_HU)
            for image, transform in ((true_ct, None), (ct, None), (ct, found))
        )
        rows.append(
            {
                "phantom": index,
                "motion, mm": motion_mm,
                "moved: before, mm": before[moved].mean() if moved.any() else np.nan,
                "after, mm": after[moved].mean() if moved.any() else np.nan,
                "still: before, mm": before[still].mean(),
                "after, mm ": after[still].mean(),
                "MAE before, HU": np.abs(as_registered - truth).mean(),
                "after, HU": np.abs(refined - truth).mean(),
                "changed, HU": np.abs(refined - as_registered).mean(),
                "seconds": seconds,
            }
        )
    return rows


def _moved(painted: PaintedPatient, points: np.ndarray, motion_mm: float) -> np.ndarray:
    """Where the tissue at points of the MR (n, 3) lies in a CT that is not offset."""
    start = there = painted.anatomy.to_anatomy(points)
    for _ in range(20):
        there = start - misalignment(there, painted.parameters, motion_mm)
    return painted.anatomy.to_physical(there)


def _through(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def main() -> None:
    """Print a row a phantom and motion, and the means of each motion."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantoms", type=int, default=3)
    parser.add_argument("--motions", type=float, nargs="+", default=[0.0, 3.0, 6.0, 12.0])
    parser.add_argument("--contrast", choices=CONTRASTS, default="T1")
    parser.add_argument("--aligned", action="store_true", help="what is left of a perfect rigid registration alone")
    parser.add_argument("--voxel_scale", type=float, default=1.5)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    options = PhantomOptions(
        voxel_scale=arguments.voxel_scale,
        contrast=CONTRASTS[arguments.contrast],
        rigid_offset_mm=0.0 if arguments.aligned else 10.0,
        rigid_offset_deg=0.0 if arguments.aligned else 5.0,
    )
    rows = []
    for index in range(arguments.phantoms):
        rows += refine_phantom(index, arguments.motions, options, aligned=arguments.aligned)
        print(pd.DataFrame(rows[-len(arguments.motions) :]).round(2).to_string(index=False), flush=True)
    means = pd.DataFrame(rows).groupby("motion, mm").mean().drop(columns="phantom")
    print(means.round(2).to_string())


if __name__ == "__main__":
    main()
