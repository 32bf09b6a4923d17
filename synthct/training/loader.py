"""Batches from slices, with batchgenerators: the batch of a step is a pure function of (seed, step)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from batchgenerators.transforms.abstract_transforms import Compose
from batchgenerators.transforms.crop_and_pad_transforms import PadTransform, RandomCropTransform

from synthct.errors import TrainingError
from synthct.planning.plan import TrainingPlan
from synthct.training.sampling import Key, PairedOrder, UnpairedOrder
from synthct.training.slices import TrainingSlices
from synthct.worker_processes import end_with_parent

Batch = dict[str, Any]


def pad_and_crop(
    images: np.ndarray, known: np.ndarray | None, training: TrainingPlan
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pad with air and crop at random (seed, section 4: 286 x 286, then 256 x 256), by numpy's global generator.

    A slice larger than ``crop_size`` is padded by the same margin as one of ``crop_size``.

    Args:
        images: uint8 grey levels (1, channels, rows, cols), all cropped at the same place.
        known: 0 or 1 (1, 1, rows, cols), cropped at that place too; the padding is known to be air.
    """
    margin = np.subtract(training.padded_size, training.crop_size)
    padded = np.maximum(training.padded_size, images.shape[2:] + margin)
    # RandomCropTransform never takes the last of the possible places; one more row and column, which are then never
    # shown, let it reach all of them.
    transform = Compose(
        [
            PadTransform(tuple(padded + 1), np_pad_kwargs_seg={"constant_values": 1}),
            RandomCropTransform(training.crop_size),
        ]
    )
    cropped = transform(data=images, seg=known)
    return cropped["data"], cropped["seg"]


class SliceLoader(SlimDataLoaderBase):
    """Draws and augments slices; they stay bytes until they are on the device, see :func:`to_device`.

    Worker w of n makes the steps start + w, start + w + n, ...; MultiThreadedAugmenter takes them in turn, so that
    the order does not depend on the number of workers, and resuming at a step needs no state.
    """

    def __init__(
        self,
        slices: TrainingSlices,
        order: UnpairedOrder | PairedOrder,
        training: TrainingPlan,
        *,
        start_step: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__(slices, order.batch_size, max(1, workers))
        self.order = order
        self.training = training
        self.start_step = self.next_step = start_step

    def set_thread_id(self, thread_id: int) -> None:
        """Called once in each worker process, before its first batch."""
        super().set_thread_id(thread_id)
        self.next_step = self.start_step + thread_id
        for asked_to_stop in (signal.SIGINT, signal.SIGTERM):  # a batch system asks all; the parent decides
            signal.signal(asked_to_stop, signal.SIG_IGN)
        end_with_parent()

    def generate_train_batch(self) -> Batch:
        """The next batch, or ``{"fault": text}``: an exception would be lost in the worker."""
        step, self.next_step = self.next_step, self.next_step + self.number_of_threads_in_multithreaded
        drawn: Any = None
        try:
            drawn = self.order.draw(step)
            return self.batch(step)
        except Exception as fault:
            return {"fault": f"Step {step} could not be loaded (MR, CT: {drawn}): {type(fault).__name__}: {fault}"}

    def batch(self, step: int) -> Batch:
        """The batch of a step.

        Returns:
            ``mr`` uint8 grey levels (batch, channels, rows, cols) and ``ct`` (batch, 1, rows, cols); for paired
            training ``known`` uint8 (batch, 1, rows, cols), 0 where the head lies outside a field of view and 1
            elsewhere; ``mr_keys`` and ``ct_keys``, a (patient, slice) each image.
        """
        drawn = self.order.draw(step)
        before = np.random.get_state()
        try:
            images = [self._image(draw, *keys) for draw, keys in zip(self.order.draws(step), drawn)]
        finally:
            np.random.set_state(before)
        batch: Batch = {name: np.concatenate([image[name] for image in images]) for name in images[0]}
        batch["mr_keys"], batch["ct_keys"] = [mr for mr, _ in drawn], [ct for _, ct in drawn]
        return batch

    def _image(self, draw: int, mr_key: Key, ct_key: Key) -> dict[str, np.ndarray]:
        """An image of the batch, augmented by the number of its draw: the same however many processes train."""
        np.random.seed(np.random.SeedSequence([self.training.seed, draw]).generate_state(4))
        mr, ct = self._data.mr_slice(mr_key)[None], self._data.ct_slice(ct_key)[None]
        if not self._data.paired:
            return {name: pad_and_crop(one, None, self.training)[0] for name, one in (("mr", mr), ("ct", ct))}
        known = self._data.known(mr_key)[None]
        images, known = pad_and_crop(np.concatenate((mr, ct), axis=1), known, self.training)
        return {"mr": images[:, :-1], "ct": images[:, -1:], "known": known}


def to_device(batch: Batch, device: torch.device, grey_levels: int) -> dict[str, torch.Tensor]:
    """The images of a batch on the device: ``mr`` and ``ct`` in [-1, 1], ``known`` 0 or 1; float32.

    They travel as bytes and, to a GPU, while it works; there they are scaled exactly as
    :func:`synthct.imaging.intensity.to_network` does.
    """
    tensors = {}
    for name in ("mr", "ct", "known"):
        if name in batch:
            levels = torch.from_numpy(batch[name])
            if device.type == "cuda":
                levels = levels.pin_memory()  # else the copy would wait for the work that is queued
            values = levels.to(device, non_blocking=True).float()
            tensors[name] = values if name == "known" else values.mul_(2 / (grey_levels - 1)).sub_(1)
    return tensors


@contextmanager
def batches(loader: SliceLoader, workers: int) -> Iterator[Iterator[Batch]]:
    """Iterate over the loader's batches, made by ``workers`` background processes (0: in this process).

    The processes end with the context, whatever ended it.
    """
    if workers < 1:
        yield _checked(SingleThreadedAugmenter(loader, None))
        return
    augmenter = MultiThreadedAugmenter(loader, None, workers, num_cached_per_queue=4)
    try:
        yield _checked(augmenter)
    finally:
        _end(augmenter)


def _checked(augmenter: Iterator[Batch]) -> Iterator[Batch]:
    """The batches; a worker's failure becomes an error that names the step and the slices."""
    while True:
        try:
            batch = next(augmenter)
        except RuntimeError as fault:  # MultiThreadedAugmenter's only one: a worker is gone
            raise TrainingError(
                "A process that loads slices was ended from outside, most likely for lack of memory; "
                f"use no background workers, or smaller data ({fault})."
            ) from None
        if "fault" in batch:
            raise TrainingError(batch["fault"])
        yield batch


def _end(augmenter: MultiThreadedAugmenter) -> None:
    """End the processes for sure.

    One that was killed may have left half a message in its queue, for the rest of which batchgenerators would wait
    for ever; then the queues are left as they are.
    """
    processes = list(augmenter._processes)
    if all(process.is_alive() for process in processes):
        augmenter._finish(timeout=5)
    augmenter.abort_event.set()
    for process in processes:
        process.kill()
    augmenter._queues, augmenter._processes, augmenter.was_initialized = [], [], False
