"""Whether a CT is in HU: shifted, scaled and filled-in values are found, with what was measured; sound CTs pass."""

from __future__ import annotations

import re

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.imaging.ct_units import ct_unit_problems, shows_air

GRID = make_grid((50, 62, 62), (4, 4, 4))
NOISE_HU = {"without noise": 0.0, "noise of 15 HU": 15.0}


@pytest.fixture(params=NOISE_HU)
def hu(request) -> np.ndarray:
    """A CT of a head on a couch, float64 (z, y, x)."""
    values = sitk.GetArrayFromImage(head_ct(GRID, couch=True)).astype(float)
    return values + np.random.default_rng(0).normal(0, NOISE_HU[request.param], values.shape)


def problems(values: np.ndarray) -> list[str]:
    found = ct_unit_problems(GRID.place(values.astype(np.float32)), "P.nii.gz")
    assert all(
        sentence.startswith("P.nii.gz is not in HU") and sentence.endswith(".") and "\n" not in sentence
        for sentence in found
    )
    return found


def only_problem(values: np.ndarray) -> str:
    (found,) = problems(values)
    return found


def padded(values: np.ndarray, padding: float) -> np.ndarray:
    result = values.copy()
    result[:, :5] = padding
    return result


def outside_patient(values: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(values < -400)
    return labels == labels[-1, 0, 0]


@pytest.mark.parametrize(
    "changed",
    [
        lambda hu: hu,
        lambda hu: hu + 20,  # another calibration
        lambda hu: np.clip(hu, -1000, 3071),
        lambda hu: np.clip(hu, -1024, 1500),
        lambda hu: np.where(hu < -900, -1024, hu),
        lambda hu: padded(hu, -1024),
        lambda hu: padded(hu, -2000),
        lambda hu: padded(hu, -3024),
        lambda hu: np.where(sitk.GetArrayFromImage(head_truth(GRID)) > 0, hu, -1000),
        lambda hu: np.where(sitk.GetArrayFromImage(head_truth(GRID)) > 0, hu, -2000),
        lambda hu: np.where((hu > 20) & (hu < 60) & (np.indices(hu.shape).sum(0) % 5 < 3), hu - 130, hu),  # much fat
    ],
)
def test_a_ct_in_hu_passes(hu, changed):
    assert problems(changed(hu)) == []


@pytest.mark.parametrize(
    ("shift", "action"),
    [(1000, "subtract 1000"), (1024, "subtract 1024"), (-1000, "add 1000"), (500, "subtract about ")],
)
@pytest.mark.parametrize("padding", [None, -3024, -2000])
def test_a_shift_is_reported_as_it_was_measured(hu, shift, action, padding):
    values = hu + shift if padding is None else padded(hu + shift, padding + min(shift, 0))
    message = only_problem(values)
    assert action in message and "RescaleIntercept" in message


def test_air_that_was_clipped_before_the_shift_does_not_hide_it(hu):
    assert "subtract 1024" in only_problem(np.where(hu < -950, -1024, hu) + 1024)


@pytest.mark.parametrize("factor", [0.5, 2.0, 0.1, 1e-3, 3.0])
def test_a_wrong_slope_is_reported(hu, factor):
    assert f"multiplied by {factor:.2g}" in only_problem(hu * factor).replace("0.099", "0.1").replace(
        "0.00099", "0.001"
    )


@pytest.mark.parametrize("factor", [1.25, 1.5])
def test_noisy_air_below_minus_1100_is_scaled_and_not_padding(factor):
    """Soft tissue that is a little low leaves the two apart by the noise of air alone."""
    hu = sitk.GetArrayFromImage(head_ct(GRID)).astype(float)
    hu[hu > -200] -= 10
    hu += np.random.default_rng(0).normal(0, 15, hu.shape)
    assert f"multiplied by {factor:.2g}" in only_problem(hu * factor)
    assert problems(padded(hu, -1000 * factor)) == []


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.3, 2.0])
def test_a_slope_lost_beside_the_right_intercept_is_reported(hu, factor):
    """Air at -1000 and soft tissue elsewhere, as of a CT whose raw values were scaled."""
    (tissue,) = re.search(r"soft tissue near (\S+),", only_problem((hu + 1000) * factor - 1000)).groups()
    assert float(tissue) == pytest.approx(1035 * factor - 1000, abs=15)


@pytest.mark.parametrize("value", [0, 100, -200])
def test_a_background_that_is_not_air_is_reported(hu, value):
    message = only_problem(np.where(outside_patient(hu), value, hu))
    assert f"background is {value}" in message and "-1000" in message


@pytest.mark.parametrize("lowest", [0, -200])
def test_a_ct_clipped_above_air_is_reported(hu, lowest):
    assert f"{lowest}" in only_problem(np.maximum(hu, lowest))


@pytest.mark.parametrize(
    "changed",
    [
        lambda hu: np.clip((hu + 1024) / 4095 * 2 - 1, -1, 1),  # a network's range
        lambda hu: np.clip((hu + 600) / 2000 * 255, 0, 255),  # grey levels
        lambda hu: padded((hu + 1024) * 3, -2000),
    ],
)
def test_other_units_are_reported(hu, changed):
    assert "RescaleSlope" in only_problem(changed(hu))


@pytest.mark.parametrize("scale", [0.1, 1.0, 1.2, 2.0])
def test_an_mr_is_not_to_be_filled_with_air(scale):
    mr = head_mr(GRID, scale=scale)
    (message,) = ct_unit_problems(mr, "P.nii.gz")
    assert not shows_air(mr) and "set it to" not in message


def test_a_ct_shows_air():
    assert shows_air(head_ct(GRID))
