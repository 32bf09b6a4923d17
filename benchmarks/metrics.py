"""All metrics of one patient: time and memory, and the two slow ones beside a plain way.

    python -m benchmarks.metrics                    the paper's own voxels, 183 x 288 x 288
    python -m benchmarks.metrics --voxel_scale 2

Textbook: SSIM as scikit-image computes it over the whole volume; WEPL by turning the densities of both CTs and the mask
with SciPy once a direction, at the same 2 mm. The error is the difference of the results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.metrics import structural_similarity

from benchmarks.rounds import WAYS, Action, Measured, compare, memory_of_both, peak_memory_gib, show
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.metrics import VolumePair, measure
from synthct.evaluation.metrics.similarity import ssim
from synthct.evaluation.metrics.wepl import N_DIRECTIONS, STEP_MM, density, wepl_median
from synthct.evaluation.score import score_patient
from synthct.imaging.geometry import Grid, reorient, resample
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import write_image
from synthct.phantom import make_phantom_patient


def make_pair(voxel_scale: float) -> tuple[VolumePair, sitk.Image, sitk.Image, sitk.Image]:
    """A phantom and an sCT of it with noise, less contrast and a bias; with MR, CT and sCT as images."""
    patient = make_phantom_patient(0, voxel_scale=voxel_scale)
    grid = Grid.of(patient.mr)
    on_grid = resample(patient.ct, grid, outside=-1000)
    head = sitk.GetArrayFromImage(head_mask_from_ct(on_grid)).astype(bool)
    mask = head & sitk.GetArrayFromImage(head_mask_from_mr(patient.mr)).astype(bool)
    ct = sitk.GetArrayFromImage(on_grid)
    noise = np.random.default_rng(0).normal(20, 30, ct.shape)
    sct = np.where(mask, 0.95 * ct + noise, -1000).astype(np.float32)
    return VolumePair(sct, ct, mask, grid, 2, mask, head), patient.mr, patient.ct, grid.place(sct)


def again(pair: VolumePair) -> VolumePair:
    """The same pair, of which nothing is known yet."""
    return VolumePair(pair.sct, pair.ct, pair.mask, pair.grid, pair.slice_axis, pair.sct_head, pair.ct_head)


def textbook_ssim(pair: VolumePair) -> float:
    """Over the whole volume, then the mean in the mask."""
    x, y = (np.where(pair.mask, np.clip(image, -1024, 3000) + 1024, 0) for image in (pair.ct, pair.sct))
    _, full = structural_similarity(x, y, data_range=4024, full=True)
    inner = (slice(3, -3),) * 3
    return float(full[inner][pair.mask[inner]].mean())


def textbook_wepl(pair: VolumePair) -> float:
    """Both densities and the mask at 2 mm, turned once a direction; the median."""
    heads = (pair.sct_head | pair.mask, pair.ct_head | pair.mask)
    dense = [density(np.where(head, image, -1000)) for head, image in zip(heads, (pair.sct, pair.ct))]
    upright = Grid.of(reorient(pair.grid.place(pair.mask.astype(np.uint8)), "LPS"))  # axial planes last
    size = np.ceil(np.multiply(upright.size_xyz, upright.spacing_mm_xyz) / STEP_MM).astype(int)
    raster = Grid(tuple(map(int, size)), (STEP_MM,) * 3, upright.origin_mm, upright.direction)
    images = (*dense, pair.mask.astype(np.float32))
    *dense, mask = (sitk.GetArrayFromImage(resample(pair.grid.place(image), raster)) for image in images)
    found = []
    for degrees in np.arange(N_DIRECTIONS) * 360 / N_DIRECTIONS:
        sct, ct, inside = (ndimage.rotate(image, degrees, (1, 2), order=1) for image in (*dense, mask))
        along = STEP_MM * (np.cumsum(sct, axis=2) - sct / 2 - np.cumsum(ct, axis=2) + ct / 2)
        found.append(np.abs(along[inside > 0.5]))
    return float(np.median(np.concatenate(found)))


TWO_WAYS = {"SSIM": (textbook_ssim, ssim, ""), "WEPL": (textbook_wepl, wepl_median, " mm")}


def prepare(way: str, metric: str, voxel_scale: float) -> Action:
    """A metric of the pair, computed either way."""
    pair = make_pair(voxel_scale)[0]
    textbook, product, _ = TWO_WAYS[metric]
    return (lambda: textbook(pair)) if way == "textbook" else (lambda: product(again(pair)))


def print_time(work: str, action: Action) -> None:
    """Print how long it takes: on the clock, and of the cores, which a machine shared with others does not change."""
    started, core_seconds = time.perf_counter(), time.process_time()
    memory = peak_memory_gib(action)
    seconds, core_seconds = time.perf_counter() - started, time.process_time() - core_seconds
    print(f"{work}: {seconds:.1f} s, {core_seconds:.1f} s of cores, peak memory {memory:.2f} GiB", flush=True)


def main() -> None:
    """Print times, memory and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel_scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pair, mr, ct, sct = make_pair(arguments.voxel_scale)
    size = " x ".join(map(str, pair.ct.shape[::-1]))
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{name}.nii.gz" for name in ("mr", "ct", "sct")]
        for path, image in zip(paths, (mr, ct, sct)):
            write_image(sitk.Cast(image, sitk.sitkInt16), path)
        reference = Reference("benchmark", paths[1], paths[0])
        for protocol in ("all", "seed"):
            print_time(
                f"{size}, protocol {protocol}, file to file with head masks",
                lambda protocol=protocol: score_patient(reference, {"model": Candidate(paths[2])}, protocol),
            )
    print_time(f"{size}, all metrics alone", lambda: measure(again(pair)))
    print()
    lines: list[Measured] = []
    for metric, (textbook, product, unit) in TWO_WAYS.items():
        lines.append(
            compare(
                f"{metric}, {size}",
                *(prepare(way, metric, arguments.voxel_scale) for way in WAYS),
                rounds=arguments.rounds,
                memory_gib=memory_of_both(prepare, metric, arguments.voxel_scale),
                error=f"{abs(textbook(pair) - product(again(pair))):.2g}{unit}",
            )
        )
    show(lines)


if __name__ == "__main__":
    main()
