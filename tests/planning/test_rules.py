"""Each rule on small fingerprints made by hand: the reference's value where the data allow it."""

from __future__ import annotations

import pytest
from synthetic_datasets import case_facts, fingerprint, paired_fingerprint, volume_facts

from synthct.imaging.coding import MrWindow
from synthct.planning import rules


def percentiles(low: float, high: float) -> dict[str, float]:
    """Intensities in a head whose 0.5th and 99.5th percentile are given."""
    return {"0.5": low, "5": low, "50": (low + high) / 2, "95": high, "99.5": high}


def windows(*tops: float, lows: float = 0.0) -> rules.Decision:
    """The window for MRs whose 99.5th percentiles are ``tops``."""
    facts = {f"P{i}": case_facts(volume_facts(head_percentiles=percentiles(lows, top))) for i, top in enumerate(tops)}
    return rules.mr_window(fingerprint(facts), 0)


@pytest.mark.parametrize("spacing", [(1.0, 0.87, 0.87), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (1.2, 1.0, 1.0)])
def test_data_as_fine_as_the_reference_get_its_geometry(spacing):
    facts = paired_fingerprint(4, spacing_mm_xyz=spacing)
    assert rules.slice_plane(facts).value == "sagittal"
    assert rules.spacing_mm(facts, "sagittal").value == rules.REFERENCE_SPACING_MM
    assert rules.slice_size(0.87).value == (256, 256)


def test_coarser_data_get_their_own_spacing_with_square_pixels():
    facts = paired_fingerprint(4, spacing_mm_xyz=(2.0, 1.5, 1.2))
    assert rules.spacing_mm(facts, "sagittal").value == (2.0, 1.5, 1.5)
    assert rules.spacing_mm(facts, "axial").value == (
        1.0,
        2.0,
        2.0,
    )  # SI is fine enough for 1.00
    assert rules.spacing_mm(facts, "coronal").value == (1.5, 2.0, 2.0)


def test_one_coarse_scan_among_many_changes_nothing():
    cases = dict(paired_fingerprint(5).cases) | {"X": case_facts(volume_facts(spacing_mm_xyz=(5.0, 5.0, 5.0)))}
    assert rules.spacing_mm(fingerprint(cases), "sagittal").value == rules.REFERENCE_SPACING_MM


@pytest.mark.parametrize(
    ("orientation", "spacing", "plane"),
    [
        ("LPS", (0.9, 0.9, 4.0), "axial"),
        ("SRA", (4.0, 0.9, 0.9), "axial"),
        ("LPS", (0.9, 4.0, 0.9), "coronal"),
        ("PIR", (0.9, 0.9, 4.0), "sagittal"),
        ("LPS", (0.9, 0.9, 2.4), "sagittal"),
        ("LPS", (2.4, 2.4, 3.0), "sagittal"),
        ("LPS", (4.0, 4.0, 4.0), "sagittal"),
    ],
)
def test_slices_are_sagittal_unless_thick_ones_were_acquired(orientation, spacing, plane):
    facts = paired_fingerprint(3, orientation=orientation, spacing_mm_xyz=spacing)
    assert rules.slice_plane(facts).value == plane


def test_without_any_mr_the_cts_decide():
    facts = fingerprint({"P": case_facts(ct=volume_facts(spacing_mm_xyz=(0.9, 0.9, 5.0)))})
    assert rules.slice_plane(facts).value == "axial"


@pytest.mark.parametrize("spacing", [0.3, 0.87, 1.5, 3.0, 20.0])
def test_slices_cover_the_references_field_of_view_in_multiples_of_4(spacing):
    rows, cols = rules.slice_size(spacing).value
    assert rows == cols and rows % 4 == 0
    assert rows == 64 or rows * spacing == pytest.approx(256 * 0.87, abs=2 * spacing)


def test_scanners_that_agree_share_the_references_kind_of_window():
    assert windows(3432, 3432, 3432).value == MrWindow("fixed", 0.0, 3500.0)
    assert windows(1000, 1499).value == MrWindow("fixed", 0.0, 1300.0)
    assert windows(0.70, 0.72).value == MrWindow("fixed", 0.0, 0.71)
    assert windows(3, 4, lows=-5).value == MrWindow("fixed", -5.0, 3.5)


@pytest.mark.parametrize("tops", [(1000, 1600), (300, 3000), (0, 0), (-5, 10), (-10, -5)])
def test_scanners_that_disagree_get_a_window_a_case(tops):
    assert windows(*tops).value == MrWindow("percentile", 0.5, 99.5)


def test_a_window_knows_its_channel_and_its_measurement():
    t1, t2 = (volume_facts(head_percentiles=percentiles(0.0, top)) for top in (1000.0, 200.0))
    facts = fingerprint({"P": type(case_facts())(mr=(t1, t2), ct=None, files_key="")})
    assert [rules.mr_window(facts, channel).value.high for channel in (0, 1)] == [1000, 200]
    assert rules.mr_window(facts, 1).reason.measured == {
        "p99.5 in the head": {"least": 200.0, "median": 200.0, "greatest": 200.0}
    }


@pytest.mark.parametrize(
    ("value", "rounded"), [(3432, 3500), (3500, 3500), (3501, 3600), (99.1, 100), (0.123, 0.13), (1, 1)]
)
def test_windows_end_at_two_significant_digits(value, rounded):
    assert windows(value).value.high == pytest.approx(rounded)


@pytest.mark.parametrize(
    ("crop", "blocks"),
    [((256, 256), 9), ((132, 256), 9), ((128, 128), 6), ((100, 256), 6), ((256, 96), 4), ((64, 64), 4)],
)
def test_small_crops_get_fewer_residual_blocks(crop, blocks):
    assert rules.n_blocks(crop).value == blocks


@pytest.mark.parametrize(("pairs", "folds"), [(24, 4), (4, 4), (3, 3), (2, 2), (1, 1), (0, 1)])
def test_folds_are_four_or_as_many_as_pairs(pairs, folds):
    unpaired = {"M": case_facts(volume_facts()), "C": case_facts(ct=volume_facts())}
    assert rules.n_folds(fingerprint(dict(paired_fingerprint(pairs).cases) | unpaired)).value == folds


def test_an_epoch_is_bounded_by_the_references():
    assert rules.iterations_per_epoch(paired_fingerprint(18), "sagittal", 1.0).value is None
    bounded = rules.iterations_per_epoch(paired_fingerprint(60), "sagittal", 1.0)
    assert bounded.value == 18 * 183
    assert bounded.reason.measured == {"mr slices with head": 60 * 155, "ct slices with head": 60 * 155}
    assert rules.iterations_per_epoch(paired_fingerprint(18), "axial", 1.0).value == 18 * 183  # 230 mm high


def test_the_larger_domain_counts():
    cases = {f"C{i}": case_facts(ct=volume_facts()) for i in range(60)} | {"M": case_facts(volume_facts())}
    assert rules.iterations_per_epoch(fingerprint(cases), "sagittal", 1.0).value == 18 * 183
