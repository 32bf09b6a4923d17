"""Local motion between an MR and a CT that are registered rigidly: where jaw, neck or throat have moved, by how much.

Block matching whose displacements have to be worth it. The CT is shown as an MR, each HU by the mean signal that the
pair itself has there (as the correlation ratio does: Roche et al. 1998, MICCAI, LNCS 1496:1115); every block of the
head is compared with it under all displacements up to 12 mm; the displacements of all blocks are then chosen together,
smooth and by discrete optimisation with a quadratic relaxation (Heinrich et al. 2014, WBIR, LNCS 8545:51). A block that
stays costs nothing and one that moves costs ``MOVE_PENALTY``, so that what has not moved is left alone; a deformation
that is driven by similarity alone moves a still head by a millimetre or two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from synthct.imaging.field_of_view import scanned_on
from synthct.imaging.geometry import Grid, bounding_box, resample, resample_mask
from synthct.imaging.registration import HeadPair

MAX_MM = 12.0  # of a displacement
VOXEL_MM = 2.0  # that are compared; displacements are multiples of it before they are smoothed
CELL = 4  # voxels; a block is 3 x 3 x 3 cells, 24 mm, and there is one around every cell
AROUND_HEAD_MM = 8.0  # of air around the head is compared, too, for the outline of the skin
AIR_HU = -1000.0
HU_EDGES = (-700, -400, -200, -130, -70, -30, 0, 15, 30, 45, 60, 80, 120, 200, 300, 450, 600, 800, 1000, 1300, 1700)
BIAS_SD_MM = 25.0  # the MR's brightness over larger distances is taken for a bias field
NOISE = 0.01  # variance that is added to that of a block, of MRs whose median in the head is 1
MIN_KNOWN = 0.3  # share of a block that must be compared
MOVE_PENALTY = 0.2  # in log(1 - r^2), r being the correlation in a block; twice a log-likelihood a voxel
MOVE_PENALTY_BESIDE_MOTION = 0.05
RELAXATION = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)  # 1/mm^2: how strongly a block is drawn to its surroundings
SMOOTHING_SD_CELLS = 1.0
MIN_WEIGHT = 0.1  # of a block that prefers no displacement
STILL_MM, MOVED_MM = 0.5, 1.5  # what is moved by less stays, by more is moved as found


@dataclass(frozen=True)
class _Blocks:
    """What is known of each block under each displacement.

    Attributes:
        inside: whether there is a block around a cell; bool (z, y, x).
        displacements_mm: along z, y, x; (n, 3).
        cost: log(1 - r^2) less that without displacement; (n, blocks).
    """

    inside: np.ndarray
    displacements_mm: np.ndarray
    cost: np.ndarray


def local_motion(pair: HeadPair, mr_scanned: sitk.Image, ct_scanned: sitk.Image) -> sitk.DisplacementFieldTransform:
    """The displacements that are worth their penalty.

    Args:
        pair: registered rigidly.
        mr_scanned, ct_scanned: where each scanner has seen (uint8, on its image's grid).

    Returns:
        From points of the MR to points of the CT, by at most :data:`MAX_MM`; zero where nothing has moved.
    """
    grid = _grid(pair.mr_mask)
    blocks = _compared(pair, mr_scanned, ct_scanned, grid)
    penalty = np.full(blocks.inside.shape, MOVE_PENALTY)
    found = _chosen(blocks, penalty)
    moved = (np.linalg.norm(found, axis=-1) > 1.0).astype(float)
    if moved.any():
        beside = np.clip(2 * ndimage.gaussian_filter(moved, 1.0), 0, 1)
        found = _chosen(blocks, penalty - (MOVE_PENALTY - MOVE_PENALTY_BESIDE_MOTION) * beside)
    vectors = sitk.GetImageFromArray(found[..., ::-1] @ grid.axes.T, isVector=True)
    vectors.SetSpacing([VOXEL_MM * CELL] * 3)
    vectors.SetDirection(grid.direction)
    vectors.SetOrigin(grid.point([(CELL - 1) / 2] * 3).tolist())
    return sitk.DisplacementFieldTransform(vectors)


def _grid(mask: sitk.Image) -> Grid:
    """Of whole cells, along the mask's axes, around the head."""
    of_mask = Grid.of(mask)
    low, high = bounding_box(mask).T  # indices (x, y, z)
    margin_mm = AROUND_HEAD_MM + VOXEL_MM
    extent_mm = (high - low) * of_mask.spacing_mm_xyz + 2 * margin_mm
    size = np.ceil(extent_mm / (VOXEL_MM * CELL)).astype(int) * CELL
    origin = of_mask.point(low - margin_mm / np.array(of_mask.spacing_mm_xyz))
    return Grid.along(of_mask.axes, size, [VOXEL_MM] * 3, origin)


def _compared(pair: HeadPair, mr_scanned: sitk.Image, ct_scanned: sitk.Image, grid: Grid) -> _Blocks:
    """Correlation of the MR with the CT that is shown as one, of all blocks under all displacements."""
    head = _array(resample_mask(pair.mr_mask, grid)) > 0
    ct_known = scanned_on(ct_scanned, grid)
    hu = _array(resample(sitk.Mask(pair.ct, pair.ct_mask, AIR_HU), grid, outside=AIR_HU))
    nearest = ndimage.distance_transform_edt(~ct_known, return_distances=False, return_indices=True)
    hu = hu[tuple(nearest)]  # where a neck was cut it goes on
    n_around = round(AROUND_HEAD_MM / VOXEL_MM)
    compared = ndimage.binary_dilation(head, iterations=n_around) & scanned_on(mr_scanned, grid)
    mr = np.where(compared, _without_bias(_array(resample(pair.mr, grid)), head), 0).astype(np.float32)
    as_mr = _shown_as_mr(hu, mr, compared & ct_known)

    weight = compared.astype(np.float32)
    n = _block_sums(weight)
    mean, mean_square = (_block_sums(values) / np.maximum(n, 1) for values in (mr, mr * mr))
    inside = (_cell_sums(head.astype(np.float32)) > MIN_KNOWN * CELL**3) & (n > MIN_KNOWN * (3 * CELL) ** 3)
    reach = int(MAX_MM / VOXEL_MM)
    padded = np.pad(as_mr, reach, mode="edge")
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) * VOXEL_MM <= MAX_MM]
    cost = np.empty((len(steps), int(inside.sum())), np.float32)
    for i, step in enumerate(steps):
        moved = padded[tuple(slice(reach + s, reach + s + size) for s, size in zip(step, mr.shape))]
        weighted = moved * weight
        m = _block_sums(weighted)[inside] / n[inside]
        variance = _block_sums(weighted * moved)[inside] / n[inside] - m**2 + NOISE
        covariance = _block_sums(moved * mr)[inside] / n[inside] - m * mean[inside]
        r2 = np.maximum(covariance, 0) ** 2 / ((mean_square - mean**2)[inside] + NOISE) / variance
        cost[i] = np.log(np.maximum(1 - r2, 1e-3))
    cost -= cost[(steps == 0).all(axis=1)]
    return _Blocks(inside, (steps * VOXEL_MM).astype(np.float32), cost)


