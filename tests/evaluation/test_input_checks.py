"""Two folders that a user has scored: wrong units, places and shares are found, poor sCTs are scored."""

from pathlib import Path

import numpy as np
import pytest
from made_up import SHAPE, image
from made_up import head_with_face as head

from synthct.errors import DatasetError
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.input_checks import check_reference, check_sct, coverage_warning
from synthct.evaluation.score import score_patient
from synthct.imaging.io import write_image

SCT, CT = Path("sct.nii.gz"), Path("ct.nii.gz")
ORIGIN = (-100.0, -120.0, 50.0)


def sct_of(array, origin=ORIGIN):
    return image(np.ascontiguousarray(array, np.float32), origin)


GOOD = head(20.0, 1)
WRONG_UNITS = {
    "+1024": GOOD + 1024,
    "+1000": GOOD + 1000,
    "uint16": GOOD + 32768,
    "[-1, 1]": np.clip((GOOD + 1024) / 2048 - 1, -1, 1),
    "[0, 1]": np.clip((GOOD + 1000) / 3000, 0, 1),
    "0..255": np.round(np.clip((GOOD + 1000) / 3000, 0, 1) * 255),
    "halved": GOOD * 0.5,
    "int8": np.clip(np.round(GOOD), -128, 127),
}


@pytest.mark.parametrize("kind", WRONG_UNITS)
def test_an_sct_in_other_units_is_refused_by_name(kind):
    with pytest.raises(DatasetError, match=r"sct\.nii\.gz.*HU"):
        check_sct(sct_of(WRONG_UNITS[kind]), SCT, image(head(), ORIGIN), CT)


@pytest.mark.parametrize("shift", [1000, 1024])
def test_a_shifted_reference_is_refused_with_its_offset(shift):
    with pytest.raises(DatasetError, match=rf"ct\.nii\.gz.*HU.*{shift}"):
        check_reference(image(head() + np.float32(shift), ORIGIN), CT)


def test_a_good_sct_raises_no_doubt_and_poor_ones_are_scored():
    ct = image(head(), ORIGIN)
    assert check_sct(sct_of(GOOD), SCT, ct, CT) == []
    rng = np.random.default_rng(2)
    for poor in (np.full(SHAPE, 40), rng.normal(200, 300, SHAPE), np.where(GOOD > -500, 300, -1000)):
        assert len(check_sct(sct_of(poor), SCT, ct, CT)) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_flip_is_refused_but_not_of_left_and_right(axis):
    ct = image(head(), ORIGIN)
    with pytest.raises(DatasetError, match=r"sct\.nii\.gz.*flipped"):
        check_sct(sct_of(np.flip(GOOD, axis)), SCT, ct, CT)
    assert check_sct(sct_of(np.flip(GOOD, 2)), SCT, ct, CT) == []


def test_another_place_is_named_with_its_cause():
    with pytest.raises(DatasetError, match="origin"):
        check_sct(sct_of(GOOD, (0.0, 0.0, 0.0)), SCT, image(head(), ORIGIN), CT)
    with pytest.raises(DatasetError, match="identity header"):
        check_sct(sct_of(GOOD[1:], (0.0, 0.0, 0.0)), SCT, image(head(), ORIGIN), CT)


def test_doubtful_units_do_not_hide_another_place_or_direction():
    poor = np.where(GOOD > -500, GOOD - 200, GOOD)  # tissue is not a peak near 40 HU
    ct = image(head(), ORIGIN)
    (warning,) = check_sct(sct_of(poor), SCT, ct, CT)
    assert "scored as it is" in warning
    with pytest.raises(DatasetError, match="identity header"):
        check_sct(sct_of(poor[1:], (0.0, 0.0, 0.0)), SCT, ct, CT)
    with pytest.raises(DatasetError, match="flipped"):
        check_sct(sct_of(np.flip(poor, 0)), SCT, ct, CT)


def test_a_copy_of_the_reference_is_warned_of():
    (warning,) = check_sct(sct_of(head()), SCT, image(head(), ORIGIN), CT)
    assert "equals its reference ct.nii.gz" in warning


def test_the_scored_share_of_the_head_is_measured_and_warned_of(tmp_path):
    ct, sct = tmp_path / "ct.nii.gz", tmp_path / "sct.nii.gz"
    write_image(image(head(), ORIGIN), ct)
    for first, warned in ((0, False), (20, True)):
        write_image(sct_of(GOOD[first:], (*ORIGIN[:2], ORIGIN[2] + 5.0 * first)), sct)
        score = score_patient(Reference("P1", ct, from_user=True), {"m": Candidate(sct)}, "seed")
        percent = score.rows["m"].scored_head_percent
        assert (percent < 60) == warned == any(f"{percent:.0f} %" in warning for warning in score.warnings)
        assert bool(score.rows["m"].notes) == warned
    assert coverage_warning("P1", 96.0) == []
