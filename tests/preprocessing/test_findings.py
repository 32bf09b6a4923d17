"""What is reported of a case: facts with units, flags that name what to do, nothing where nothing is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import SimpleITK as sitk
from synthetic_datasets import case_facts, fingerprint, paired_fingerprint, volume_facts
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.dataset.registration_record import Registration
from synthct.imaging.alignment import Alignment
from synthct.imaging.coding import MrWindow
from synthct.preprocessing.findings import (
    Findings,
    findings_of_case,
    hints_of_dataset,
    load_findings,
    save_findings,
)

GRID, CT_GRID = make_grid(), make_grid(orientation="RAS", tilt_deg=(0, 0, 5))
WINDOWS = ((MrWindow("percentile", 0, 100),), (-600.0, 1400.0))


def pair(ct_grid=CT_GRID, **ct_head) -> tuple[CaseImages, HeadMasks]:
    images = CaseImages("P", (head_mr(GRID),), head_ct(ct_grid, **ct_head))
    return images, HeadMasks(head_truth(GRID), head_truth(ct_grid, **ct_head))


def test_a_good_pair_has_facts_and_no_flags():
    found = findings_of_case(*pair(), *WINDOWS)
    assert found.patient == "P" and found.flags == ()
    assert found.has("MR") and found.has("CT") and found.paired
    assert found.facts["MR voxels"] == "50 x 62 x 62"
    assert found.facts["MR spacing (mm)"] == "4 x 4 x 4"
    assert found.facts["MR field of view (mm)"] == "200 x 248 x 248"
    assert found.facts["MR orientation"] == "LPS"
    assert found.facts["CT orientation"] == "RAS, oblique by 5.0°"
    assert 3 < found.facts["MR head (L)"] < 6
    assert found.facts["CT window"] == "-600 to 1400 HU"
    assert found.facts["Dice of the heads"] > 0.97
    assert found.facts["CT covers MR's head (%)"] > 95


def registration(problems_found: tuple[str, ...] = ()) -> Registration:
    alignment = Alignment(shift_mm=12.0, rotation_deg=3.0, overlap=0.9, head_dice=0.97, bone_darker_probability=0.9)
    return Registration.of(sitk.Transform(), "registered", alignment, problems_found)


def test_a_scan_alone_is_not_compared():
    images, masks = pair()
    found = findings_of_case(CaseImages("P", images.mr), HeadMasks(masks.mr, None), *WINDOWS)
    assert found.has("MR") and not found.has("CT")
    assert "Dice of the heads" not in found.facts and found.flags == ()


def test_heads_that_lie_apart_are_flagged_and_registering_is_advised_where_it_was_not_done():
    images, masks = pair(make_grid((80, 70, 70)), centre_mm=(25, 0, 0))
    (flag,) = findings_of_case(images, masks, *WINDOWS).flags
    assert flag.startswith("The heads in MR and CT agree only by Dice 0.") and "--register auto" in flag
    (flag,) = findings_of_case(images, masks, *WINDOWS, registration=registration()).flags
    assert "--register" not in flag


def test_the_figures_of_a_registration_are_shown_and_what_speaks_against_it_is_a_flag():
    found = findings_of_case(*pair(), *WINDOWS, registration=registration(problems_found=("the CT is upside down",)))
    assert found.facts["Registration"] == "registered"
    assert (found.facts["CT moved (mm)"], found.facts["CT turned (°)"]) == (12.0, 3.0)
    assert found.flags == ("Registration: the CT is upside down.",)


def test_a_pair_that_is_not_aligned_says_so_and_is_not_compared():
    images, masks = pair(make_grid((80, 70, 70)), centre_mm=(25, 0, 0))
    found = findings_of_case(replace(images, aligned=False), masks, *WINDOWS)
    (flag,) = found.flags
    assert flag.startswith("MR and CT are not aligned") and "not as a pair" in flag
    assert not found.paired and "Dice of the heads" not in found.facts


def test_a_tight_ct_is_flagged_by_what_it_covers_and_not_by_what_it_cannot_show():
    images, masks = pair(make_grid((50, 62, 34), centre_mm=(0, 0, 56)))
    found = findings_of_case(images, masks, *WINDOWS)
    (flag,) = found.flags
    assert flag.startswith("The CT covers only") and 40 < found.facts["CT covers MR's head (%)"] < 75
    assert found.facts["Dice of the heads"] > 0.97


@pytest.mark.parametrize(("size", "flagged"), [(0.6, True), (1.0, False), (1.5, True)])
def test_a_head_of_an_unlikely_volume_is_flagged(size, flagged):
    grid = make_grid((80, 90, 90))
    images, masks = CaseImages("P", (), head_ct(grid, size=size)), HeadMasks(None, head_truth(grid, size=size))
    flags = findings_of_case(images, masks, *WINDOWS).flags
    assert [flag.startswith("CT: the head has") for flag in flags] == [True] * flagged


@pytest.mark.parametrize(
    ("scale", "words"),
    [(0.2, "fills only"), (3.0, None), (6.0, "brighter than the MR window in force, 0 to 3500")],
)
def test_a_fixed_window_that_does_not_fit_a_scanner_is_flagged(scale, words):
    images = CaseImages("P", (head_mr(GRID, scale=scale),))
    found = findings_of_case(images, HeadMasks(head_truth(GRID), None), (MrWindow("fixed", 0, 3500),), WINDOWS[1])
    assert found.facts["MR window"] == "0 to 3500"
    assert [words in flag for flag in found.flags] == [True] * (words is not None)


def test_every_channel_has_its_window():
    images = CaseImages("P", (head_mr(GRID), head_mr(GRID, scale=2)))
    facts = findings_of_case(images, HeadMasks(head_truth(GRID), None), 2 * WINDOWS[0], WINDOWS[1]).facts
    highest = [float(facts[f"MR window of channel {i}"].split(" to ")[1]) for i in (0, 1)]
    assert highest[1] == pytest.approx(2 * highest[0], rel=0.1)


def test_a_given_mask_is_reported():
    images, masks = pair()
    found = findings_of_case(CaseImages("P", images.mr, images.ct, head_truth(GRID)), masks, *WINDOWS)
    assert found.facts["Head mask"] == "given in masksTr"


def test_findings_are_read_back_as_they_were_written(tmp_path):
    found = Findings("P 1", ("a sentence.",), {"MR head (L)": 4.25, "MR orientation": "LPS"})
    save_findings(found, tmp_path / "P 1.json", "key")
    assert load_findings(tmp_path / "P 1.json") == (found, "key")


@pytest.mark.parametrize("content", ["", "[]", '{"patient": "P"}', '{"patient": "P", "flags": 3, "facts": {}}', None])
def test_damaged_findings_are_none(tmp_path, content):
    if content is not None:
        (tmp_path / "P.json").write_text(content)
    assert load_findings(tmp_path / "P.json") is None


def test_a_dataset_of_equals_needs_no_hint():
    assert hints_of_dataset(paired_fingerprint(4)) == ()


def test_coarse_scans_among_fine_ones_are_named():
    cases = dict(paired_fingerprint(8).cases)
    for i, thick in ((3, 4.0), (5, 5.0)):
        cases[f"P{i:02d}"] = case_facts(volume_facts(spacing_mm_xyz=(0.9, 0.9, thick)), volume_facts())
    (hint,) = hints_of_dataset(fingerprint(cases))
    assert hint.startswith("MR voxels are up to 4 to 5 mm long in P03, P05, against 1 mm")


def test_a_dataset_without_pairs_says_what_that_means():
    cases = {"M": case_facts(volume_facts()), "C": case_facts(None, volume_facts())}
    (hint,) = hints_of_dataset(fingerprint(cases))
    assert "paired methods and evaluation need pairs" in hint


def test_found_heads_are_judged_and_not_a_given_mask():
    images, heads = pair()
    wide = sitk.BinaryDilate(heads.mr, [4, 4, 4], sitk.sitkBall)
    images = replace(images, given_mask=wide)
    masks = HeadMasks(wide, heads.ct)
    found = findings_of_case(images, masks, *WINDOWS, heads=heads)
    without = findings_of_case(replace(images, given_mask=None), heads, *WINDOWS)
    assert found.flags == ()
    assert found.facts["Dice of the heads"] == without.facts["Dice of the heads"]
    assert found.facts["MR head (L)"] == without.facts["MR head (L)"]


def test_a_given_mask_that_leaves_most_of_the_head_out_is_reported():
    images, heads = pair()
    brain = sitk.BinaryErode(heads.mr, [8, 8, 8], sitk.sitkBall)
    images = replace(images, given_mask=brain)
    (flag,) = findings_of_case(images, HeadMasks(brain, heads.ct), *WINDOWS, heads=heads).flags
    assert "masksTr" in flag and "% of the head in the MR" in flag


def test_where_every_registration_failed_the_hint_gives_the_remedy():
    unaligned = replace(case_facts(volume_facts(), volume_facts()), aligned=False)
    (hint,) = hints_of_dataset(fingerprint({"P1": unaligned, "P2": unaligned}))
    assert hint.startswith("NO PAIR IS LEFT") and "all 2 patients" in hint and "--register off" in hint
