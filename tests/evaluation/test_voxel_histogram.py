import numpy as np
import pytest

from synthct.evaluation.voxel_histogram import BIN_HU, DIFFERENCE_EDGES_HU, EDGES_HU, VoxelHistogram


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    ct = rng.normal(40, 300, (8, 9, 10)).astype(np.float32)
    return ct + rng.normal(20, 80, ct.shape).astype(np.float32), ct, rng.random(ct.shape) < 0.6


def test_counts_are_numpys_and_sums_are_exact(pair):
    sct, ct, mask = pair
    made = VoxelHistogram.of(sct, ct, mask)
    inside = [np.clip(values[mask], EDGES_HU[0], EDGES_HU[-1] - 1) for values in (ct, sct)]
    expected, _, _ = np.histogram2d(*inside, bins=[EDGES_HU, EDGES_HU])
    assert (made.joint == expected).all() and made.voxels == mask.sum()
    middle = np.clip((sct + ct)[mask] / 2, EDGES_HU[0], EDGES_HU[-1] - 1)
    expected, _, _ = np.histogram2d(middle, (sct - ct)[mask], bins=[EDGES_HU, DIFFERENCE_EDGES_HU])
    assert (made.difference == expected).all()
    error = (sct - ct)[mask].astype(float)
    assert made.bias_and_sd == pytest.approx((error.mean(), error.std()))


def test_bias_by_hu_is_that_of_the_voxels_in_each_bin(pair):
    sct, ct, mask = pair
    counts, mean, sd = VoxelHistogram.of(sct, ct, mask).bias_and_sd_by_mean()
    error, middle = (sct - ct)[mask], ((sct + ct) / 2)[mask]
    i = int(np.argmax(counts))
    in_bin = error[(middle >= EDGES_HU[i]) & (middle < EDGES_HU[i] + BIN_HU)]
    assert counts[i] == len(in_bin)
    assert (mean[i], sd[i]) == pytest.approx((in_bin.mean(), in_bin.std()), rel=1e-4)
    assert np.isnan(mean[counts == 0]).all()


def test_patients_add_up_and_nothing_is_lost_beyond_the_edges(pair):
    sct, ct, mask = pair
    both = VoxelHistogram.total([VoxelHistogram.of(sct, ct, mask), VoxelHistogram.of(sct + 5, ct, mask)])
    together = VoxelHistogram.of(np.stack([sct, sct + 5]), np.stack([ct, ct]), np.stack([mask, mask]))
    assert (both.joint == together.joint).all() and both.bias_and_sd == pytest.approx(together.bias_and_sd)
    metal = VoxelHistogram.of(np.array([-5000.0, 9000.0]), np.array([9000.0, 9000.0]), np.array([True, True]))
    assert metal.joint[-1, 0] == metal.joint[-1, -1] == 1 and metal.bias_and_sd[0] == -7000


def test_equal_images_lie_on_the_diagonal(pair):
    _, ct, mask = pair
    made = VoxelHistogram.of(ct, ct, mask)
    assert made.joint.trace() == made.voxels and made.bias_and_sd == (0, 0)


def test_air_and_water_are_centres_of_bins():
    for hu in (-1000.0, 0.0, 1000.0):
        assert ((EDGES_HU[:-1] + EDGES_HU[1:]) / 2 == hu).any()
