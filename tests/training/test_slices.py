from __future__ import annotations

import pickle

import numpy as np
import pytest
from tiny_training import N_SLICES, ONLY_CT, ONLY_MR, PAIRED, SIZE, TRAIN, make_stack

from synthct.errors import PlanError, TrainingError
from synthct.imaging.coding import GreyLevels
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_reader import SliceFacts, SliceReader
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack
from synthct.training.slices import MIN_CONTRAST, SlicesToDraw, TrainingSlices

INSIDE = list(range(1, N_SLICES - 1))  # the outer slices hold no head


def read(folder, patients, *, plane="sagittal", mr_channels=1, budget=2**30, **wanted) -> TrainingSlices:
    wanted = {"paired": False, "min_head_fraction": 0.05} | wanted
    plan = InputPlan(plane, neighbours=0, mr_channels=mr_channels)
    return TrainingSlices(folder / "tiny", patients, plan, SlicesToDraw(**wanted), budget=budget)


def known(slices: TrainingSlices, patient: str, i: int) -> np.ndarray:
    """1 where the loss counts; (rows, cols)."""
    return NetworkInput(InputPlan("sagittal", 0, 1), GreyLevels()).paired(slices[patient], i)["known"][0]


def test_each_modality_draws_from_every_patient_that_has_it(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN)
    assert list(slices.mr) == [(p, i) for p in TRAIN if p != ONLY_CT for i in INSIDE]
    assert list(slices.ct) == [(p, i) for p in TRAIN if p != ONLY_MR for i in INSIDE]


def test_paired_training_ignores_patients_without_ct_or_mr(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, paired=True)
    assert list(slices.mr) == list(slices.ct) == [(p, i) for p in PAIRED[:3] for i in INSIDE]


def test_disjoint_gives_no_patient_to_both_domains(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, disjoint=True, seed=1)
    assert not {p for p, _ in slices.mr} & {p for p, _ in slices.ct}
    assert {p for p, _ in [*slices.mr, *slices.ct]} == set(TRAIN)


def test_disjoint_paired_training_is_refused(preprocessed_folder):
    with pytest.raises(TrainingError, match="leave out --disjoint"):
        read(preprocessed_folder, TRAIN, paired=True, disjoint=True)


def test_slices_are_those_of_the_stack(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN, paired=True)
    stack = SliceStack.load(preprocessed_folder / "tiny" / "PAIR_2.npz")
    assert np.array_equal(slices["PAIR_2"].mr_slice(3), stack.mr[:, 3])
    assert np.array_equal(slices["PAIR_2"].ct_slice(3), stack.ct[3])
    assert np.array_equal(slices["PAIR_2"].regions_slice(3), stack.regions[3])
    assert known(slices, "PAIR_2", 3).shape == (SIZE, SIZE)
    assert known(slices, "PAIR_2", 3).all()  # the CT ends below the head; the air there is known


@pytest.mark.parametrize("budget", [2**30, 1])
def test_slices_of_another_plane_are_those_of_the_turned_stack_whatever_the_budget(preprocessed_folder, budget):
    slices = read(preprocessed_folder, PAIRED[:2], plane="axial", paired=True, budget=budget)
    assert slices.held.budget == budget
    for patient in PAIRED[:2]:
        stack = SliceStack.load(preprocessed_folder / "tiny" / f"{patient}.npz").in_plane("axial")
        assert slices[patient].n_slices == stack.n_slices == SIZE
        assert slices[patient].slice_size == (SIZE, N_SLICES)
        drawn = [i for drawn_patient, i in slices.mr if drawn_patient == patient]
        enough_head = stack.head_fraction(MR_KNOWN | CT_KNOWN) >= 0.05
        not_flat = SliceFacts.load(slices[patient].reader.path, "axial").contrast.min(axis=0) >= MIN_CONTRAST
        assert drawn == np.flatnonzero(enough_head & not_flat).tolist()
        assert len(drawn) > SIZE // 3
        for i in drawn:
            assert np.array_equal(slices[patient].mr_slice(i), stack.mr[:, i])
            assert np.array_equal(slices[patient].ct_slice(i), stack.ct[i])
            assert np.array_equal(slices[patient].regions_slice(i), stack.regions[i])
        assert slices.held.bytes <= budget


def test_head_outside_the_cts_field_of_view_is_unknown(tmp_path):
    stack = make_stack("P", 0)
    stack.regions[:, -3:] |= HEAD
    stack.save(tmp_path / "tiny" / "P.npz")
    found = known(read(tmp_path, ["P"], paired=True), "P", 3)
    assert not found[-3:].any()
    assert found[:-3].all()


def test_flat_slices_are_not_drawn(tmp_path):
    stack = make_stack("P", 0)
    stack.ct[4] = 30  # HU, also outside the head
    stack.regions[0] |= HEAD  # head by the mask, but an empty image
    stack.save(tmp_path / "tiny" / "P.npz")
    slices = read(tmp_path, ["P"], min_head_fraction=0.0)
    assert ("P", 4) in slices.mr
    assert ("P", 4) not in slices.ct
    assert ("P", 0) not in slices.mr


