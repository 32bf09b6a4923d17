"""How a head lies is distinguished from its side view."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import head_truth, make_grid

from synthct.imaging.geometry import reorient
from synthct.qa.silhouette import likeness, orientation_of, silhouette_of

GRID = make_grid((60, 80, 84), (3, 3, 3))


def side_of(grid=GRID, **head) -> tuple[tuple[int, ...], ...]:
    return silhouette_of(reorient(head_truth(grid, **head), "LPS"))


OTHERS = [side_of(size=size) for size in (0.95, 0.98, 1.02)]


def test_a_silhouette_is_the_thickness_from_the_side():
    side = np.array(side_of())
    assert 150 <= side.max() <= 182  # mm: the ears stick out of a head of 152 mm
    assert side[-1].max() < side[len(side) // 2].max()  # rows from foot to head: the vertex is thin


def test_voxels_do_not_matter():
    other = side_of(make_grid((92, 124, 50), (2, 2, 5)))
    assert likeness(side_of(), other) > 0.985


def test_a_head_that_lies_as_it_should_fits_best_as_it_lies():
    as_it_lies, turned, _ = orientation_of(side_of(), OTHERS)
    assert as_it_lies > 0.98 and as_it_lies - turned > 0.01


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda side: side[:, ::-1], "flipped front to back"),
        (lambda side: side[::-1], "flipped head to foot"),
        (lambda side: side[::-1, ::-1], "turned by 180 degrees"),
        (lambda side: side.T, "turned by 90 degrees"),
    ],
)
def test_a_turned_head_is_reported(spoil, words):
    as_it_lies, turned, best = orientation_of(spoil(np.array(side_of())), OTHERS)
    assert turned > as_it_lies and best.startswith(words)


def test_an_empty_mask_is_like_nothing():
    empty = sitk.Image(20, 20, 20, sitk.sitkUInt8)
    assert likeness(silhouette_of(empty), side_of()) == 0
