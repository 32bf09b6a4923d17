from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from tiny_training import SIZE, TRAIN, make_training

from synthct.errors import TrainingError
from synthct.imaging.coding import GreyLevels
from synthct.planning.plan import InputPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE
from synthct.training.loader import SliceDataset, batches, loaders_for, pad_and_crop, to_device
from synthct.training.sampling import PairedOrder, UnpairedOrder
from synthct.training.slices import SlicesToDraw, TrainingSlices

CPU = torch.device("cpu")


@pytest.fixture
def make_dataset(preprocessed_folder):
    def make(
        paired: bool = False, *, budget: int = 2**30, rank: int = 0, world_size: int = 1, batch_size: int = 1
    ) -> SliceDataset:
        plan, training = InputPlan("sagittal", neighbours=0, mr_channels=1), make_training(batch_size=batch_size)
        wanted = SlicesToDraw(paired, min_head_fraction=0.05)
        slices = TrainingSlices(preprocessed_folder / "tiny", TRAIN, plan, wanted, budget=budget)
        share = {"batch_size": batch_size, "rank": rank, "world_size": world_size}
        order = PairedOrder(slices.mr, 7, **share) if paired else UnpairedOrder(slices.mr, slices.ct, 7, **share)
        return SliceDataset(slices, order, NetworkInput(plan, GreyLevels()), training)

    return make


def take(dataset: SliceDataset, workers: int, n: int, start_step: int = 0) -> list[dict]:
    with batches(dataset, workers, start_step=start_step) as drawn:
        return [next(drawn) for _ in range(n)]


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[k], second[k]) if isinstance(first[k], torch.Tensor) else first[k] == second[k] for k in first
    )


class MadeUpCase:
    """A slice of which every pixel is known; the head is where the MR is above 0."""

    n_slices, mr_steps, mr_statistics = 1, (1.0,), (None,)

    def __init__(self, mr: np.ndarray, ct: np.ndarray) -> None:
        self.mr, self.ct = mr.astype(np.int16), ct.astype(np.int16)

    def mr_slice(self, i: int) -> np.ndarray:
        return self.mr[None]

    def ct_slice(self, i: int) -> np.ndarray:
        return self.ct

    def regions_slice(self, i: int) -> np.ndarray:
        return np.where(self.mr > 0, HEAD | MR_KNOWN | CT_KNOWN, MR_KNOWN | CT_KNOWN).astype(np.uint8)


# -- padding and cropping -------------------------------------------------------------------------------------------


def positions(size: tuple[int, int], training, n: int) -> set[tuple[int, int]]:
    """Where the crops start, relative to the slice; read off an image that holds its own coordinates."""
    rows, cols = np.mgrid[: size[0], : size[1]] + 1
    image = np.stack((rows, cols)).astype(np.float32)
    found = set()
    for _ in range(n):
        crop = pad_and_crop({"mr": image}, {"mr": -1.0}, training)["mr"]
        assert crop.shape[1:] == training.crop_size
        inside = np.argwhere(crop[0] > 0)[0]
        row, col = crop[:, inside[0], inside[1]].astype(int) - 1
        found.add((row - inside[0], col - inside[1]))
    return found


def test_crops_reach_all_31_by_31_places_of_wolterink_2017_and_no_other():
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


def test_each_image_is_padded_with_its_own_value_and_all_are_cropped_at_one_place():
    image = np.arange(32.0 * 32, dtype=np.float32).reshape(1, 32, 32)
    images = {"mr": np.concatenate([image, image]), "ct": image}
    cropped = pad_and_crop(images, {"mr": -5.0, "ct": -7.0}, make_training(padded_size=(64, 64)))
    assert {name: image.shape for name, image in cropped.items()} == {"mr": (2, 32, 32), "ct": (1, 32, 32)}
    outside = cropped["ct"] == -7
    assert outside.any()
    assert (cropped["mr"][:, outside[0]] == -5).all()
    assert (cropped["mr"][:, ~outside[0]] == cropped["ct"][:, ~outside[0]]).all()


