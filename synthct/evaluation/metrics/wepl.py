"""Water-equivalent path length: what errors in HU do to the range of a beam. A dose surrogate, no dose."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.evaluation.metrics.volume_pair import VolumePair
from synthct.imaging.coding import AIR_HU
from synthct.imaging.geometry import Grid, extent_along, resample

# HU -> density relative to water; piecewise linear, constant beyond its ends. The default table of matRad
# (Wieser et al. 2017, Medical Physics 44(6)).
DENSITY_TABLE = (
    (-1024.0, 0.001),
    (-999.0, 0.001),
    (-90.0, 0.95),
    (-45.0, 0.99),
    (0.0, 1.0),
    (100.0, 1.095),
    (350.0, 1.199),
    (3000.0, 2.505),
)
N_DIRECTIONS = 36  # every 10 degrees of the axial plane
STEP_MM = 2.0  # along rays, and between rays of one plane
PLANES_MM = 4.0


def density(hu: np.ndarray) -> np.ndarray:
    """Density relative to water of HU; any shape, float32."""
    table_hu, table_density = np.transpose(DENSITY_TABLE)
    return np.interp(hu, table_hu, table_density).astype(np.float32)


def wepl_median(pair: VolumePair) -> float:
    """Median of |dWEPL| in mm over all points and directions of :func:`wepl_differences`; 0 for equal images."""
    return float(pair.shared(_median_and_p95)[0])


def wepl_p95(pair: VolumePair) -> float:
    """95th percentile of |dWEPL| in mm over all points and directions; 0 for equal images."""
    return float(pair.shared(_median_and_p95)[1])


def wepl_differences(pair: VolumePair) -> np.ndarray:
    """dWEPL = WEPL(sCT) - WEPL(CT) in mm, for 36 directions of parallel rays and a raster of points in the mask.

    WEPL = sum of density x step along a ray in the patient's axial plane, from outside up to the point. A CT counts
    inside its own head and the mask, and air is all around it: neither couch nor head holder, but a skin that lies too
    far out or in. An sCT in which no head was looked for counts inside the CT's; without any head both count inside
    the mask.

    Discretisation: WEPL is linear in density, so the difference of the densities, taken voxel by voxel, is all that is
    needed. It is brought to a raster of 2 mm along the body's axes (smoothed first where that is coarser, so that sums
    along rays keep their value) and turned about the body axis, once for two opposite directions, in axial planes 4 mm
    apart; running sums along rows, with half the point's own voxel, are the integrals from one side and the other.

    Returns:
        float32 (points of all directions,).
    """
    image = pair.grid.place(_density_difference(pair))
    mask = pair.grid.place(pair.mask.astype(np.uint8))
    box = _box_of(mask, image)
    difference = resample(image, _raster(box, 0.0, STEP_MM), outside=0.0)
    found = []
    for angle in np.arange(N_DIRECTIONS // 2) * (2 * np.pi / N_DIRECTIONS):
        turned = _raster(box, angle)
        along = sitk.GetArrayFromImage(resample(difference, turned, outside=0.0, smooth=False))  # (z, rays, steps)
        points = sitk.GetArrayFromImage(resample(mask, turned, interpolation="nearest", outside=0)) > 0
        before = STEP_MM * (np.cumsum(along, axis=2) - along / 2)
        whole = STEP_MM * along.sum(axis=2, keepdims=True)
        found += [before[points], (whole - before)[points]]
    return np.concatenate(found)


def _median_and_p95(pair: VolumePair) -> tuple[float, float]:
    differences = wepl_differences(pair)
    return tuple(np.percentile(np.abs(differences, out=differences), (50, 95), overwrite_input=True))


def _density_difference(pair: VolumePair) -> np.ndarray:
    """Density of the sCT less that of the CT, each air outside its head; float32 on the pair's grid."""
    ct_head = pair.mask if pair.ct_head is None else pair.ct_head | pair.mask
    sct_head = ct_head if pair.sct_head is None else pair.sct_head | pair.mask
    sct, ct = (density(np.where(head, image, AIR_HU)) for image, head in ((pair.sct, sct_head), (pair.ct, ct_head)))
    return np.subtract(sct, ct, out=sct)


def _box_of(mask: sitk.Image, difference: sitk.Image) -> np.ndarray:
    """Least and greatest x, y, z (mm) of all that counts; (2, 3).

    In height from the mask's lowest voxel centre to its highest, so that no plane is interpolated with what lies
    beyond.
    """
    box = np.array(extent_along(mask, np.eye(3)))
    if np.any(sitk.GetArrayViewFromImage(difference)):
        other = np.array(extent_along(sitk.Cast(difference != 0, sitk.sitkUInt8), np.eye(3)))
        box[:, :2] = np.minimum(box[0], other[0])[:2], np.maximum(box[1], other[1])[:2]
    half_voxel_mm = float(np.abs(np.reshape(mask.GetDirection(), (3, 3))[2] * mask.GetSpacing()).sum()) / 2
    box[:, 2] += half_voxel_mm, -half_voxel_mm
    return box


def _raster(box: np.ndarray, angle: float, planes_mm: float = PLANES_MM) -> Grid:
    """The grid of rays along its first axis that holds a box, turned about the body axis."""
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    extent = np.abs(axes.T) @ (box[1] - box[0])
    spacing = np.array([STEP_MM, STEP_MM, planes_mm])
    size = (extent / spacing).astype(int) + [2, 2, 1]
    origin = box.mean(axis=0) - axes @ ((size - 1) / 2 * spacing)
    return Grid.along(axes, size, spacing, origin)
