"""MRs with the CTs of other patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from upright_heads import PLAN, head_stack, save_stacks

from synthct.errors import TrainingError
from synthct.imaging import other_patients
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, OUTSIDE, SliceStack
from synthct.training.pseudo_pairs import PseudoPairs

SCALES = {"A": 0.95, "B": 1.0, "C": 1.04, "D": 1.0}


def stacks(**changes: dict) -> list[SliceStack]:
    """Of four patients with both scans, unless changes say otherwise."""
    return [head_stack(patient, scale=scale, **changes.get(patient, {})) for patient, scale in SCALES.items()]


def pairs_of(tmp_path: Path, *of: SliceStack, **options) -> tuple[list[str], dict[str, SliceStack]]:
    slices = tmp_path / "slices"
    patients = save_stacks(slices, *of)
    names = PseudoPairs(slices, patients, PLAN, **{"cts_per_mr": 2, **options}).write(tmp_path / "pairs")
    return names, {name: SliceStack.load(tmp_path / "pairs" / f"{name}.npz") for name in names}


OWN_CT = {stack.patient: stack.ct for stack in stacks()}


@pytest.fixture(scope="module")
def made_in(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def made(made_in):
    return pairs_of(made_in, *stacks())


def test_every_mr_is_shown_other_patients_cts(made):
    names, _ = made
    assert {name.partition("~")[0] for name in names} == set(SCALES)
    assert len(names) == len(set(names)) == 8
    assert not [name for name in names if name.partition("~")[0] == name.partition("~")[2]]


def test_a_pseudo_pair_is_the_mr_with_a_ct_that_lies_on_it(made):
    _, loaded = made
    by_patient = {stack.patient: stack for stack in stacks()}
    for name, pair in loaded.items():
        own = by_patient[name[0]]
        assert np.array_equal(pair.mr, own.mr) and pair.mr_steps == own.mr_steps
        both = (pair.ct != OUTSIDE) & (own.ct != OUTSIDE)
        assert both.sum() > 0.85 * (own.ct != OUTSIDE).sum()
        assert np.abs(pair.ct[both].astype(float) - own.ct[both]).mean() < 130  # of 900 HU between its tissues


def test_where_the_other_head_ends_the_ct_is_unknown(made):
    for pair in made[1].values():
        shown = pair.ct != OUTSIDE
        in_head, known = (pair.regions & HEAD) > 0, (pair.regions & CT_KNOWN) > 0
        assert np.array_equal(in_head, pair.mr[0] != OUTSIDE)
        assert np.array_equal(shown, in_head & known) and known[~in_head].all()


def test_a_paired_training_can_draw_them(made, tmp_path):
    names, loaded = made
    path = tmp_path / f"{names[0]}.npz"
    loaded[names[0]].save(path)
    assert SliceFacts.load(path).paired


def sct_of_mr(stack: SliceStack) -> np.ndarray:
    """A rough one, HU (slices, rows, cols), of nothing but the MR: bone is dark there."""
    mr = stack.mr[0].astype(np.float32)
    return np.where(mr == OUTSIDE, -1000, np.interp(mr, (0, 100, 600, 1000), (-900, 900, 0, 40)))


def best_sct(stack: SliceStack) -> np.ndarray:
    """The patient's own CT."""
    ct = OWN_CT[stack.patient[0]]
    return np.where(ct == OUTSIDE, -1000, ct).astype(np.float32)


def deformed(folder: Path, slices: Path, first: Path, sct_of, **options) -> dict[str, SliceStack]:
    """The pseudo-pairs of a second round, from the folder of the first."""
    pairs = PseudoPairs(slices, list(SCALES), PLAN, **{"cts_per_mr": 2, **options})
    names = pairs.write_deformed(folder, 1, first, sct_of)
    return {name: SliceStack.load(folder / f"{name}.npz") for name in names}


@pytest.fixture(scope="module")
def later(made, made_in, tmp_path_factory):
    """The second round of ``made``; and the slices that each of its CTs was interpolated from, in its order."""
    laid, sources = other_patients.laid, []

    def noted(ct, transform, grid):
        sources.append(sitk.GetArrayFromImage(ct.image))
        return laid(ct, transform, grid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other_patients, "laid", noted)
        pairs = deformed(tmp_path_factory.mktemp("later"), made_in / "slices", made_in / "pairs", best_sct)
    return pairs, sources


def test_cts_that_are_deformed_to_a_good_sct_are_nearer_to_the_patients_own(made, later):
    (_, first), (second, _) = made, later
    assert list(first) == list(second)
    errors = []
    for name in first:
        truth = OWN_CT[name[0]]
        both = (truth != OUTSIDE) & (first[name].ct != OUTSIDE) & (second[name].ct != OUTSIDE)
        errors.append([np.abs(pairs[name].ct[both].astype(float) - truth[both]).mean() for pairs in (first, second)])
        shown = [(pairs[name].ct != OUTSIDE).sum() for pairs in (first, second)]
        assert shown[1] > 0.98 * shown[0]
    before, after = np.transpose(errors)
    assert (after < before).all() and after.mean() < 0.85 * before.mean()