@pytest.mark.parametrize(
    ("patients", "paired", "message"),
    [
        ([ONLY_MR], False, "no CT slice.*of 1 training patients 0 give a CT"),
        ([ONLY_CT], False, "no MR slice.*0 give an MR"),
        ([ONLY_MR, ONLY_CT], True, "of 2 training patients 0 have both"),
    ],
)
def test_an_empty_domain_is_an_error_that_says_what_is_missing(preprocessed_folder, patients, paired, message):
    with pytest.raises(TrainingError, match=message):
        read(preprocessed_folder, patients, paired=paired)


def test_too_high_a_head_fraction_is_an_error_that_names_it(preprocessed_folder):
    with pytest.raises(TrainingError, match="at least 90% head"):
        read(preprocessed_folder, TRAIN, min_head_fraction=0.9)


def test_another_number_of_channels_is_an_error_that_names_the_patient(preprocessed_folder):
    with pytest.raises(TrainingError, match="PAIR_1 have 1 MR channels but the plan has 2"):
        read(preprocessed_folder, TRAIN, mr_channels=2)


def test_a_missing_stack_is_an_error_that_names_the_file(preprocessed_folder):
    with pytest.raises(PlanError, match="ABSENT.npz is missing"):
        read(preprocessed_folder, ["ABSENT"])


def test_a_stack_of_an_earlier_version_is_an_error_with_the_remedy(tmp_path):
    stack = make_stack("P", 0)
    (tmp_path / "tiny").mkdir()
    info = np.frombuffer(b"{}", np.uint8)
    np.savez_compressed(tmp_path / "tiny" / "P.npz", mr=stack.mr, ct=stack.ct, regions=stack.regions, info=info)
    with pytest.raises(PlanError, match="P.npz is of an earlier version.*run synthct_plan_and_preprocess again"):
        read(tmp_path, ["P"])


@pytest.mark.parametrize("paired", [False, True])
def test_starting_and_drawing_read_no_whole_stack(preprocessed_folder, monkeypatch, paired):
    monkeypatch.setattr(SliceStack, "load", lambda path: pytest.fail(f"{path} was read whole"))
    inflated = []
    read_slice = SliceReader._read
    monkeypatch.setattr(SliceReader, "_read", lambda *arguments: inflated.append(1) or read_slice(*arguments))
    slices = read(preprocessed_folder, TRAIN, paired=paired)
    assert not inflated
    for (patient, i), image in ((slices.mr[3], "mr_slice"), (slices.ct[3], "ct_slice")):
        getattr(slices[patient], image)(i)
    assert len(inflated) == 2


def test_the_memory_budget_holds_and_gives_the_same_slices(preprocessed_folder, caplog):
    caplog.set_level("INFO", "synthct")
    whole = read(preprocessed_folder, TRAIN, paired=True)
    assert "from disk" not in caplog.text
    little = read(preprocessed_folder, TRAIN, paired=True, budget=20_000)
    assert "reads the others from disk" in caplog.text
    for patient, i in [*whole.mr, *whole.mr]:
        for name in ("mr_slice", "ct_slice", "regions_slice"):
            assert np.array_equal(getattr(whole[patient], name)(i), getattr(little[patient], name)(i))
        held = little.held
        assert sum(image.nbytes for image in held._images.values()) == held.bytes <= 20_000
    assert little.held.bytes > 20_000 - 2 * SIZE**2  # as many as fit
    assert len(whole.held._images) == 3 * len(whole.mr)


def test_a_slice_in_memory_is_not_read_again(preprocessed_folder, monkeypatch):
    slices = read(preprocessed_folder, TRAIN)
    patient, i = slices.ct[0]
    first = slices[patient].ct_slice(i)
    monkeypatch.setattr(SliceReader, "_read", lambda *_: pytest.fail("it was read again"))
    assert np.array_equal(slices[patient].ct_slice(i), first)


def test_a_copy_for_another_process_reads_for_itself(preprocessed_folder):
    slices = read(preprocessed_folder, TRAIN)
    patient, i = slices.mr[0]
    slices[patient].mr_slice(i)
    copy = pickle.loads(pickle.dumps(slices))
    assert slices.held.bytes == slices[patient].mr_slice(i).nbytes
    assert copy.held.bytes == 0
    assert not copy.held._images
    assert np.array_equal(copy[patient].mr_slice(i), slices[patient].mr_slice(i))
    assert copy.held.bytes  # all patients of the copy still share one budget


def test_head_outside_the_mrs_field_of_view_is_unknown_too(tmp_path):
    stack = make_stack("P", 0)
    stack.regions[:, -3:] |= HEAD | CT_KNOWN
    stack.regions[:, -3:] &= np.uint8(255 - MR_KNOWN)
    stack.save(tmp_path / "tiny" / "P.npz")
    found = known(read(tmp_path, ["P"], paired=True), "P", 3)
    assert not found[-3:].any()
    assert found[:-3].all()
