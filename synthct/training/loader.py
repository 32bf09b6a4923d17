"""Batches from slices: the batch of a step is a pure function of (seed, step), whatever process makes it."""

from __future__ import annotations

import itertools
import math
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.augmentations.utils import pad_nd_image
from batchgenerators.transforms.crop_and_pad_transforms import RandomCropTransform
from torch.utils.data import DataLoader, Dataset

from synthct.errors import TrainingError
from synthct.parallel import Progress, available_cores, quiet
from synthct.planning.plan import TrainingPlan
from synthct.preprocessing.network_input import NetworkInput
from synthct.training.distributed import ALONE, Ranks
from synthct.training.sampling import Key, PairedOrder, UnpairedOrder
from synthct.training.slices import MEMORY_BUDGET, SlicesToDraw, TrainingSlices
from synthct.worker_processes import end_with_parent

Batch = dict[str, Any]
MAX_LOADERS = 8  # by default; a GPU takes some batches in less than 4 ms, of which a process makes one in 10
BATCHES_AHEAD = 4  # that each background process makes before they are asked for
SECONDS_TO_END = 1.0  # for a process that is about to end
IMAGES = ("mr", "ct", "known", "head")  # of a batch
KEYS = ("mr_keys", "ct_keys")  # of a batch: the slices that they come from


def pad_and_crop(images: dict[str, np.ndarray], outside: dict[str, float], plan: TrainingPlan) -> dict[str, np.ndarray]:
    """Pad and crop at random (Wolterink et al. 2017, section 4: 286 x 286, then 256 x 256), by numpy's generator.

    A slice larger than ``crop_size`` is padded by the same margin as one of ``crop_size``.

    Args:
        images: by name, (channels, rows, cols), all cropped at the same place.
        outside: what each is padded with.
        plan: with the sizes.
    """
    margin = np.subtract(plan.padded_size, plan.crop_size)
    rows_and_cols = next(iter(images.values())).shape[1:]
    # RandomCropTransform never takes the last of the possible places; one more row and column, which are then never
    # shown, let it reach all of them.
    padded_size = np.maximum(plan.padded_size, rows_and_cols + margin) + 1
    padded = [
        pad_nd_image(image, padded_size, kwargs={"constant_values": outside[name]}) for name, image in images.items()
    ]
    cropped = RandomCropTransform(plan.crop_size)(data=np.concatenate(padded)[None])["data"][0]
    ends = np.cumsum([len(image) for image in padded])[:-1]
    return dict(zip(images, np.split(cropped, ends)))


class SliceDataset(Dataset):
    """The batch of every step, made where it is asked for; an item is a step's number."""

    def __init__(
        self,
        slices: TrainingSlices,
        order: UnpairedOrder | PairedOrder,
        network_input: NetworkInput,
        training: TrainingPlan,
    ) -> None:
        self.slices, self.order, self.input, self.training = slices, order, network_input, training
        coding = network_input.coding
        # Where a slice is padded it is known that there is no head.
        self.outside = {"mr": coding.mr_outside, "ct": coding.ct_outside, "known": 1.0, "head": 0.0}

    @staticmethod
    def of(
        folder: Path,
        names: Sequence[str],
        network_input: NetworkInput,
        training: TrainingPlan,
        *,
        paired: bool,
        disjoint: bool = False,
        position_matched: bool = False,
        ranks: Ranks = ALONE,
        budget: int = MEMORY_BUDGET,
        progress: Progress = quiet,
    ) -> SliceDataset:
        """Of cached stacks ``NAME.npz`` in a folder; arguments and errors as of :class:`TrainingSlices`.

        Args:
            position_matched: as of :class:`UnpairedOrder`.
        """
        wanted = SlicesToDraw(paired, training.min_head_fraction, disjoint, training.seed)
        slices = TrainingSlices(folder, names, network_input.plan, wanted, budget=budget, progress=progress)
        drawn_by = {"batch_size": training.batch_size, "rank": ranks.rank, "world_size": ranks.world_size}
        order: PairedOrder | UnpairedOrder
        if paired:
            order = PairedOrder(slices.mr, training.seed, **drawn_by)
        else:
            order = UnpairedOrder(slices.mr, slices.ct, training.seed, position_matched=position_matched, **drawn_by)
        return SliceDataset(slices, order, network_input, training)

    def __getitem__(self, step: int) -> dict[str, Any]:
        """The batch of a step, packed; or ``{"fault": text}``: what a process of its own raises would lose its words.

        All images are one array on their way: it goes through a pipe, and needs no shared memory, which may be full.
        """
        try:
            drawn = self.order.draw(step)
            images = self._images(step, drawn)
            shapes = {name: (len(images), *image.shape) for name, image in images[0].items()}
            packed = np.concatenate([image[name].ravel() for name in shapes for image in images], dtype=np.float32)
            keys = dict(zip(KEYS, map(list, zip(*drawn))))
            return {"images": packed, "shapes": shapes} | keys
        except Exception as fault:
            drawn = self.order.draw(step)
            return {"fault": f"Step {step} could not be loaded (MR, CT: {drawn}): {type(fault).__name__}: {fault}"}

    def batch(self, step: int) -> Batch:
        """The batch of a step.

        Returns:
            ``mr`` float32 (batch, channels, rows, cols) and ``ct`` (batch, 1, rows, cols) in the method's coding, of
            slabs (batch, slab x channels, rows, cols) and (batch, slab, rows, cols); for paired training ``known`` and
            ``head`` likewise, see :meth:`NetworkInput.paired`; ``mr_keys`` and ``ct_keys``, a (patient, slice) each
            image.

        Raises:
            TrainingError: it cannot be loaded, naming the step and the slices.
        """
        return _unpacked(self[step])

    def _images(self, step: int, drawn: list[tuple[Key, Key]]) -> list[dict[str, np.ndarray]]:
        before = np.random.get_state()
        try:
            return [self._image(draw, *keys) for draw, keys in zip(self.order.draws(step), drawn)]
        finally:
            np.random.set_state(before)

    def _image(self, draw: int, mr_key: Key, ct_key: Key) -> dict[str, np.ndarray]:
        """An image of the batch, augmented by the number of its draw: the same however many processes train."""
        np.random.seed(np.random.SeedSequence([self.training.seed, draw]).generate_state(4))
        (mr_patient, mr_slice), (ct_patient, ct_slice) = mr_key, ct_key
        if self.slices.paired:
            return pad_and_crop(self.input.paired(self.slices[mr_patient], mr_slice), self.outside, self.training)
        images = {
            "mr": self.input.mr(self.slices[mr_patient], mr_slice),
            "ct": self.input.ct(self.slices[ct_patient], ct_slice),
        }
        cropped = [pad_and_crop({name: image}, self.outside, self.training) for name, image in images.items()]
        return cropped[0] | cropped[1]