def test_a_deformed_ct_is_interpolated_once_from_its_own_slices(later):
    pairs, sources = later
    assert len(sources) == len(pairs)
    for name, source in zip(pairs, sources):
        assert np.array_equal(source, np.where(OWN_CT[name[2]] == OUTSIDE, -1000, OWN_CT[name[2]]))


def test_a_deformed_pseudo_pair_is_the_same_mr(made, later):
    for name, pair in later[0].items():
        assert np.array_equal(pair.mr, made[1][name].mr) and pair.mr_steps == made[1][name].mr_steps
        shown = pair.ct != OUTSIDE
        in_head, known = (pair.regions & HEAD) > 0, (pair.regions & CT_KNOWN) > 0
        assert np.array_equal(shown, in_head & known) and known[~in_head].all()


def test_a_patients_own_ct_is_not_deformed(tmp_path):
    _, first = pairs_of(tmp_path, *stacks(A={"ct": False}), own_cts=True)
    later = deformed(tmp_path / "later", tmp_path / "slices", tmp_path / "pairs", sct_of_mr, own_cts=True)
    same = {name for name in first if np.array_equal(first[name].ct, later[name].ct)}
    assert same == {"B~B", "C~C", "D~D"}


def test_a_rounds_pseudo_pairs_are_made_once_and_never_taken_for_anothers(tmp_path):
    pairs = PseudoPairs(tmp_path / "slices", save_stacks(tmp_path / "slices", *stacks()), PLAN, 1)
    first, later = tmp_path / "0", tmp_path / "1"
    names = pairs.write(first)
    asked: list[str] = []

    def sct_of(stack):
        asked.append(stack.patient)
        return sct_of_mr(stack)

    assert pairs.write_deformed(later, 1, first, sct_of) == names and len(asked) == 4
    assert pairs.write_deformed(later, 1, first, sct_of) == names and len(asked) == 4
    assert pairs.write_deformed(later, 2, first, sct_of) == names and len(asked) == 8
    (later / "made_slices.json").unlink()  # as where a training was killed while they were made
    assert pairs.write_deformed(later, 2, first, sct_of) == names and len(asked) == 12


def test_nothing_of_a_patients_own_ct_is_used(made, made_in, tmp_path):
    """What a patient's MR is shown does not change by a bit when the patient's CT does."""
    names, loaded = made
    other = [stack if stack.patient != "B" else replace(stack, ct=stack.ct[::-1] // 2) for stack in stacks()]
    changed_names, changed = pairs_of(tmp_path, *other)
    names_of_b = [name for name in names if name.startswith("B~")]
    assert [name for name in changed_names if name.startswith("B~")] == names_of_b and len(names_of_b) == 2
    for name in names_of_b:
        assert np.array_equal(loaded[name].ct, changed[name].ct)
    assert any(not np.array_equal(loaded[name].ct, changed[name].ct) for name in names if name.endswith("~B"))
    later, changed_later = (
        deformed(tmp_path / name, folder / "slices", folder / "pairs", sct_of_mr)
        for name, folder in (("later", made_in), ("changed", tmp_path))
    )
    for name in names_of_b:
        assert np.array_equal(later[name].ct, changed_later[name].ct)


def test_patients_with_one_scan_give_it(tmp_path):
    names, _ = pairs_of(tmp_path, *stacks(A={"ct": False}, B={"ct": False}, C={"mr": False}, D={"mr": False}))
    assert sorted(names) == ["A~C", "A~D", "B~C", "B~D"]


def test_disjoint_patients_give_their_mr_or_their_ct(tmp_path):
    names, _ = pairs_of(tmp_path, *stacks(), disjoint=True)
    mr_patients, ct_patients = ({name.split("~")[i] for name in names} for i in (0, 1))
    assert not mr_patients & ct_patients and len(mr_patients) == len(ct_patients) == 2


def test_a_patient_with_an_own_ct_is_shown_it_where_that_is_asked_for(tmp_path):
    names, loaded = pairs_of(tmp_path, *stacks(A={"ct": False}), own_cts=True)
    assert sorted(name for name in names if not name.startswith("A~")) == ["B~B", "C~C", "D~D"]
    assert len([name for name in names if name.startswith("A~")]) == 2
    assert np.array_equal(loaded["B~B"].ct, stacks()[1].ct)


def test_scans_that_are_not_aligned_are_no_pair_and_give_both(tmp_path):
    names, loaded = pairs_of(tmp_path, *stacks(B={"aligned": False}), own_cts=True)
    assert "B~B" not in names and [name for name in names if name.startswith("B~")]
    assert all(pair.n_slices == 40 and "mr_slices" not in pair.info for pair in loaded.values())


def test_they_are_made_once_and_anew_where_the_slices_are_others(tmp_path):
    names, _ = pairs_of(tmp_path, *stacks())
    path = tmp_path / "pairs" / f"{names[0]}.npz"
    written = path.stat().st_mtime_ns
    assert pairs_of(tmp_path, *stacks())[0] == names and path.stat().st_mtime_ns == written
    pairs_of(tmp_path, *stacks(C={"shift_mm": (5.0, 0.0, 0.0)}))
    assert path.stat().st_mtime_ns != written


def test_one_patient_is_not_enough(tmp_path):
    with pytest.raises(TrainingError):
        pairs_of(tmp_path, stacks()[0])
