from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_training import TRAIN, make_training

from synthct.errors import TrainingError
from synthct.imaging.intensity import to_network
from synthct.training.loader import SliceLoader, batches, pad_and_crop, to_device
from synthct.training.sampling import PairedOrder, UnpairedOrder
from synthct.training.slices import TrainingSlices


@pytest.fixture
def make_loader(preprocessed_folder):
    def make(paired: bool = False, budget: int = 2**30, rank: int = 0, world_size: int = 1, **arguments) -> SliceLoader:
        slices = TrainingSlices(
            preprocessed_folder / "tiny", TRAIN, mr_channels=1, min_head_fraction=0.05, paired=paired, budget=budget
        )
        training = make_training(batch_size=arguments.pop("batch_size", 1))
        share = {"batch_size": training.batch_size, "rank": rank, "world_size": world_size}
        order = PairedOrder(slices.mr, 7, **share) if paired else UnpairedOrder(slices.mr, slices.ct, 7, **share)
        return SliceLoader(slices, order, training, **arguments)

    return make


def take(loader: SliceLoader, workers: int, n: int) -> list[dict]:
    with batches(loader, workers) as drawn:
        return [next(drawn) for _ in range(n)]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[k], other[k]) if isinstance(one[k], np.ndarray) else one[k] == other[k] for k in one
    )


def positions(size: tuple[int, int], training, n: int) -> set[tuple[int, int]]:
    """Where the crops start, relative to the slice; read off an image that holds its own coordinates."""
    rows, cols = np.mgrid[: size[0], : size[1]] + 1
    image = np.stack((rows, cols)).astype(np.uint16)[None]
    found = set()
    for _ in range(n):
        crop, _ = pad_and_crop(image, None, training)
        assert crop.shape[2:] == training.crop_size
        inside = np.argwhere(crop[0, 0] > 0)[0]
        row, col = crop[0, :, inside[0], inside[1]].astype(int) - 1
        found.add((row - inside[0], col - inside[1]))
    return found


def test_crops_reach_all_31_by_31_places_of_the_seed_and_no_other():
    training = make_training(padded_size=(286, 286), crop_size=(256, 256))
    np.random.seed(0)
    found = positions((256, 256), training, 300)
    assert {row for row, _ in found} == set(range(-15, 16))
    assert {col for _, col in found} == set(range(-15, 16))


def test_crops_reach_every_place_in_both_axes_together():
    np.random.seed(0)
    found = positions((32, 32), make_training(padded_size=(36, 40), crop_size=(32, 32)), 2000)
    assert found == {(row, col) for row in range(-2, 3) for col in range(-4, 5)}


def test_larger_slices_are_padded_by_the_same_margin():
    np.random.seed(0)
    found = positions((40, 32), make_training(), 2000)
    assert {row for row, _ in found} == set(range(-2, 11))
    assert {col for _, col in found} == set(range(-2, 3))


def test_without_a_margin_the_slice_stays_as_it_is():
    assert positions((32, 32), make_training(padded_size=(32, 32)), 20) == {(0, 0)}


def test_unpaired_batch_is_bytes(make_loader):
    batch = make_loader(batch_size=3).batch(0)
    for modality in ("mr", "ct"):
        assert batch[modality].dtype == np.uint8
        assert batch[modality].shape == (3, 1, 32, 32)
        assert batch[modality].min() == 0
        assert len(batch[f"{modality}_keys"]) == 3
    assert "known" not in batch


@pytest.mark.parametrize("grey_levels", [256, 100])
def test_a_batch_on_the_device_is_exactly_that_of_to_network(make_loader, grey_levels):
    batch = make_loader(paired=True).batch(0)
    batch["mr"] = np.arange(grey_levels, dtype=np.uint8)[None, None, None]
    on_device = to_device(batch, torch.device("cpu"), grey_levels)
    assert set(on_device) == {"mr", "ct", "known"}
    for name, values in on_device.items():
        expected = batch[name] if name == "known" else to_network(batch[name], grey_levels)
        assert values.dtype == torch.float32
        assert np.array_equal(values.numpy(), expected)
    assert "known" not in to_device(make_loader().batch(0), torch.device("cpu"), grey_levels)