# -- what is in a batch ---------------------------------------------------------------------------------------------


def test_an_unpaired_batch_is_in_network_units(make_dataset):
    batch = make_dataset(batch_size=3).batch(0)
    for modality in ("mr", "ct"):
        assert batch[modality].dtype == torch.float32
        assert batch[modality].shape == (3, 1, 32, 32)
        assert batch[modality].min() == -1
        assert batch[modality].max() <= 1
        assert len(batch[f"{modality}_keys"]) == 3
    assert set(batch) == {"mr", "ct", "mr_keys", "ct_keys"}


def test_on_the_device_a_batch_is_its_images_alone(make_dataset):
    batch = make_dataset(paired=True).batch(0)
    on_device = to_device(batch, CPU)
    assert set(on_device) == {"mr", "ct", "known", "head"}
    assert all(torch.equal(values, batch[name]) for name, values in on_device.items())
    assert set(to_device(make_dataset().batch(0), CPU)) == {"mr", "ct"}


@pytest.mark.parametrize("paired", [False, True])
def test_processes_that_train_together_see_what_one_with_their_batches_sees(make_dataset, paired):
    alone = make_dataset(paired, batch_size=4)
    ranks = [make_dataset(paired, batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for step in range(5):
        whole, parts = alone.batch(step), [dataset.batch(step) for dataset in ranks]
        for name in ("mr", "ct", "known", "head")[: 4 if paired else 2]:
            assert torch.equal(whole[name], torch.cat([part[name] for part in parts]))
        assert whole["mr_keys"] == [key for part in parts for key in part["mr_keys"]]


def test_pairs_and_their_weights_are_cropped_at_the_same_place(make_dataset, monkeypatch):
    dataset = make_dataset(paired=True)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    inside = (rows > 8) & (rows < 20) & (cols > 10) & (cols < 25)
    mr = np.where(inside, 100 * rows + cols, OUTSIDE)
    ct = np.where(inside, 10 * rows + cols, OUTSIDE)
    monkeypatch.setattr(TrainingSlices, "__getitem__", lambda *_: MadeUpCase(mr, ct))
    coding = dataset.input.coding
    expected = {
        "mr": coding.mr_to_network(mr[None].astype(np.float32), inside[None], (None,))[0],
        "ct": coding.ct_to_network(ct.astype(np.float32), inside),
    }
    places = set()
    for step in range(30):
        batch = dataset.batch(step)
        assert batch["mr_keys"] == batch["ct_keys"]
        head = batch["head"][0, 0].numpy() > 0
        assert head.sum() == inside.sum()  # the margin of 2 never cuts it
        for name in ("mr", "ct"):
            assert np.array_equal(batch[name][0, 0].numpy()[head], expected[name][inside])
            assert (batch[name][0, 0].numpy()[~head] == -1).all()
        assert (batch["known"] == 1).all()  # padding is known air
        places.add(tuple(np.argwhere(head).min(axis=0)))
    assert len(places) > 5


def test_mr_and_ct_of_an_unpaired_batch_are_cropped_independently(make_dataset, monkeypatch):
    dataset = make_dataset()
    image = np.full((30, 30), 700)
    monkeypatch.setattr(TrainingSlices, "__getitem__", lambda *_: MadeUpCase(image, image))
    starts = []
    for step in range(40):
        batch = dataset.batch(step)
        starts.append([tuple(np.argwhere(batch[name][0, 0].numpy() > -1)[0]) for name in ("mr", "ct")])
    assert any(mr != ct for mr, ct in starts)


# -- processes that load ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [False, True])
def test_the_order_of_batches_does_not_depend_on_workers_or_where_it_starts(make_dataset, paired):
    alone = take(make_dataset(paired), 0, 9)
    for workers in (1, 2):
        found = take(make_dataset(paired), workers, 9)
        assert all(same(batch, other) for batch, other in zip(alone, found, strict=True))
    for workers in (0, 1, 2):
        later = take(make_dataset(paired), workers, 5, start_step=4)
        assert all(same(batch, other) for batch, other in zip(alone[4:], later, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_random_numbers_of_numpy_torch_and_python_are_left_as_they_were(make_dataset, workers):
    import random

    def draw() -> tuple[float, float, float]:
        return np.random.rand(), torch.rand(()).item(), random.random()

    def seed() -> None:
        np.random.seed(3)
        torch.manual_seed(3)
        random.seed(3)

    seed()
    expected = draw()
    seed()
    take(make_dataset(), workers, 3)
    assert draw() == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_a_worker_names_step_and_patient(make_dataset, tmp_path, workers):
    dataset = make_dataset(budget=1)  # nothing is kept, so every draw reads the file ...
    for patient, slices in dataset.slices._patients.items():
        slices.reader = replace(slices.reader, path=tmp_path / f"{patient}.npz")  # ... which has gone
    with pytest.raises(TrainingError, match=r"Step 0 .*(PAIR|ONLY).*\.npz is missing"):
        take(dataset, workers, 20)
    assert not multiprocessing.active_children()


def test_workers_end_with_the_context_whatever_ends_it(make_dataset):
    with pytest.raises(ZeroDivisionError), batches(make_dataset(), 2) as drawn:
        next(drawn)
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        raise ZeroDivisionError
    assert not any(psutil.pid_exists(worker.pid) for worker in workers)  # nor is one a zombie


def test_a_worker_that_does_not_end_is_killed(make_dataset, monkeypatch):
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    item = SliceDataset.__getitem__
    monkeypatch.setattr(SliceDataset, "__getitem__", lambda *of: item(*of) if of[1] == 0 else time.sleep(600))
    with batches(make_dataset(), 1) as drawn:
        next(drawn)
        (worker,) = multiprocessing.active_children()
    assert not psutil.pid_exists(worker.pid)


def test_asked_to_end_workers_leave_it_to_the_parent(make_dataset):
    with batches(make_dataset(), 1) as drawn:
        next(drawn)
        (worker,) = multiprocessing.active_children()
        for asked_to_end in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, asked_to_end)
        time.sleep(0.2)
        assert worker.is_alive()
        next(drawn)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_is_reported_by_the_next_batches_and_nowhere_else(make_dataset, monkeypatch, workers):
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    handler = signal.getsignal(signal.SIGCHLD)
    with batches(make_dataset(), workers) as drawn:
        next(drawn)
        children = multiprocessing.active_children()
        os.kill(children[0].pid, signal.SIGKILL)
        time.sleep(0.2)  # here torch's own handler of signals would raise, whatever this process is doing
        with pytest.raises(TrainingError, match="Killed"):
            for _ in range(1000):
                next(drawn)
    assert not any(psutil.pid_exists(child.pid) for child in children)
    assert signal.getsignal(signal.SIGCHLD) == handler


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="shared memory is not seen as files here")
def test_batches_need_no_shared_memory(make_dataset):
    """A container has little of it, and a training would wait for ever where it is full."""
    before = set(os.listdir("/dev/shm"))
    processes = [psutil.Process()]
    with batches(make_dataset(), 1) as drawn:
        held = [next(drawn) for _ in range(3)]
        processes += psutil.Process().children(recursive=True)
        mapped = [mapping.path for process in processes for mapping in process.memory_maps(grouped=False)]
        assert not [path for path in mapped if "/torch_" in path]
    assert len(held) == 3
    assert not {name for name in set(os.listdir("/dev/shm")) - before if name.startswith("torch_")}


@pytest.mark.parametrize(
    ("device", "cores", "expected"), [("cpu", 16, 1), ("cuda", 16, 8), ("cuda", 4, 3), ("cuda", 1, 1)]
)
def test_a_gpu_gets_more_loaders_than_a_cpu(device, cores, expected, monkeypatch):
    monkeypatch.setattr("synthct.training.loader.available_cores", lambda: cores)
    assert loaders_for(torch.device(device)) == expected
