"""SSIM against scikit-image, MS-SSIM against a plain transcript of its definition in double precision."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pairs import ball, heads, pair_of
from scipy.signal import fftconvolve
from skimage.metrics import structural_similarity

from synthct.evaluation.metrics.similarity import ms_ssim, ssim


def prepared(pair, low, high):
    """Clipped, air outside the mask, from 0 upwards; float64."""
    return [np.where(pair.mask, np.clip(image, low, high), low).astype(float) - low for image in (pair.ct, pair.sct)]


def cropped(array):
    return array[3:-3, 3:-3, 3:-3]


def at_the_border():
    """A head that the volume's border cuts, as a neck is."""
    pair = heads()
    cut = (slice(10, None), slice(None), slice(None))
    return pair_of(pair.sct[cut], pair.ct[cut], pair.mask[cut])


@pytest.mark.parametrize("pair", [heads(), heads(error_hu=400, seed=3), at_the_border()])
def test_ssim_is_the_mean_of_scikit_images_map_over_the_mask(pair):
    _, full = structural_similarity(*prepared(pair, -1024, 3000), data_range=4024, full=True)
    assert ssim(pair) == pytest.approx(cropped(full)[cropped(pair.mask)].mean(), abs=1e-5)


def test_ssim_of_one_window_by_its_formula():
    rng = np.random.default_rng(0)
    ct = rng.normal(0, 100, (7, 7, 7))
    sct = ct + rng.normal(0, 50, ct.shape)
    x, y = ct.ravel() + 1024, sct.ravel() + 1024
    c1, c2 = (0.01 * 4024) ** 2, (0.03 * 4024) ** 2
    covariance = np.cov(x, y)
    expected = (2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert ssim(pair_of(sct, ct)) == pytest.approx(expected, abs=1e-5)


def transcript_of_ms_ssim(pair):
    """The definition scale by scale on whole volumes: scipy's FFT convolutions, windows by sums of slices."""
    x, y = prepared(pair, -1024, 3071)
    pad = [((97 - n) // 2, 97 - n - (97 - n) // 2) if n < 97 else (0, 0) for n in x.shape]
    x, y, mask = (np.pad(array, pad, mode="edge") for array in (x, y, pair.mask))
    c1, c2 = (0.01 * 4095) ** 2, (0.03 * 4095) ** 2
    result = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):

        def window_mean(a):
            return fftconvolve(a, np.full((7, 7, 7), 1 / 343), mode="valid")

        mx, my, n = window_mean(x), window_mean(y), 343 / 342
        sxx, syy = (np.maximum(n * (window_mean(a * a) - m * m), 0) for a, m in ((x, mx), (y, my)))
        sxy = n * (window_mean(x * y) - mx * my)
        luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        contrast = (2 * np.sqrt(sxx * syy) + c2) / (sxx + syy + c2)
        structure = np.maximum((sxy + c2 / 2) / (np.sqrt(sxx * syy) + c2 / 2), 0)
        result *= (luminance**weight * contrast**weight * structure**weight)[cropped(mask)].mean()
        x, y = (fftconvolve(a, np.full((2, 2, 2), 1 / 8), mode="same")[::2, ::2, ::2] for a in (x, y))
        mask = mask[::2, ::2, ::2]
    return result


@pytest.mark.parametrize("error_hu", [50, 400])
def test_ms_ssim_is_its_definition(error_hu):
    pair = heads(error_hu)
    assert ms_ssim(pair) == pytest.approx(transcript_of_ms_ssim(pair), abs=1e-4)


def test_ms_ssim_of_a_volume_that_needs_no_padding():
    rng = np.random.default_rng(0)
    shape = (98, 101, 97)
    mask = ball(shape, radius=48)
    ct = np.where(mask, rng.normal(100, 300, shape), -1000)
    sct = ct + rng.normal(0, 100, shape)
    pair = pair_of(sct.astype(np.float32), ct.astype(np.float32), mask)
    assert ms_ssim(pair) == pytest.approx(transcript_of_ms_ssim(pair), abs=1e-4)


def test_a_mask_in_the_border_alone_has_no_similarity():
    pair = heads()
    border = np.zeros_like(pair.mask)
    border[:2] = True
    for metric in (ssim, ms_ssim):
        assert math.isnan(metric(replace(pair, mask=border, _shared={})))