def to_device(batch: Batch, device: torch.device) -> dict[str, torch.Tensor]:
    """The images of a batch on the device; to a GPU they travel while it works."""
    images = {name: batch[name] for name in IMAGES if name in batch}
    if device.type == "cuda":  # else the copy would wait for the work that is queued
        images = {name: image.pin_memory() for name, image in images.items()}
    return {name: image.to(device, non_blocking=True) for name, image in images.items()}


def loaders_for(device: torch.device, ranks: Ranks = ALONE) -> int:
    """How many background processes load slices by default: one beside a CPU's own work, more for a GPU."""
    if device.type != "cuda":
        return 1
    return max(1, min(MAX_LOADERS, available_cores() // ranks.world_size - 1))


@contextmanager
def batches(dataset: SliceDataset, workers: int, *, start_step: int = 0) -> Iterator[Iterator[Batch]]:
    """Iterate over the batches of a training from a step on, made by ``workers`` processes (0: in this process).

    Their order does not depend on the number of processes, and resuming at a step needs no state. The processes end
    with the context, whatever ended it.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,  # an item is a batch
        sampler=itertools.count(start_step),
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_in_worker,
        prefetch_factor=BATCHES_AHEAD if workers else None,
        generator=torch.Generator(),  # else the training's own random numbers would be drawn from
    )
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    drawn: Any = iter(loader)  # whose processes have no public name
    if handler is not None and in_main_thread:
        # Torch would raise RuntimeError for a dead process wherever this one happens to be, such as while it writes a
        # checkpoint. The next batch notices it all the same, after five seconds at most.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    processes: list[BaseProcess] = list(drawn._workers) if workers else []
    try:
        yield _checked(drawn, processes)
    finally:
        if workers:
            drawn._shutdown_workers()  # there is no public way but to lose the last reference
        for process in processes:
            if process.is_alive():  # such as one that waits for a disk; it ignores what torch ends it with
                process.kill()
            process.join()
        if handler is not None and in_main_thread:
            signal.signal(signal.SIGCHLD, handler)


def _as_it_is(batch: Any) -> Any:
    return batch


def _in_worker(_: int) -> None:
    """A batch system asks all processes of a job to end; the parent decides, and takes its workers with it."""
    for asked_to_stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked_to_stop, signal.SIG_IGN)
    end_with_parent()


def _checked(drawn: Iterator[dict[str, Any]], processes: list[BaseProcess]) -> Iterator[Batch]:
    """The batches; what went wrong in a worker becomes an error that names the step and the slices."""
    while True:
        try:
            batch = next(drawn)
        except (RuntimeError, OSError, EOFError) as fault:  # what a queue raises depends on when its worker was killed
            killed = [process for process in processes if _has_ended(process)]
            if not killed:
                raise
            raise TrainingError(
                f"A process that loads slices was killed ({_how(killed[0])}), most likely for lack of "
                "memory; load in fewer background processes, or in none, and go on with --continue."
            ) from fault
        yield _unpacked(batch)


def _unpacked(packed: dict[str, Any]) -> Batch:
    """The images are views of the one array."""
    if "fault" in packed:
        raise TrainingError(packed["fault"])
    shapes = packed["shapes"]
    parts = torch.from_numpy(packed["images"]).split([math.prod(shape) for shape in shapes.values()])
    images = {name: part.view(*shape) for (name, shape), part in zip(shapes.items(), parts)}
    return images | {name: packed[name] for name in KEYS}


def _has_ended(process: BaseProcess) -> bool:
    process.join(SECONDS_TO_END)
    return not process.is_alive()


def _how(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return f"exit status {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
