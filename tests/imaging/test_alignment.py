"""Figures that distinguish an aligned pair from one that is not, without a truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.imaging.alignment import Alignment, alignment_of, largest_motion_mm
from synthct.imaging.registration import HeadPair
from synthct.phantom import make_phantom_patient

GOOD = Alignment(shift_mm=3.0, rotation_deg=2.0, overlap=0.95, head_dice=0.97, bone_darker_probability=0.9)


@pytest.fixture(scope="module")
def pair() -> HeadPair:
    patient = make_phantom_patient(1, voxel_scale=1.5)
    return HeadPair(patient.mr, patient.mr_head_mask, patient.ct, patient.ct_head_mask)


def moved(shift_mm=(0.0, 0.0, 0.0), turn_deg=(0.0, 0.0, 0.0)) -> sitk.Euler3DTransform:
    return sitk.Euler3DTransform((0.0, 0.0, -20.0), *map(float, np.radians(turn_deg)), shift_mm)


def test_nothing_speaks_against_an_aligned_pair(pair):
    alignment = alignment_of(pair)
    assert alignment.problems_found() == ()
    assert (alignment.shift_mm, alignment.rotation_deg) == (0, 0)
    assert alignment.overlap > 0.95


@pytest.mark.parametrize(
    "wrong",
    [moved((5, 0, 0)), moved((0, -5, 0)), moved((0, 0, 5)), moved(turn_deg=(6, 0, 0)), moved(turn_deg=(0, 0, 6))],
    ids=["left", "front", "up", "nodded", "turned"],
)
def test_a_few_millimetres_or_degrees_off_are_reported_by_the_bone(pair, wrong):
    assert any("bone" in objection for objection in alignment_of(pair, wrong).problems_found())


def test_an_upside_down_head_is_reported_by_more_than_one_figure(pair):
    assert len(alignment_of(pair, moved(turn_deg=(180, 0, 0))).problems_found()) >= 2


def test_shift_and_rotation_are_those_of_the_transform(pair):
    alignment = alignment_of(pair, moved((3.0, 4.0, 0.0), (0.0, 0.0, 10.0)))
    assert alignment.rotation_deg == pytest.approx(10.0, abs=1e-6)
    assert alignment.shift_mm == pytest.approx(5.0, abs=3.0)  # the middle of the head is near the centre of rotation


def test_overlap_is_the_share_of_the_mrs_head_that_the_ct_shows(pair):
    n_slices = pair.ct.GetSize()[2]
    top = replace(pair, ct=pair.ct[:, :, 2 * n_slices // 3 :], ct_mask=pair.ct_mask[:, :, 2 * n_slices // 3 :])
    assert alignment_of(top).overlap == pytest.approx(0.3, abs=0.1)
    assert alignment_of(top, moved((0.0, 0.0, -500.0))).overlap == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rotation_deg": 40.0}, "turned by 40 degrees"),
        ({"overlap": 0.1}, "covers only 10%"),
        ({"head_dice": 0.8}, "Dice of 0.80"),
        ({"bone_darker_probability": 0.6}, "probability of only 0.60"),
    ],
)
def test_every_figure_has_its_objection(changed, words):
    assert GOOD.problems_found() == ()
    (objection,) = replace(GOOD, **changed).problems_found()
    assert words in objection


def test_the_largest_motion_is_that_of_a_corner_of_the_head(pair):
    assert largest_motion_mm(moved((2.0, 0.0, 0.0)), pair.mr_mask) == pytest.approx(2.0, abs=1e-6)
    assert 5 < largest_motion_mm(moved(turn_deg=(0, 0, 3)), pair.mr_mask) < 10
