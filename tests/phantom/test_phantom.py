"""The example phantom: reproducible, with the contrasts, ranges and misalignments it promises."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk

from synthct.parallel import CaseRunner
from synthct.phantom import (
    FLAIR,
    PROTON_DENSITY,
    T1_INVERSION,
    T1_SEED,
    T2,
    GradientEcho,
    PaintedPatient,
    PhantomOptions,
    PhantomPatient,
    SpinEcho,
    make_example_dataset,
    make_phantom_patient,
)
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.patient import rigid_offset
from synthct.phantom.tissue_properties import CORTICAL_BONE, CSF, FAT, GREY_MATTER, MUSCLE, WHITE_MATTER, Tissue

SCALE = 3.5
MR_MEAN, CT_MEAN_HU = 633.48219, -684.13398  # of patient 0; scanner units, HU


@cache
def patient(index: int = 0, misalignment_mm: float = 3.0) -> PhantomPatient:
    return make_phantom_patient(index, voxel_scale=SCALE, misalignment_mm=misalignment_mm)


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def on_grid(image: sitk.Image, grid: sitk.Image, outside: float) -> np.ndarray:
    return array(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, outside))


def height_mm(image: sitk.Image) -> np.ndarray:
    """z (mm, superior) of every voxel of an axial image, (z, 1, 1)."""
    return (image.GetOrigin()[2] + image.GetSpacing()[2] * np.arange(image.GetSize()[2]))[:, None, None]


def test_same_seed_and_index_give_identical_images_and_others_differ():
    again = make_phantom_patient(0, voxel_scale=SCALE)
    assert np.array_equal(array(again.mr), array(patient().mr))
    assert np.array_equal(array(again.ct), array(patient().ct))
    assert not np.array_equal(array(patient(1).ct), array(patient().ct))
    assert not np.array_equal(array(make_phantom_patient(0, seed=1, voxel_scale=SCALE).mr), array(patient().mr))


def test_grids_are_those_of_the_two_scanners():
    mr, ct = patient().mr, patient().ct
    assert mr.GetPixelID() == ct.GetPixelID() == sitk.sitkInt16
    assert np.allclose(mr.GetSpacing(), np.array((0.87, 0.87, 1.0)) * SCALE)
    assert np.allclose(np.array(mr.GetSize()) * mr.GetSpacing(), (288 * 0.87, 288 * 0.87, 183), atol=SCALE)
    assert np.allclose(mr.GetDirection(), (0, 0, -1, 1, 0, 0, 0, -1, 0))
    assert np.allclose(ct.GetDirection(), np.eye(3).ravel())
    for image, mask in ((mr, patient().mr_head_mask), (ct, patient().ct_head_mask)):
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert (mask.GetSize(), mask.GetOrigin()) == (image.GetSize(), image.GetOrigin())


def test_ct_numbers_are_those_of_a_head():
    ct, head = array(patient().ct), array(patient().ct_head_mask) > 0
    assert np.percentile(ct[~head], 25) < -980
    assert 0.002 < (ct[head] > 700).mean() < 0.2
    assert ct.max() < 3072
    brain = np.array(patient().landmarks_mm["sella"]) + (20, 40, 60)
    index = patient().ct.TransformPhysicalPointToIndex(brain.tolist())[::-1]
    around = tuple(slice(i - 3, i + 4) for i in index)
    assert 20 <= np.median(ct[around]) <= 50
    assert 3e6 < head.sum() * np.prod(patient().ct.GetSpacing()) < 7e6


def test_bone_and_air_are_both_dark_on_mr_and_far_apart_on_ct():
    assert T1_SEED.signal(CORTICAL_BONE) < 0.05 * T1_SEED.signal(WHITE_MATTER)
    mr = array(patient(0, 0.0).mr)
    ct = on_grid(patient(0, 0.0).ct, patient(0, 0.0).mr, -1000)
    head = array(patient(0, 0.0).mr_head_mask) > 0
    bone, sinus = head & (ct > 1050), head & (ct < -850)
    brain = np.median(mr[head & (ct > 20) & (ct < 50)])
    assert np.median(mr[bone]) < 0.5 * brain
    assert np.median(mr[sinus]) < 0.35 * brain
    assert np.median(ct[bone]) - np.median(ct[sinus]) > 1500


def test_white_matter_and_fat_lie_in_the_references_window():
    assert 1500 <= T1_SEED.signal(WHITE_MATTER) <= 2000
    assert T1_SEED.signal(WHITE_MATTER) < T1_SEED.signal(FAT) < 3500


def test_without_misalignment_the_head_masks_agree():
    aligned = patient(0, 0.0)
    mr_head, ct_head = array(aligned.mr_head_mask) > 0, on_grid(aligned.ct_head_mask, aligned.mr_head_mask, 0) > 0
    field_of_view = on_grid(aligned.ct_head_mask + 1, aligned.mr_head_mask, 0) > 0
    mr_head, ct_head = mr_head & field_of_view, ct_head & field_of_view
    assert 2 * (mr_head & ct_head).sum() / (mr_head.sum() + ct_head.sum()) > 0.97


def test_misalignment_moves_neck_and_jaw_and_leaves_the_cranium():
    still, moved = patient(0, 0.0), patient(0, 6.0)
    assert np.array_equal(array(still.mr), array(moved.mr))
    difference = np.abs(array(moved.ct).astype(float) - array(still.ct))
    head = array(still.ct_head_mask) > 0
    z = np.broadcast_to(height_mm(still.ct), head.shape)
    cranium = head & (z > still.landmarks_mm["glabella"][2])
    below = head & (z < still.landmarks_mm["basion"][2] - 20)
    assert difference[cranium].mean() < 5
    assert difference[below].mean() > 4 * difference[cranium].mean() + 10


def test_rigid_offset_is_the_transform_from_mr_to_ct():
    offset = make_phantom_patient(
        0, voxel_scale=SCALE, misalignment_mm=0.0, rigid_offset_mm=8.0, rigid_offset_deg=4.0, table=False
    )
    assert np.linalg.norm(offset.rigid.GetTranslation()) == pytest.approx(8.0)
    back = sitk.Resample(offset.ct_head_mask, offset.mr_head_mask, offset.rigid, sitk.sitkNearestNeighbor, 0)
    both = array(offset.mr_head_mask) > 0
    upper = np.s_[:, : both.shape[1] // 2, :]  # the neck may leave the CT's field of view
    mr_head, ct_head = both[upper], array(back)[upper] > 0
    assert 2 * (mr_head & ct_head).sum() / (mr_head.sum() + ct_head.sum()) > 0.95


MISALIGNED = (
    {"misalignment_mm": 12.0},
    {"misalignment_mm": 6.0, "misalignment_common": True},
    {"misalignment_mm": 0.0, "rigid_offset_mm": 6.0},
    {"misalignment_mm": 0.0, "rigid_offset_mm": 4.0, "misalignment_common": True},
    {"rigid_offset_mm": 10.0, "rigid_offset_deg": 5.0},
)


@pytest.mark.parametrize("changes", MISALIGNED)
def test_the_mr_is_the_same_bit_for_bit_however_the_ct_is_misaligned(changes: dict):
    moved = make_phantom_patient(0, voxel_scale=SCALE, **changes)
    assert np.array_equal(array(moved.mr), array(patient().mr))
    assert np.array_equal(array(moved.mr_head_mask), array(patient().mr_head_mask))
    assert not np.array_equal(array(moved.ct), array(patient().ct))


def test_anatomy_painted_once_is_scanned_as_if_painted_for_each_scan():
    painted = PaintedPatient.paint(0, PhantomOptions(voxel_scale=SCALE))
    for changes in ({}, MISALIGNED[1], {}):
        ct, mask = painted.scan_ct(PhantomOptions(voxel_scale=SCALE, **changes))
        anew = make_phantom_patient(0, voxel_scale=SCALE, **changes)
        assert np.array_equal(array(ct), array(anew.ct))
        assert np.array_equal(array(mask), array(anew.ct_head_mask))


def test_default_phantoms_are_what_they_have_always_been():
    again = make_phantom_patient(0, voxel_scale=SCALE, misalignment_common=False)
    assert np.array_equal(array(again.ct), array(patient().ct))
    assert array(patient().mr).mean() == pytest.approx(MR_MEAN, abs=1e-3)  # of version 0.1.0's first phantoms
    assert array(patient().ct).mean() == pytest.approx(CT_MEAN_HU, abs=1e-3)


def test_common_misalignment_has_one_direction_and_a_random_one_has_many():
    def shifts_mm(common: bool) -> np.ndarray:
        options = PhantomOptions(rigid_offset_mm=4.0, rigid_offset_deg=3.0, misalignment_common=common)
        return np.array([rigid_offset(PatientParameters.draw(index, 0), options).GetParameters() for index in range(6)])

    common, apart = shifts_mm(True), shifts_mm(False)
    assert np.ptp(common, axis=0).max() == 0
    assert np.linalg.norm(common[:, 3:], axis=1) == pytest.approx(4.0)
    assert np.rad2deg(np.linalg.norm(common[:, :3], axis=1)) == pytest.approx(3.0)
    assert np.linalg.norm(apart[:, 3:], axis=1) == pytest.approx(4.0)
    assert np.linalg.norm(apart[:, 3:].mean(0)) < 3.0


def test_common_signs_leave_only_the_signs_of_the_patient_changed():
    patients = [PatientParameters.draw(index, 0) for index in range(8)]
    assert {(patient.jaw_sign, patient.neck_sign) for patient in patients} == {(a, b) for a in (-1, 1) for b in (-1, 1)}
    for patient in patients:
        common = patient.with_common_signs()
        assert (common.jaw_sign, common.neck_sign) == (1, 1)
        assert replace(common, jaw_sign=patient.jaw_sign, neck_sign=patient.neck_sign) == patient


def test_landmarks_are_where_they_are_named():
    points = patient().landmarks_mm
    assert len(points) >= 10
    assert points["left_lens"][0] > 20 > -20 > points["right_lens"][0]  # LPS: left is positive
    assert points["vertex"][2] > points["nasion"][2] > points["menton"][2]
    assert points["external_occipital_protuberance"][1] > points["basion"][1] > points["glabella"][1]


def test_table_and_mask_are_outside_the_head_and_can_be_left_out():
    bare = make_phantom_patient(0, voxel_scale=SCALE, table=False, thermoplastic_mask=False)
    furnished = array(patient().ct)
    outside = array(patient().ct_head_mask) == 0
    added = (furnished - array(bare.ct).astype(int) > 300) & outside
    assert added.sum() > 500
    assert np.abs(furnished - array(bare.ct).astype(float))[~outside].mean() < 3.0
    assert np.array_equal(array(bare.ct_head_mask), array(patient().ct_head_mask))


def test_flash_signal_equals_hand_computed_value():
    # TR 10 ms, TE 5 ms, 30 deg, T1 = 500 ms, T2* = 25 ms, M0 = 2: E1 = exp(-0.02) = 0.980199.
    sequence = GradientEcho(repetition_time_ms=10, echo_time_ms=5, flip_angle_deg=30)
    expected = 2 * 0.5 * (1 - 0.980199) / (1 - 0.866025 * 0.980199) * 0.818731
    assert sequence.relative_signal(Tissue(2.0, 500.0, 25.0, 0.0)) == pytest.approx(expected, rel=1e-4)
    assert sequence.signal(WHITE_MATTER) == pytest.approx(sequence.white_matter_signal)


@pytest.mark.parametrize(
    "bad", [{"voxel_scale": 0.0}, {"misalignment_mm": -1.0}, {"seed": -1}, {"mask_lift_mm": -1.0}, {"fillings": 9}]
)
def test_impossible_settings_are_refused_with_their_value(bad: dict):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_phantom_patient(0, **bad)


def test_example_dataset_has_the_raw_layout_and_patients_independent_of_their_number(tmp_path):
    seen = []

    def progress(iterable, total, desc, unit):
        seen.append((total, desc))
        return iterable

    cases = make_example_dataset(
        tmp_path,
        PhantomOptions(voxel_scale=SCALE),
        n_train=1,
        n_test=1,
        file_ending=".mha",
        runner=CaseRunner(progress=progress),
    )
    assert cases == ["HEAD_001", "HEAD_002"]
    assert seen[0][0] == 2
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {
        "dataset.json",
        "imagesTr/HEAD_001_0000.mha",
        "targetsTr/HEAD_001.mha",
        "imagesTs/HEAD_002_0000.mha",
        "targetsTs/HEAD_002.mha",
    }
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "T1"}
    assert description["file_ending"] == ".mha"
    second = sitk.ReadImage(str(tmp_path / "imagesTs" / "HEAD_002_0000.mha"))
    assert np.array_equal(array(second), array(patient(1).mr))


def test_a_mask_pressed_on_the_skin_lies_nearer_to_it():
    bare = make_phantom_patient(0, voxel_scale=SCALE, thermoplastic_mask=False)
    pressed = make_phantom_patient(0, voxel_scale=SCALE, mask_lift_mm=0.0)
    from_skin = array(sitk.SignedMaurerDistanceMap(bare.ct_head_mask, False, False, True))
    near = (from_skin > 0) & (from_skin < 8)

    def mean_distance(ct: sitk.Image) -> float:
        plastic = np.clip(array(ct).astype(float) - array(bare.ct), 0, None)[near]
        return float((plastic * from_skin[near]).sum() / plastic.sum())

    assert mean_distance(pressed.ct) < mean_distance(patient().ct) - 0.3
    assert np.array_equal(array(pressed.ct_head_mask), array(bare.ct_head_mask))


def test_a_head_holder_lies_in_the_air_around_the_head():
    bare = make_phantom_patient(0, voxel_scale=SCALE, table=False, thermoplastic_mask=False)
    held = make_phantom_patient(0, voxel_scale=SCALE, table=False, thermoplastic_mask=False, head_holder=True)
    added = array(held.ct).astype(float) - array(bare.ct)
    head = array(bare.ct_head_mask) > 0
    assert (added[~head] > 500).sum() > 1000
    assert np.abs(added[head]).mean() < 3.0


def test_fillings_draw_bright_and_dark_streaks_in_the_slices_of_the_teeth_alone():
    clean, filled = patient(0, 0.0), make_phantom_patient(0, voxel_scale=SCALE, misalignment_mm=0.0, fillings=6)
    change = array(filled.ct).astype(float) - array(clean.ct)
    slices = np.flatnonzero((change != 0).any(axis=(1, 2)))
    assert 1 <= slices.size <= 6
    heights = height_mm(clean.ct).ravel()[slices]
    assert clean.landmarks_mm["menton"][2] < heights.min() and heights.max() < clean.landmarks_mm["sella"][2]
    head = array(clean.ct_head_mask)[slices] > 0
    assert (change[slices][head] > 100).sum() > 20 and (change[slices][head] < -100).sum() > 20
    assert array(filled.ct).max() == 3071


def test_spin_echo_contrasts_order_the_tissues_as_seen_on_scans():
    def order(contrast):
        tissues = {"csf": CSF, "grey": GREY_MATTER, "white": WHITE_MATTER, "muscle": MUSCLE}
        return sorted(tissues, key=lambda name: contrast.signal(tissues[name]))

    assert order(T2) == ["muscle", "white", "grey", "csf"]
    assert order(FLAIR)[0] == "csf" and order(FLAIR)[-1] == "grey"
    assert order(T1_INVERSION)[-1] == "white"
    for contrast in (T2, FLAIR, T1_INVERSION, PROTON_DENSITY):
        assert contrast.signal(WHITE_MATTER) == pytest.approx(contrast.white_matter_signal)
        assert contrast.signal(CORTICAL_BONE) < 0.15 * contrast.signal(WHITE_MATTER)


def test_inversion_recovery_equals_a_hand_computed_value():
    # TR 1000, TE 20, TI 300, T1 500, T2 40, M0 2: |1 - 2 exp(-0.6) + exp(-2)| = 0.037712; exp(-0.5) = 0.606531.
    tissue = Tissue(2.0, 500.0, 25.0, 0.0, t2_ms=40.0)
    assert SpinEcho(1000.0, 20.0, 300.0).relative_signal(tissue) == pytest.approx(2 * 0.037712 * 0.606531, rel=1e-4)
    assert SpinEcho(1000.0, 20.0).relative_signal(tissue) == pytest.approx(2 * (1 - 0.135335) * 0.606531, rel=1e-4)
