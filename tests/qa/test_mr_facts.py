"""What is measured in an MR: known heads, and what spoils them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import head_mr, head_truth, make_grid, points_mm

from synthct.dataset.images import CaseImages
from synthct.qa.mr_facts import MrFacts, measure_mr

GRID = make_grid((66, 84, 84), (3, 3, 3))


def facts_of(mr: sitk.Image, grid=GRID) -> MrFacts:
    images = CaseImages("P", (mr,))
    return measure_mr(images.mr, head_truth(grid), images.mr_scanned)


def array_of(mr: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mr)


def test_geometry_is_reported_along_the_body_whatever_the_file_s_axes():
    grid = make_grid((66, 84, 56), (3, 3, 4.5), "SRP")
    facts = facts_of(head_mr(grid), grid)
    assert facts.orientation == "SRP" and facts.oblique_deg == 0
    assert facts.spacing_mm == (3, 3, 4.5) and facts.field_of_view_mm == (198, 252, 252)
    assert facts.cranium_size_mm[0] == pytest.approx(152, abs=6)
    assert facts.cranium_size_mm[1] == pytest.approx(195, abs=9)


def test_ratios_do_not_depend_on_the_scanner_s_scale():
    plain, other = (facts_of(head_mr(GRID, scale=scale)).channels[0] for scale in (1, 7))
    assert other.median == pytest.approx(7 * plain.median) and other.brightest == pytest.approx(7 * plain.brightest)
    assert other.quantiles == pytest.approx(plain.quantiles, abs=1e-3)
    assert other.depth_profile == pytest.approx(plain.depth_profile, abs=1e-3)
    assert (other.noise, other.shading) == pytest.approx((plain.noise, plain.shading), abs=1e-3)


def test_the_depth_profile_shows_dark_bone_between_scalp_and_brain():
    channel = facts_of(head_mr(GRID)).channels[0]
    scalp, bone, brain = channel.depth_profile[0], min(channel.depth_profile[1:4]), channel.depth_profile[-1]
    assert bone < 0.7 * brain < scalp


def test_noise_is_its_share_of_the_brain():
    channel = facts_of(head_mr(GRID)).channels[0]
    assert channel.noise == pytest.approx(12 / 600, rel=0.1)  # as head_mr makes it
    mr = head_mr(GRID)
    noisy = array_of(mr) + np.random.default_rng(1).normal(0, 60, GRID.array_shape)
    assert facts_of(GRID.place(noisy)).channels[0].noise == pytest.approx(np.hypot(12, 60) / 600, rel=0.1)


def test_ghosts_show_in_the_background():
    values = array_of(head_mr(GRID))
    ghosted = GRID.place(values + 0.2 * np.roll(values, 42, axis=1))
    clean, spoilt = (facts_of(mr).channels[0].background for mr in (head_mr(GRID), ghosted))
    assert spoilt > 3 * clean


def test_a_bias_field_is_shading():
    front_to_back = points_mm(GRID)[1]
    biased = GRID.place(array_of(head_mr(GRID)) * np.exp(0.7 * front_to_back / 100))
    assert facts_of(head_mr(GRID)).channels[0].shading < 1.2 < 1.4 < facts_of(biased).channels[0].shading


def test_dark_and_bright_fluid_are_reported_apart():
    values = array_of(head_mr(GRID))
    x, y, z = points_mm(GRID)
    ventricles = (x / 30) ** 2 + (y / 40) ** 2 + ((z - 30) / 25) ** 2 < 1
    for level, expected in ((150, "dark"), (1500, "bright")):
        channel = facts_of(GRID.place(np.where(ventricles, level, values))).channels[0]
        assert (channel.brain_dark < 0.5) == (expected == "dark")
        assert (channel.brain_bright > 2) == (expected == "bright")
