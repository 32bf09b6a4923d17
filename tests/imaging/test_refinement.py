"""Refinement of a rigid registration: only where something has moved, and never to a worse alignment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.imaging import refinement
from synthct.imaging.alignment import Alignment
from synthct.imaging.geometry import Grid
from synthct.imaging.refinement import refine
from synthct.imaging.registration import HeadPair

GRID = Grid((20, 20, 20), (10.0,) * 3, (-95.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
SOLID = GRID.place(np.ones(GRID.array_shape, np.uint8))
PAIR = HeadPair(SOLID, SOLID, SOLID, SOLID)
POINT = (10.0, 20.0, 30.0)
GOOD = Alignment(shift_mm=0.0, rotation_deg=0.0, overlap=1.0, head_dice=0.95, bone_darker_probability=0.9)


def shifted(by_mm: float) -> sitk.DisplacementFieldTransform:
    """Along z."""
    vectors = np.tile((0.0, 0.0, by_mm), (*GRID.array_shape, 1))
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(SOLID)
    return sitk.DisplacementFieldTransform(field)


@pytest.fixture
def found(monkeypatch):
    """Local motion of 5 mm, a cranium that lies 8 mm to the left, and alignments that are as good afterwards."""
    values = {"motion": shifted(5.0), "after": GOOD, "masks": [], "cranium_mm": 8.0}

    def registered(pair, start):
        values["masks"].append(sitk.GetArrayFromImage(pair.mr_mask))
        cranium = sitk.Euler3DTransform()
        cranium.SetTranslation((values["cranium_mm"], 0.0, 0.0))
        return cranium

    monkeypatch.setattr(refinement, "local_motion", lambda *_: values["motion"])
    monkeypatch.setattr(refinement, "refine_registration", registered)
    monkeypatch.setattr(refinement, "alignment_of", lambda _, transform=None: values["after"] if transform else GOOD)
    return values


def test_where_nothing_has_moved_the_pair_stays_as_it_is(found):
    found["motion"] = shifted(0.0)
    assert refine(PAIR, SOLID, SOLID).TransformPoint(POINT) == POINT
    assert not found["masks"]


def test_where_something_has_moved_the_cranium_is_registered_by_itself_and_the_rest_from_there(found):
    assert refine(PAIR, SOLID, SOLID).TransformPoint(POINT) == pytest.approx((18.0, 20.0, 35.0))
    (mask,) = found["masks"]
    assert mask[12:].all() and not mask[:11].any()  # 85 of 200 mm; slices run upwards


def test_a_cranium_that_is_registered_as_well_as_can_be_stays(found):
    found["cranium_mm"] = 5.0  # half a voxel
    assert refine(PAIR, SOLID, SOLID).TransformPoint(POINT) == pytest.approx((10.0, 20.0, 35.0))


@pytest.mark.parametrize("figure", ["head_dice", "bone_darker_probability"])
def test_a_refinement_that_makes_a_figure_worse_is_dropped(found, figure):
    found["after"] = replace(GOOD, **{figure: getattr(GOOD, figure) - 0.05})
    assert refine(PAIR, SOLID, SOLID).TransformPoint(POINT) == POINT