@pytest.mark.parametrize("paired", [False, True])
def test_processes_that_train_together_see_what_one_with_their_batches_sees(make_loader, paired):
    alone = make_loader(paired, batch_size=4)
    ranks = [make_loader(paired, batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for step in range(5):
        whole, parts = alone.batch(step), [one.batch(step) for one in ranks]
        for name in ("mr", "ct", "known")[: 2 + paired]:
            assert np.array_equal(whole[name], np.concatenate([part[name] for part in parts]))
        assert whole["mr_keys"] == [key for part in parts for key in part["mr_keys"]]


def test_pairs_and_their_weight_are_cropped_at_the_same_place(make_loader):
    loader = make_loader(paired=True)
    loader._data.known = lambda key: (loader._data.mr_slice(key) > 0).astype(np.uint8)  # a map of the MR's head
    loader._data.ct_slice = lambda key: 255 - loader._data.mr_slice(key)
    places = set()
    for step in range(30):
        batch = loader.batch(step)
        assert batch["mr_keys"] == batch["ct_keys"]
        mr, ct, known = batch["mr"], batch["ct"], batch["known"]
        assert known.dtype == np.uint8
        inside = ct > 0
        assert np.array_equal(ct[inside], 255 - mr[inside])
        assert ((known == 1) == ((mr > 0) | ~inside)).all()  # padding is known air
        places.add(tuple(np.argwhere(mr[0, 0] > 0).min(axis=0)))
    assert len(places) > 5


def test_mr_and_ct_of_an_unpaired_batch_are_cropped_independently(make_loader):
    loader = make_loader()
    loader._data.mr_slice = loader._data.ct_slice = lambda key: np.full((1, 30, 30), 200, np.uint8)
    starts = []
    for step in range(40):
        batch = loader.batch(step)
        starts.append([tuple(np.argwhere(batch[name][0, 0] > 0)[0]) for name in ("mr", "ct")])
    assert any(mr != ct for mr, ct in starts)


@pytest.mark.parametrize("paired", [False, True])
def test_the_order_of_batches_does_not_depend_on_workers_or_where_it_starts(make_loader, paired):
    alone = take(make_loader(paired, workers=0), 0, 9)
    two = take(make_loader(paired, workers=2), 2, 9)
    later = take(make_loader(paired, workers=1, start_step=4), 1, 5)
    assert all(same(one, other) for one, other in zip(alone, two))
    assert all(same(one, other) for one, other in zip(alone[4:], later))


def test_numpys_global_generator_is_left_as_it_was(make_loader):
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    make_loader().batch(5)
    assert np.random.rand() == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_a_worker_names_step_and_patient(make_loader, preprocessed_folder, tmp_path, workers):
    loader = make_loader(workers=workers, budget=1)  # nothing is kept, so every draw reads the file ...
    for patient, reader in loader._data._readers.items():
        loader._data._readers[patient] = replace(reader, path=tmp_path / f"{patient}.npz")  # ... which has gone
    with pytest.raises(TrainingError, match=r"Step 0 .*(PAIR|ONLY).*\.npz is missing"):
        take(loader, workers, 20)
    assert not multiprocessing.active_children()


def test_workers_end_with_the_context_whatever_ends_it(make_loader):
    with pytest.raises(ZeroDivisionError), batches(make_loader(workers=2), 2) as drawn:
        next(drawn)
        assert len(multiprocessing.active_children()) == 2
        raise ZeroDivisionError
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_killed_worker_is_reported_and_ctrl_c_is_left_to_the_parent(make_loader):
    with pytest.raises(TrainingError, match="ended from outside"), batches(make_loader(workers=1), 1) as drawn:
        next(drawn)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGINT)
        time.sleep(0.2)
        assert worker.is_alive()
        os.kill(worker.pid, signal.SIGKILL)
        for _ in range(10_000):
            next(drawn)
