"""WEPL differences against closed forms of a cylinder and a march along every ray in steps of a quarter millimetre."""

import numpy as np
import pytest
import SimpleITK as sitk
from pairs import grid_of
from scipy.interpolate import RegularGridInterpolator
from scipy.optimize import brentq

from synthct.evaluation.metrics import VolumePair
from synthct.evaluation.metrics.wepl import density, wepl_differences, wepl_median, wepl_p95

RADIUS_MM = 80.0
OBLIQUE = sitk.Euler3DTransform((0, 0, 0), 0.15, -0.1, 0.2).GetMatrix()


def points_of(grid):
    """Physical points (mm) of all voxels (z, y, x, 3)."""
    index_xyz = np.moveaxis(np.indices(grid.array_shape), 0, -1)[..., ::-1]
    return np.asarray(grid.origin_mm) + (index_xyz * grid.spacing_mm_xyz) @ grid.axes.T


def cylinder(grid, radius_mm=RADIUS_MM, height_mm=30.0):
    """A cylinder along the body's axis in the middle of a grid, and the points relative to its centre."""
    points = points_of(grid) - grid.point((np.array(grid.size_xyz) - 1) / 2)
    return (np.hypot(points[..., 0], points[..., 1]) <= radius_mm) & (np.abs(points[..., 2]) <= height_mm / 2)


def depth_exceeded_by(share):
    """Depth (mm) of points in a disc, over all directions: the share deeper than d is that of two discs d apart."""

    def deeper(d):
        half = d / 2 / RADIUS_MM
        return 2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half**2))

    return brentq(lambda d: deeper(d) - share, 0, 2 * RADIUS_MM)


@pytest.mark.parametrize(
    "spacing_mm, direction", [((1, 1, 3), np.eye(3).ravel()), ((1.5, 2.5, 2), OBLIQUE)], ids=["straight", "oblique"]
)
def test_a_cylinder_of_water_against_air_has_the_depths_of_a_disc(spacing_mm, direction):
    shape = tuple(round(extent / spacing) for extent, spacing in zip((60, 200, 200), spacing_mm[::-1]))
    grid = grid_of(shape, spacing_mm, direction)
    inside, whole = cylinder(grid), cylinder(grid, height_mm=55.0)  # the head goes on above and below the points
    air = np.full(grid.array_shape, -1000.0)
    pair = VolumePair(np.where(whole, 0.0, air), air, inside, grid, 2, whole, whole)
    water = 1 - 0.001
    assert wepl_median(pair) == pytest.approx(water * depth_exceeded_by(0.5), abs=0.3)
    assert wepl_p95(pair) == pytest.approx(water * depth_exceeded_by(0.05), abs=0.3)
    mean = 8 * RADIUS_MM / (3 * np.pi) * water  # of the distance to the border of a disc
    assert wepl_differences(pair).mean() == pytest.approx(mean, abs=0.3)


def test_an_sct_that_is_ten_percent_too_dense_has_ten_percent_more_wepl():
    grid = grid_of((8, 100, 100), (2, 2, 4))
    inside = cylinder(grid)
    dense = np.interp(1.05, (1.0, 1.095), (0.0, 100.0))  # HU of a density of 1.05
    pair = VolumePair(np.where(inside, dense, -1000.0), np.where(inside, 0.0, -1000.0), inside, grid)
    assert wepl_median(pair) == pytest.approx(0.05 * depth_exceeded_by(0.5), rel=0.02)
    assert (wepl_differences(pair) > -1e-3).all()


def test_couch_and_air_around_the_head_do_not_count_but_a_thick_skin_does():
    grid = grid_of((8, 120, 120), (2, 2, 4))
    head, thick = cylinder(grid, 80), cylinder(grid, 84)
    ct, sct = np.where(head, 0.0, -1000.0), np.where(thick, 0.0, -1000.0)
    couch = np.zeros_like(head)
    couch[:, -6:] = True
    with_couch = VolumePair(ct, np.where(couch, 200.0, ct), head, grid, 2, head, head)
    assert wepl_p95(with_couch) == 0
    skin = VolumePair(sct, ct, head, grid, 2, thick, head)
    # At normal incidence a skin of 4 mm adds 4 mm, more where rays are slanted; each ray passes it once.
    assert 4 <= wepl_median(skin) < 6
    assert wepl_p95(VolumePair(sct, ct, head, grid)) == 0  # without heads both count inside the mask


def test_differences_are_those_of_a_march_along_the_rays():
    rng = np.random.default_rng(0)
    grid = grid_of((20, 90, 80), (1.8, 1.6, 3.0), OBLIQUE)
    mask = cylinder(grid, 60.0, 36.0)
    ct = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(grid.place(rng.normal(0, 6000, mask.shape)), 4.0))
    ct, sct = np.clip(ct + 100, -1000, 2000), np.clip(ct * 0.8 + 60, -1000, 2000)
    pair = VolumePair(sct, ct, mask, grid)

    dense = [density(np.where(mask, image, -1000.0)).astype(float) for image in (sct, ct)]
    at = RegularGridInterpolator(
        [np.arange(n) for n in mask.shape], dense[0] - dense[1], bounds_error=False, fill_value=0
    )
    points = points_of(grid)[mask]
    points = points[rng.integers(len(points), size=400)]
    step = 0.25
    back = (np.arange(600) + 0.5) * step
    marched = []
    for angle in np.radians(np.arange(0, 360, 10)):
        along = points[:, None] - back[:, None] * np.array([np.cos(angle), np.sin(angle), 0.0])
        index_xyz = (along - grid.origin_mm) @ grid.axes / grid.spacing_mm_xyz
        marched.append(at(index_xyz[..., ::-1]).sum(axis=1) * step)
    marched = np.abs(np.concatenate(marched))

    assert wepl_median(pair) == pytest.approx(np.median(marched), rel=0.08)
    assert wepl_p95(pair) == pytest.approx(np.percentile(marched, 95), rel=0.08)
    assert np.percentile(marched, 95) > 1  # the comparison is of something


def test_the_density_table_is_piecewise_linear_and_constant_beyond_its_ends():
    hu = np.array([-3000, -1024, -999, -544.5, 0, 50, 225, 3000, 9000])
    expected = [0.001, 0.001, 0.001, 0.4755, 1.0, 1.0475, 1.147, 2.505, 2.505]
    np.testing.assert_allclose(density(hu), expected, rtol=1e-6)