def _without_bias(mr: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The MR over its local brightness in the head; 1 is the median of the head."""
    dark = np.percentile(mr[head], 2)
    sd = BIAS_SD_MM / VOXEL_MM
    share = np.maximum(ndimage.gaussian_filter(head.astype(np.float32), sd), 1e-3)
    logarithm = np.where(head, np.log(np.maximum(mr, max(dark, 1e-6))), 0).astype(np.float32)
    flat = mr / np.exp(ndimage.gaussian_filter(logarithm, sd) / share)
    return flat / max(np.median(flat[head]), 1e-6)


def _shown_as_mr(hu: np.ndarray, mr: np.ndarray, both: np.ndarray) -> np.ndarray:
    """The mean of the MR at every HU, interpolated between bins; float32."""
    middles = np.convolve([AIR_HU, *HU_EDGES, 3000], [0.5, 0.5], mode="valid")
    bins = np.digitize(hu[both], HU_EDGES)
    n = np.bincount(bins, minlength=len(middles))
    means = np.bincount(bins, mr[both], minlength=len(middles)) / np.maximum(n, 1)
    enough = n > 20
    return np.interp(hu, middles[enough], means[enough]).astype(np.float32)


def _cell_sums(values: np.ndarray) -> np.ndarray:
    for axis in range(3):
        parts = np.moveaxis(values, axis, 0)
        sums = parts[::CELL].copy()
        for i in range(1, CELL):
            sums += parts[i::CELL]
        values = np.moveaxis(sums, 0, axis)
    return values


def _block_sums(values: np.ndarray) -> np.ndarray:
    """Of 3 x 3 x 3 cells around each cell."""
    return ndimage.uniform_filter(_cell_sums(values), 3, mode="constant") * 27


def _chosen(blocks: _Blocks, penalty: np.ndarray) -> np.ndarray:
    """Displacements of all cells along z, y, x in mm, smooth; (z, y, x, 3)."""
    inside, displacements = blocks.inside, blocks.displacements_mm
    weight = MIN_WEIGHT + np.clip(np.percentile(blocks.cost, 75, axis=0) - blocks.cost.min(axis=0), 0, 1)
    squares = (displacements**2).sum(axis=1)
    cost = blocks.cost + (1 - np.exp(-squares / (2 * VOXEL_MM**2)))[:, None] * penalty[inside].astype(np.float32)

    def smoothed(of_blocks: np.ndarray) -> np.ndarray:
        cells = np.zeros(inside.shape, np.float32)
        cells[inside] = of_blocks
        return ndimage.gaussian_filter(cells, SMOOTHING_SD_CELLS)

    total = np.maximum(smoothed(weight), 1e-3 * MIN_WEIGHT)
    field = np.zeros((*inside.shape, 3), np.float32)
    for relaxation in RELAXATION:
        distance = squares[:, None] - 2 * displacements @ field[inside].T  # but for what is the same for all of them
        best = displacements[(cost + np.float32(relaxation) * distance).argmin(axis=0)]
        field = np.stack([smoothed(weight * component) for component in best.T], axis=-1) / total[..., None]
    length = np.linalg.norm(field, axis=-1, keepdims=True)
    kept = np.clip((length - STILL_MM) / (MOVED_MM - STILL_MM), 0, 1)
    return field * kept**2 * (3 - 2 * kept)


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)
