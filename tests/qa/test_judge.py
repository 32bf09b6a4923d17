"""QA statuses, and reasons that a physicist understands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from facts import SIDE, WINDOWS, channel_facts, measurements, mr_facts, output_facts, reference_of
from synthetic_datasets import paired_fingerprint

from synthct.imaging.coding import MrWindow
from synthct.qa import Judgement, Measurements, Reference, judge

FINGERPRINT = paired_fingerprint(
    12, orientation="PIR", size_xyz=(288, 288, 183), spacing_mm_xyz=(0.87, 0.87, 1.0), head_volume_l=4.0,
    head_percentiles={"0.5": 20.0, "5": 160.0, "50": 800.0, "95": 1600.0, "99.5": 2000.0},
)  # fmt: skip
REFERENCE = reference_of(12)


def status_on(measured: Measurements, reference: Reference | None = REFERENCE, windows=WINDOWS) -> Judgement:
    return judge(measured, windows, FINGERPRINT, reference)


def test_a_patient_like_the_others_passes():
    judged = status_on(measurements())
    assert judged.status == "pass" and not judged.reasons
    assert len(judged.checks) > 20 and all(check.status == "pass" for check in judged.checks)


@pytest.mark.parametrize(
    ("mr", "name"),
    [
        (mr_facts(spacing_mm=(1.0, 0.87, 4.0)), "spacing_foot_head_mm"),
        (mr_facts(field_of_view_mm=(90.0, 250.0, 250.0)), "field_of_view_left_right_mm"),
        (mr_facts(oblique_deg=40.0), "oblique_deg"),
        (mr_facts(head_volume_l=1.9), "head_volume_l"),
        (mr_facts(cranium_size_mm=(260.0, 195.0)), "cranium_left_right_mm"),
        (mr_facts(silhouette=tuple(reversed(SIDE))), "orientation_margin"),
        (mr_facts(channel_facts(brain_bright=3.0)), "brain_bright"),
        (mr_facts(channel_facts(noise=0.2)), "noise"),
        (mr_facts(channel_facts(background=0.5)), "background"),
        (mr_facts(channel_facts(shading=5.0)), "shading"),
        (mr_facts(channel_facts(depth_profile=(0.5, 0.5, 3.0, 1.0, 1.0, 1.0, 1.0))), "depth_profile_distance"),
        (mr_facts(channel_facts(quantiles=(1.0,) * 23)), "histogram_distance"),
    ],
)
def test_one_thing_that_is_wrong_is_what_is_reported(mr, name):
    judged = status_on(measurements(mr))
    assert judged.status == "fail"
    also = {"dark_ratio", "bright_ratio"} if name == "histogram_distance" else set()
    assert {check.name for check in judged.checks if check.status == "fail"} <= {name} | also
    assert any(check.sentence in judged.reasons for check in judged.checks if check.name == name)


def test_a_reason_says_what_was_measured_and_what_it_is_held_against():
    (reason,) = status_on(measurements(mr_facts(cranium_size_mm=(260.0, 195.0)))).reasons
    assert reason.startswith("The head's size from left to right above the brows is 260 mm; after 12 patients of the")
    assert reason.endswith(" mm is expected. Check the voxel size, whether the head is complete, and its mask.")


@pytest.mark.parametrize("side", [np.array(SIDE)[:, ::-1], np.array(SIDE)[::-1]], ids=["AP", "head-foot"])
def test_a_turned_head_is_named(side):
    (reason,) = status_on(measurements(mr_facts(silhouette=tuple(map(tuple, side.tolist()))))).reasons
    assert "The head seems to be flipped" in reason and "check the orientation in the file" in reason


def test_a_side_view_like_no_other_is_to_be_checked_but_no_orientation_is_guessed():
    judged = status_on(measurements(mr_facts(silhouette=((150, 0, 0), (0, 150, 0), (0, 0, 150)))))
    assert judged.status == "check" and "side view to other patients', whichever way" in judged.reasons[0]
    assert any("How the head lies, front to back and head to foot, was not judged" in note for note in judged.notes)


def test_where_the_others_lie_either_way_the_orientation_is_not_judged():
    patients = reference_of(12).patients
    turned = tuple(reversed(SIDE))
    mixed = {
        name: replace(record, mr=replace(record.mr, silhouette=turned)) if i % 2 else record
        for i, (name, record) in enumerate(patients.items())
    }
    for side in (SIDE, turned):
        judged = status_on(measurements(mr_facts(silhouette=side)), Reference(patients=mixed))
        assert "orientation_margin" not in [check.name for check in judged.checks]
        assert any("was not judged" in note for note in judged.notes)


def test_less_noise_a_larger_field_of_view_and_a_smaller_error_are_no_fault():
    better = mr_facts(channel_facts(noise=0.001, background=0.0, shading=1.0), field_of_view_mm=(400.0, 400.0, 400.0))
    assert status_on(measurements(better, cycle_error_head=1.0)).status == "pass"


def test_an_sct_with_other_hu_or_a_large_cycle_error_is_reported():
    hu = output_facts().hu
    assert "share of bone" in status_on(measurements(hu=replace(hu, bone=0.6))).reasons[0]
    shifted = replace(hu, quantiles_hu=tuple(quantile + 400 for quantile in hu.quantiles_hu))
    assert "HU histogram" in status_on(measurements(hu=shifted)).reasons[0]
    assert "MR reconstructed from the sCT" in status_on(measurements(cycle_error_head=30.0)).reasons[0]


def test_uncertainty_is_held_against_held_out_patients_with_room_for_what_the_folds_have_seen():
    known = reference_of(12, ensemble_folds=4, uncertainty_head_hu=20.0, uncertainty_bone_hu=50.0)
    (check,) = (
        check
        for check in status_on(measurements(uncertainty_head_hu=21.0), known).checks
        if "uncertainty" in check.name
    )
    assert check.status == "pass"
    assert check.limits.high == pytest.approx(20 * 2 * np.exp(4.618 * 0.1), rel=0.01)  # sqrt(4) folds, a floor of 10 %
    assert status_on(measurements(uncertainty_head_hu=300.0), known).status == "fail"
    unjudged = status_on(measurements(uncertainty_head_hu=300.0))
    assert unjudged.status == "pass" and any("measured but not judged" in note for note in unjudged.notes)


def test_a_doubtful_mask_is_to_be_checked_unless_the_others_are_alike():
    cut = mr_facts(mask_flags=("the head is cut by the left border of the image: what lies outside is unknown",))
    judged = status_on(measurements(cut))
    assert judged.status == "check" and judged.reasons[0].startswith("The head is cut by the left border")
    assert status_on(measurements(cut), reference_of(12, mr=cut)).status != "check"


def test_without_a_reference_the_fingerprint_decides_and_the_notes_say_so():
    judged = status_on(measurements(mr_facts(channel_facts(noise=9.0))), None)
    assert judged.status == "pass" and any("has no qa_reference.json" in note for note in judged.notes)
    assert status_on(measurements(mr_facts(head_volume_l=1.0)), None).status == "fail"


def test_with_nothing_known_only_what_holds_for_every_head_is_checked():
    assert judge(measurements(), WINDOWS).status == "pass"
    assert judge(measurements(mr_facts(head_volume_l=1.0)), WINDOWS).status == "fail"
    assert any("no dataset_fingerprint.json" in note for note in judge(measurements(), WINDOWS).notes)


def test_a_fixed_window_asks_for_the_training_s_scale():
    fixed = (MrWindow("fixed", 0, 2000),)
    weak = measurements(mr_facts(channel_facts(brightest=200.0)))
    assert status_on(weak, windows=fixed).status == "fail" and status_on(weak).status == "pass"
    assert "a fixed window of scanner units" in status_on(weak, windows=fixed).reasons[0]
