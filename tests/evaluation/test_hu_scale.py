"""The scale of an sCT: a wrong one is refused with its slope and offset, a poor sCT is scored."""

import re
from pathlib import Path

import numpy as np
import pytest
from made_up import CENTRE, RADIUS, SHAPE, distance, image

from synthct.errors import DatasetError
from synthct.evaluation.hu_scale import measure_scale
from synthct.evaluation.input_checks import check_reference, check_sct

SCT, CT = Path("sct.nii.gz"), Path("ct.nii.gz")
WINDOW = (-600, 1400)


def reference_hu() -> np.ndarray:
    """A head with fat, brain, bone and an air cavity; float32 HU with noise, in air too."""
    hu = np.full(SHAPE, -1000.0)
    hu[distance() <= RADIUS] = -90
    hu[distance() <= RADIUS - 1.5] = 900
    hu[distance() <= RADIUS - 2.5] = 35
    z, y, x = np.indices(SHAPE)
    hu[np.sqrt((z - CENTRE[0] + 6) ** 2 + (y - CENTRE[1] + 8) ** 2 + (x - CENTRE[2]) ** 2) < 4] = -950
    return (hu + np.random.default_rng(0).normal(0, 8, SHAPE)).astype(np.float32)


REFERENCE = reference_hu()
OUTSIDE = distance() > RADIUS + 0.5


def sct_hu(noise: float = 40.0, contrast: float = 1.0) -> np.ndarray:
    """An honest sCT of a network with the reference method's window; -1000 outside the head.

    Args:
        noise: SD, HU.
        contrast: of tissue and bone about soft tissue; 1 is the reference's, less is regression to the mean.
    """
    hu = REFERENCE + np.random.default_rng(1).normal(0, noise, SHAPE)
    hu = np.where(REFERENCE > -200, 35 + contrast * (hu - 35), hu)
    return np.where(OUTSIDE, -1000.0, np.clip(hu, *WINDOW))


def check(sct: np.ndarray, reference: np.ndarray = REFERENCE) -> list[str]:
    ct = image(np.ascontiguousarray(reference, np.float32))
    check_reference(ct, CT)
    return check_sct(image(np.ascontiguousarray(sct, np.float32)), SCT, ct, CT)


HONEST = {
    "good": sct_hu(),
    "noisy": sct_hu(noise=150.0),
    "slope 0.7 in the head": sct_hu(contrast=0.7),
    "slope 0.5 in the head": sct_hu(contrast=0.5),
    "without bone": np.minimum(sct_hu(), 300),
    "soft tissue 60 HU too dense": np.where(OUTSIDE, -1000, sct_hu() + 60),
}
DOUBTFUL = {  # air is wrong, and tissue and bone are as a poor sCT can have them
    "cut off at -600": np.maximum(sct_hu(), -600),
    "cut off at -500": np.maximum(sct_hu(), -500),
    "cut off at -800": np.maximum(sct_hu(), -800),
    "cut off at -600, slope 0.7 in the head": np.maximum(sct_hu(noise=300.0, contrast=0.7), -600),
    "padded with -2000": np.where(OUTSIDE, -2000, sct_hu()),
    "padded with -3024": np.where(OUTSIDE, -3024, sct_hu(noise=150.0)),
}
SCALED = {  # factor, offset
    "doubled": (2.0, 0.0),
    "halved": (0.5, 0.0),
    "tripled": (3.0, 0.0),
    "halved and shifted": (0.5, -1024.0),
}
OF_AN_SCT = {  # contrast, SD of noise in air
    "good": (1.0, 0.0),
    "good, with noise in air": (1.0, 10.0),
    "slope 0.7 in the head": (0.7, 0.0),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_sct_is_scored_however_poor_and_nothing_is_said_of_its_air(kind):
    warnings = check(HONEST[kind])
    assert all("It is scored as it is" in warning and "has air" not in warning for warning in warnings)


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_an_sct_whose_air_alone_is_wrong_is_scored_with_a_warning_that_names_its_air(kind):
    (warning,) = check(DOUBTFUL[kind])
    air_hu = np.median(DOUBTFUL[kind][OUTSIDE])
    assert warning.startswith("sct.nii.gz ") and f"{air_hu:.0f} where the reference has air" in warning


@pytest.mark.parametrize("of", OF_AN_SCT)
@pytest.mark.parametrize("kind", SCALED)
def test_a_scaled_sct_is_refused_with_its_slope_and_offset(kind, of):
    contrast, noise_in_air = OF_AN_SCT[of]
    factor, offset = SCALED[kind]
    hu = sct_hu(contrast=contrast) + OUTSIDE * np.random.default_rng(2).normal(0, noise_in_air, SHAPE)
    with pytest.raises(DatasetError, match=r"sct\.nii\.gz.*HU") as fault:
        check(hu * factor + offset)
    slope, sign, measured = re.search(r"are (\S+) x HU ([+-])(\d+)", str(fault.value)).groups()
    assert float(slope) == pytest.approx(factor, rel=0.1)
    assert float(sign + measured) == pytest.approx(offset, abs=100 * factor)


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.25, 1.5, 2.0, 3.0])
def test_where_both_are_scaled_the_reference_is_refused_with_its_factor(factor):
    with pytest.raises(DatasetError, match=r"^ct\.nii\.gz.*HU") as fault:
        check(sct_hu() * factor, REFERENCE * factor)
    (measured,) = re.search(r"multiplied by ([\d.]+);", str(fault.value)).groups()
    assert float(measured) == pytest.approx(factor, rel=0.05)


def test_an_sct_that_equals_its_reference_has_slope_1_and_offset_0():
    scale = measure_scale(REFERENCE.ravel(), REFERENCE.ravel())
    assert (scale.slope, scale.offset) == pytest.approx((1, 0), abs=1e-3)
    assert (scale.spread, scale.likeness) == pytest.approx((1, 1))
    assert not scale.is_wrong and scale.explanation is None


def test_without_air_or_contrast_no_scale_is_measured():
    tissue = REFERENCE[REFERENCE > -200]
    assert measure_scale(tissue, tissue) is None
    assert measure_scale(np.full(REFERENCE.size, 40.0), REFERENCE.ravel()) is None
