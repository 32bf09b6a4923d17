"""Pairs whose CTs are moved onto sCTs between the rounds of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from same_training import assert_same_result
from tiny_training import interrupted_at
from upright_heads import PLAN, head_stack, save_stacks

from synthct.preprocessing.slice_stack import OUTSIDE, SliceStack
from synthct.training.moved_pairs import MovedPairs
from synthct.training.trainer import CachedSlices

SHIFT_MM = (4.0, -3.0, 5.0)


def misaligned_stack(patient: str) -> SliceStack:
    """A pair whose CT was shifted."""
    return replace(head_stack(patient), ct=head_stack(patient, shift_mm=SHIFT_MM).ct)


def true_sct(stack: SliceStack) -> np.ndarray:
    ct = head_stack(stack.patient).ct
    return np.where(ct == OUTSIDE, -1000, ct).astype(np.float32)


def moved(tmp_path: Path, *stacks: SliceStack) -> dict[str, SliceStack]:
    cached = CachedSlices(tmp_path / "slices", save_stacks(tmp_path / "slices", *stacks))
    names = MovedPairs(cached, PLAN).write(tmp_path / "moved", 1, true_sct)
    return {name: SliceStack.load(tmp_path / "moved" / f"{name}.npz") for name in names}


def test_a_misaligned_ct_comes_back_onto_its_mr(tmp_path):
    seen, truth = misaligned_stack("A"), head_stack("A").ct
    after = moved(tmp_path, seen)["A"]
    known = (truth != OUTSIDE) & (seen.ct != OUTSIDE) & (after.ct != OUTSIDE)
    assert known.sum() > 0.85 * (truth != OUTSIDE).sum()
    before_hu, after_hu = (np.abs(stacks.ct[known].astype(float) - truth[known]).mean() for stacks in (seen, after))
    assert after_hu < 0.5 * before_hu
    assert np.array_equal(after.mr, seen.mr)


def test_the_cached_slices_stay_and_patients_without_a_pair_are_left_out(tmp_path):
    made = moved(tmp_path, misaligned_stack("A"), head_stack("B", ct=False), head_stack("C", aligned=False))
    assert list(made) == ["A"]
    assert np.array_equal(SliceStack.load(tmp_path / "slices" / "A.npz").ct, misaligned_stack("A").ct)


def test_they_are_made_once_a_round(tmp_path):
    cached = CachedSlices(tmp_path / "slices", save_stacks(tmp_path / "slices", misaligned_stack("A")))
    asked = []

    def sct_of(stack):
        asked.append(stack.patient)
        return true_sct(stack)

    for number in (1, 1, 2):
        MovedPairs(cached, PLAN).write(tmp_path / "moved", number, sct_of)
    assert asked == ["A", "A"]


@pytest.mark.usefixtures("no_figures")
def test_a_training_of_two_rounds_goes_on_exactly_and_leaves_none_of_them(run, plan, tmp_path):
    tiny = plan.configurations["tiny"]
    tiny = replace(tiny, methods=tiny.methods | {"unet": tiny.methods["unet"] | {"rounds": 2}})
    plan = replace(plan, configurations={"tiny": tiny})
    run("unet", "whole", plan=plan)
    with pytest.raises(KeyboardInterrupt):
        run("unet", "stopped", plan=plan, progress=interrupted_at(6))
    assert [path.name for path in (tmp_path / "stopped" / "moved_cts").iterdir()] == ["1"]
    run("unet", "stopped", plan=plan, resume=True)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "moved_cts").exists()
