"""HU in the upper head, and means inside head and bone."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_datasets import small_configuration

from synthct.qa.measure_sct import measure_hu, measure_output, upper_part

WINDOW_HU = (-600.0, 1400.0)
PLAN = small_configuration(spacing_mm=(5.0, 5.0, 5.0), slice_scale=1.0).preprocessing
HEAD = np.zeros((20, 60, 20), bool)
HEAD[5:15, 4:56, 4:16] = True  # 260 mm from the vertex to the neck


def test_the_upper_part_ends_160_mm_below_the_vertex():
    upper = upper_part(HEAD, "sagittal", (5.0, 5.0, 5.0))
    assert np.flatnonzero(upper.any(axis=(0, 2))).tolist() == list(range(4, 36))
    axial = np.moveaxis(HEAD, 1, 0)[::-1]  # numbered from foot to head
    assert np.array_equal(upper_part(axial, "axial", (5.0, 5.0, 5.0)), np.moveaxis(upper, 1, 0)[::-1])


def test_shares_and_quantiles_are_those_of_the_upper_head_within_the_window():
    hu = np.full(HEAD.shape, 40.0)
    hu[:, 4:12] = 3000.0  # a quarter of what counts; clipped to 1400
    hu[:, 36:] = -1000.0  # neck
    facts = measure_hu(hu, HEAD, PLAN, WINDOW_HU)
    assert (facts.air, facts.soft, facts.bone) == (0, 0.75, 0.25)
    assert facts.quantiles_hu[-1] == 1400 and facts.quantiles_hu[0] == 40


def test_errors_are_means_inside_head_and_bone_of_the_slices_that_were_measured():
    hu = np.where(np.arange(60)[None, :, None] < 20, 800.0, 40.0) * np.ones(HEAD.shape)
    error = np.full(HEAD.shape, np.nan)  # in slices that were not measured
    error[6], error[10] = 2.0, 4.0
    error[~HEAD] = 99.0
    facts = measure_output(hu, HEAD, PLAN, WINDOW_HU, cycle_error=error, spread_hu=hu / 10)
    assert facts.cycle_error_head == facts.cycle_error_bone == 3.0
    assert facts.uncertainty_bone_hu == pytest.approx(80)
    assert facts.uncertainty_head_hu == pytest.approx((16 * 80 + 36 * 4) / 52, abs=1e-3)


def test_what_was_not_measured_is_none():
    facts = measure_output(np.full(HEAD.shape, 40.0), HEAD, PLAN, WINDOW_HU)
    assert facts.uncertainty_head_hu is facts.cycle_error_head is facts.cycle_error_bone is None
    with pytest.raises(ValueError, match="empty"):
        measure_hu(np.zeros(HEAD.shape), np.zeros(HEAD.shape, bool), PLAN, WINDOW_HU)
