"""Slices of another plane than the cached one, and slices with their neighbours, through a whole training."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from same_training import assert_same_result, rows
from tiny_training import N_SLICES, PAIRED, SIZE, interrupted_at, make_stack

from synthct.errors import TrainingError
from synthct.imaging.coding import GreyLevels
from synthct.planning.plan import InputPlan, Plan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import SliceStack, one_after_the_other
from synthct.training.checkpoint import load_checkpoint
from synthct.training.slices import SlicesToDraw, TrainingSlices

pytestmark = pytest.mark.usefixtures("no_figures")
AXIAL = InputPlan(plane="axial", neighbours=2, mr_channels=1)
FIRST_CHANNELS = {  # of each network's input, where a slice comes with two neighbours on each side
    "cyclegan": {"syn_ct": 5, "syn_mr": 1, "dis_ct": 1, "dis_mr": 5},
    "pix2pix": {"syn_ct": 5, "dis_ct": 6},
    "unet": {"syn_ct": 5},
    "han2017": {"syn_ct": 5},
    "nie2017": {"syn_ct": 5, "dis_ct": 1},
    "cyclegan_nce": {"syn_ct": 5, "syn_mr": 1, "dis_ct": 1, "dis_mr": 5, "places_mr": 4, "places_ct": 4},
    "dualgan": {"syn_ct": 5, "syn_mr": 1, "dis_ct": 1, "dis_mr": 5},
}


def with_input(plan: Plan, input_plan: InputPlan) -> Plan:
    tiny = dataclasses.replace(plan.configurations["tiny"], input=input_plan)
    return dataclasses.replace(plan, configurations={"tiny": tiny})


@pytest.mark.parametrize("name", list(FIRST_CHANNELS))
def test_axial_slices_with_neighbours_train_resume_and_validate(run, name, plan, tmp_path):
    axial = with_input(plan, AXIAL)
    path = run(name, "whole", plan=axial)
    networks = load_checkpoint(path)["networks"]
    channels = {network: next(iter(weights.values())).shape[1] for network, weights in networks.items()}
    assert channels == FIRST_CHANNELS[name]
    assert all(0 < float(row["val_mae_hu"]) < 2000 for row in rows(tmp_path / "whole"))
    assert not any(math.isnan(float(value)) for row in rows(tmp_path / "whole") for value in row.values())
    with pytest.raises(KeyboardInterrupt):
        run(name, "stopped", plan=axial, progress=interrupted_at(6), loaders=1)
    run(name, "stopped", plan=axial, resume=True, loaders=2)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("budget", [2**30, 1])
@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_a_network_is_shown_the_slice_between_its_neighbours_in_order(preprocessed_folder, plane, budget):
    plan = InputPlan(plane, neighbours=2, mr_channels=1)
    slices = TrainingSlices(preprocessed_folder / "tiny", PAIRED[:1], plan, SlicesToDraw(True, 0.05), budget=budget)
    alone = NetworkInput(dataclasses.replace(plan, neighbours=0), GreyLevels())
    stack = SliceStack.load(preprocessed_folder / "tiny" / f"{PAIRED[0]}.npz").in_plane(plane)
    assert stack.n_slices == (N_SLICES if plane == "sagittal" else SIZE)
    for i in (0, 1, stack.n_slices // 2, stack.n_slices - 1):
        shown = NetworkInput(plan, GreyLevels()).mr(slices[PAIRED[0]], i)
        expected = [alone.mr(stack, min(max(i + k, 0), stack.n_slices - 1))[0] for k in range(-2, 3)]
        assert np.array_equal(shown, np.stack(expected))


@pytest.mark.parametrize("plane", ["sagittal", "axial"])
def test_scans_that_are_not_aligned_train_in_any_plane(run, plan, plane, tmp_path):
    folder = tmp_path / "unaligned"
    for number, patient in enumerate(PAIRED[:2]):
        mr, ct = make_stack(patient, number, ct=False), make_stack(patient, number + 10, mr=False)
        one_after_the_other(mr, ct).save(folder / f"{patient}.npz")
    run(
        "cyclegan",
        plan=with_input(plan, InputPlan(plane, neighbours=1, mr_channels=1)),
        slices_folder=folder,
        split={"train": PAIRED[:2], "val": []},
    )
    assert len(rows(tmp_path / "fold_0")) == 2


def test_another_plane_is_another_training(run, plan):
    run("pix2pix", plan=with_input(plan, AXIAL), epochs=1, iterations=1)
    with pytest.raises(TrainingError, match=r"input\.plane of the plan has changed"):
        run("pix2pix", plan=with_input(plan, dataclasses.replace(AXIAL, plane="coronal")), resume=True)
