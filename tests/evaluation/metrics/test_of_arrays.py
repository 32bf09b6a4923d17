"""Metrics of plain arrays: the values of the commands, and masks of any integer type."""

import math

import numpy as np
import pytest
from pairs import heads

from synthct.evaluation.metrics import METRICS, measure
from synthct.evaluation.metrics.of_arrays import measure_arrays

PAIR = heads(error_hu=50)
SPACING_MM = tuple(reversed(PAIR.grid.spacing_mm_xyz))


def test_arrays_give_every_column_that_a_pair_of_volumes_gives():
    found = measure_arrays(PAIR.sct, PAIR.ct, PAIR.mask, SPACING_MM, sct_head=PAIR.sct_head, ct_head=PAIR.ct_head)
    assert found == pytest.approx(measure(PAIR), rel=1e-6, nan_ok=True)
    assert list(found) == [metric.column for metric in METRICS]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_a_mask_of_zeros_and_ones_of_any_type_is_a_mask(dtype):
    plain, other = (
        measure_arrays(PAIR.sct, PAIR.ct, mask, SPACING_MM) for mask in (PAIR.mask, PAIR.mask.astype(dtype))
    )
    assert other == pytest.approx(plain, nan_ok=True)
    assert math.isnan(plain["dice_head"])  # no head was given


def test_labels_are_not_a_mask():
    labels = PAIR.mask.astype(np.uint8) * 3
    with pytest.raises(ValueError, match="mask.*0, 3"):
        measure_arrays(PAIR.sct, PAIR.ct, labels, SPACING_MM)


def test_a_protocol_chooses_the_columns():
    found = measure_arrays(PAIR.sct, PAIR.ct, PAIR.mask, SPACING_MM, protocol="seed")
    assert {"mae_hu", "psnr_db"} <= found.keys() and len(found) < len(METRICS)
