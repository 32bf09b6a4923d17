"""What a method is to the rest of the product, and what every trainer shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from synthct.accelerate.channels_last import with_channels_last
from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.accelerate.streams import at_once
from synthct.imaging.coding import Coding
from synthct.parallel import Progress
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, TrainingPlan
from synthct.training.distributed import ALONE, Ranks, average_gradients, average_tensors
from synthct.training.image_pool import ImagePool
from synthct.training.precision import choose_precision, forward_passes
from synthct.training.schedule import learning_rate_factor
from synthct.training.weight_average import WeightAverage

SEEDS_OF_A_RANK = 1000  # pools take them from the first on, other generators from the last
WAYS_TO_COMPUTE = ("fused", "foreach", "capturable")  # of an optimiser: what depends on the device alone

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CachedSlices:
    """Cached slices of the patients of a training.

    Attributes:
        folder: holds ``PATIENT.npz``.
        patients: those who train.
        disjoint: MR and CT are to be of different patients.
    """

    folder: Path
    patients: Sequence[str]
    disjoint: bool = False


class Trainer(ABC):
    """A method: its settings, its networks, what it is shown, one training step, and how it synthesises a CT.

    A method is one file with one subclass. What is asked of the class holds for training, prediction, quality
    assurance and export alike; an instance is a training under way. The loop, checkpoints, log and schedule are shared.

    Attributes:
        Settings: the frozen dataclass of the method's settings with the defaults of its paper; it stands in
            ``plans.json`` as ``methods.<trainer>`` of a configuration. It has a ``learning_rate``, and a ``coding``
            unless the method overrides :meth:`coding`.
        paired: whether MR and CT of a batch show the same places.
        needs_pairs: whether a patient must have both scans; what is ``paired`` does, unless a method pairs by itself.
        to_predict: names of the networks that a prediction needs; they are what is exported.
        size_multiple: rows and cols of a slice must be multiples of it; slices are padded for the networks.
        dimensions: 2 where networks see slices, 3 where they see slabs of them; of the configurations that it trains.
        networks: of a training, by name; with them sCTs are made. optimisers, pools: likewise.
        averages: of those networks that are averages of weights which learn, by the network's name.
        generators: of random numbers that the method draws, on the CPU, by name.
        rates: learning rates of optimisers, relative to the settings' one, by name; 1 where there is none.
        precision, precision_reason: of the forward passes, ``float32`` or ``bfloat16``, and why.
    """

    Settings: ClassVar[type]
    paired: ClassVar[bool]
    needs_pairs: ClassVar[bool]
    to_predict: ClassVar[tuple[str, ...]] = ("syn_ct",)
    size_multiple: ClassVar[int] = 4
    dimensions: ClassVar[Literal[2, 3]] = 2

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "needs_pairs" not in cls.__dict__ and hasattr(cls, "paired"):
            cls.needs_pairs = cls.paired

    # -- what the method is -------------------------------------------------------------------------------------------

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        """The settings for a configuration; the defaults, unless a method derives some of them.

        Args:
            configuration: for which they are planned; its ``network_width`` is the share of a full width to take.
            fingerprint: of the dataset; None takes the values of the method's paper whatever the data.
        """
        return PlannedSettings(cls.Settings())

    @classmethod
    def training_plan(cls, training: TrainingPlan, settings: Any) -> TrainingPlan:
        """The loop's plan for this method, such as with another batch size; as it is planned by default."""
        return training

    @classmethod
    def slab(cls, settings: Any) -> int:
        """How many neighbouring slices an image of a batch holds; above 1 for a paired method of 3 ``dimensions``."""
        return 1

    @classmethod  # noqa: B027  any device will do
    def check_device(cls, configuration: Configuration, settings: Any, device: torch.device) -> None:
        """Raise TrainingError, with what to do instead, where a training on a device could not end; none by default."""

    @classmethod
    def coding(cls, settings: Any) -> Coding:
        """What the method makes of HU and MR intensities."""
        return settings.coding

    @classmethod
    @abstractmethod
    def build_networks(cls, configuration: Configuration, settings: Any) -> dict[str, nn.Module]:
        """All networks by name, their weights still arbitrary.

        Their input has ``configuration.input.channels`` channels: (batch, channels, rows, cols). Of a method with slabs
        it is (batch, slab x channels, rows, cols), slice by slice.
        """

    @classmethod
    def synthesize(cls, networks: Mapping[str, Network], mr: Tensor) -> Tensor:
        """sCT of slices.

        Args:
            networks: those named ``to_predict``.
            mr: (batch, channels, rows, cols) in the coding's units.

        Returns:
            (batch, 1, rows, cols) in the coding's units; of slabs (batch, slab, rows, cols).
        """
        return networks["syn_ct"](mr)

    @classmethod
    def reconstruct(cls, networks: Mapping[str, Network], sct: Tensor) -> Tensor | None:
        """The MR that an sCT came from, (batch, channels, rows, cols); None where the method has no way back."""
        return None

    @classmethod
    def synthesize_volume(
        cls, networks: Mapping[str, Network], mr: Callable[[np.ndarray], Tensor], shown: np.ndarray, at_once: int
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """sCT of all slices of a patient that show the head: a few slices after the other, unless a method overrides.

        Args:
            networks: as of :meth:`synthesize`.
            mr: gives the network input of slices by their numbers, (slices, channels, rows, cols), on the device.
            shown: numbers of the slices with head, ascending.
            at_once: how many slices the device computes together without loss of time.

        Yields:
            Numbers of slices, and their sCT (slices, 1, rows, cols).
        """
        for start in range(0, len(shown), at_once):
            chosen = shown[start : start + at_once]
            yield chosen, cls.synthesize(networks, mr(chosen))

    # -- a training under way -----------------------------------------------------------------------------------------

    def __init__(
        self,
        configuration: Configuration,
        settings: Any,
        device: torch.device | str,
        *,
        seed: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Build the networks, then :meth:`prepare_training`.

        Args:
            configuration: of the plan.
            settings: of the method.
            device: where the networks live.
            seed: of weights and pools; the training plan's by default.
            ranks: the processes that train together. All start with the same weights, each has pools of its own.
        """
        self.configuration, self.settings = configuration, settings
        self.device = torch.device(device)
        self.ranks = ranks
        self.seed = configuration.training.seed if seed is None else seed
        self.precision, self.precision_reason = choose_precision(configuration.training.precision, self.device)
        self.generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self.networks = self.build_networks(configuration, settings)
        for name, network in self.networks.items():
            self.initialise(network)
            self.networks[name] = self.accelerated(network.to(self.device))
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.pools: dict[str, ImagePool] = {}
        self.averages: dict[str, WeightAverage] = {}
        self.generators: dict[str, torch.Generator] = {}
        self.rates: dict[str, float] = {}
        self.prepare_training()

    @property
    def position_matched(self) -> bool:
        """Whether MR and CT slices of a step come from similar places in the head, without being paired."""
        return False

    @abstractmethod
    def prepare_training(self) -> None:
        """Add optimisers (and pools) for the networks that have just been made."""

    def rounds(self, epochs: int) -> list[int]:
        """The epochs before which slices to train on are made, the first one 0; of most methods no other."""
        return [0]

    def training_slices(
        self, cached: CachedSlices, own: Path, number: int, progress: Progress
    ) -> tuple[Path, list[str]]:
        """The stacks that batches of a round are drawn from: the patients' cached ones, unless a method makes its own.

        Args:
            cached: slices of the patients who train.
            own: folder of the fold, for what the method makes.
            number: of the round, from 0. Where its slices are there already they are taken; else they may depend on
                the weights as they are now.
            progress: a display like ``tqdm``.

        Returns:
            Their folder, and their names without the ending.
        """
        return cached.folder, list(cached.patients)

    def on_train_end(self, own: Path) -> None:  # noqa: B027  most methods make nothing
        """Remove what :meth:`training_slices` has made, once the training is complete."""

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What :meth:`training_step` is given of a loaded batch, of the same shapes; as it is, by default.

        Here a method may draw random numbers (:meth:`add_generator`): this is never part of a recorded step.
        """
        return batch

    @abstractmethod
    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Update every network once.

        Args:
            batch: ``mr`` (batch, channels, rows, cols) and ``ct`` (batch, 1, rows, cols) in the coding's units; for
                paired trainers ``known`` and ``head`` (batch, 1, rows, cols), 1 or 0: ``known`` is 0 where the head
                lies outside a scan's field of view. Of slabs, (batch, slab x channels, rows, cols) and (batch, slab,
                rows, cols). On the trainer's device.

        Returns:
            The losses by name: detached scalars that are still on the device, so that nothing waits for it.
        """

    def initialise(self, network: nn.Module) -> None:  # noqa: B027  torch's own weights will do
        """Draw the weights of a network anew; by default they stay as torch draws them."""

    def add_optimiser(self, name: str, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Take an optimiser into the checkpoints and under the schedule of learning rates."""
        self.optimisers[name] = optimiser
        return optimiser

    def add_adam(
        self,
        name: str,
        *networks: nn.Module,
        betas: tuple[float, float] | None = None,
        weight_decay: float | None = None,
    ) -> torch.optim.Optimizer:
        """One Adam for all parameters of the networks, with the settings' ``learning_rate``.

        Args:
            name: of the optimiser.
            networks: that it changes.
            betas: the settings' ``adam_betas`` by default.
            weight_decay: of AdamW (Loshchilov and Hutter 2019); None takes plain Adam.
        """
        parameters = [parameter for network in networks for parameter in network.parameters()]
        rate, on_gpu = self.settings.learning_rate, self.device.type == "cuda"
        decay: dict[str, Any] = {} if weight_decay is None else {"weight_decay": weight_decay}
        adam = (torch.optim.AdamW if decay else torch.optim.Adam)(
            parameters,
            # One pass over all parameters; on a GPU with all numbers there, so that nothing waits.
            lr=torch.tensor(rate, device=self.device) if on_gpu else rate,
            betas=betas or self.settings.adam_betas,
            fused=on_gpu or self.device.type == "cpu",
            capturable=on_gpu,
            **decay,
        )
        return self.add_optimiser(name, adam)

    def add_average(self, name: str, decay: float) -> nn.Module:
        """Make one of ``networks`` the average of weights that learn, see :class:`WeightAverage`.

        Args:
            name: of the network.
            decay: of the average at each step, below 1; 0 averages nothing.

        Returns:
            The network that learns, for the optimiser and the loss.
        """
        if decay == 0:
            return self.networks[name]
        self.averages[name] = WeightAverage(self.networks[name], decay)
        return self.averages[name].learning

    def add_pool(self, name: str, size: int) -> ImagePool:
        """A history of synthetic images with a generator of its own."""
        seed = self.seed + 1 + len(self.pools) + SEEDS_OF_A_RANK * self.ranks.rank
        self.pools[name] = ImagePool(size, seed, self.device)
        return self.pools[name]

    def add_generator(self, name: str) -> torch.Generator:
        """Random numbers on the CPU, others on each rank; the generator's state is part of the checkpoints."""
        seed = self.seed + SEEDS_OF_A_RANK * (self.ranks.rank + 1) - len(self.generators)
        self.generators[name] = torch.Generator().manual_seed(seed)
        return self.generators[name]

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, clip: float | None = None) -> None:
        """One step of the optimiser down the loss, averaged over the processes that train together.

        Args:
            optimiser: of the weights that learn.
            loss: scalar.
            clip: the largest norm of the gradient of all these weights; None: any.
        """
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        weights = [p for group in optimiser.param_groups for p in group["params"]]
        average_gradients(weights, self.ranks)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(weights, clip)
        optimiser.step()

    def update_averages(self) -> None:
        """Take the weights as they are now into the averages; once a step."""
        for average in self.averages.values():
            average.update()

    def average_statistics(self) -> None:
        """The running statistics of batch norms, averaged over the processes that train together; once a step."""
        buffers = [buffer for network in self.networks.values() for buffer in network.buffers()]
        average_tensors([buffer for buffer in buffers if buffer.is_floating_point()], self.ranks)

    def accelerated(self, network: nn.Module) -> nn.Module:
        """A network that is on the device, with the layers that compute the same faster there."""
        network = with_fast_convolutions(network)
        single_images = self.dimensions == 2 and self.configuration.training.batch_size == 1
        return with_channels_last(network) if self.device.type == "cuda" and single_images else network

    def at_once(self, first: Callable[[], Tensor], second: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """Both results, side by side where the device can; see :func:`synthct.accelerate.streams.at_once`."""
        return at_once(first, second, self.device)

    def autocast(self) -> AbstractContextManager:
        """Forward passes in the precision in force."""
        return forward_passes(self.precision, self.device)

    # -- for the loop -------------------------------------------------------------------------------------------------

    def learning_rate_factor(self, epoch: int, step: int, steps: int) -> float:
        """Share of the settings' ``learning_rate`` at a step; constant, then linearly to zero (paper, section 4).

        Args:
            epoch: finished ones.
            step, steps: finished ones, and those of the whole training.
        """
        return learning_rate_factor(epoch, self.configuration.training)

    def before_step(self, step: int, steps: int) -> None:  # noqa: B027  most methods do the same in every step
        """Set what depends on how far the training is, in place: a recorded step goes on reading the same tensors.

        Args:
            step, steps: as of :meth:`learning_rate_factor`.
        """

    def set_learning_rate(self, learning_rate: float) -> None:
        """The rate of every optimiser, times its own in :attr:`rates`."""
        for name, optimiser in self.optimisers.items():
            rate = learning_rate * self.rates.get(name, 1.0)
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)  # in place: a recorded step goes on reading it
                else:
                    group["lr"] = rate

    def sct_of(self, mr: Tensor) -> Tensor:
        """sCT of MR slices as the networks are now: shapes as of :meth:`synthesize`, float32, no gradient."""
        training = [layer for network in self.networks.values() for layer in network.modules() if layer.training]
        for network in self.networks.values():
            network.eval()  # as in a prediction: dropout would draw random numbers, batch norm would learn
        try:
            with torch.inference_mode(), self.autocast():
                return self.synthesize(self.networks, mr.to(self.device)).float()
        finally:
            for layer in training:
                layer.training = True

    def is_finite(self) -> bool:
        """Whether no weight is NaN or infinite; waits for the device."""
        weights = [weight for network in self.networks.values() for weight in network.parameters()]
        return bool(torch.stack([weight.detach().isfinite().all() for weight in weights]).all())

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """States of networks, optimisers, pools, averages and generators, by name."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
        }

    def load_state_dict(self, state: dict[str, dict[str, Any]]) -> None:
        """Restore :meth:`state_dict`; raises as torch does where networks do not fit."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimiser in self.optimisers.items():
            loaded = state["optimisers"][name]
            pairs = zip(loaded["param_groups"], optimiser.param_groups, strict=True)
            groups = [_as_here(group, here) for group, here in pairs]
            optimiser.load_state_dict(loaded | {"param_groups": groups})
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())


def _as_here(loaded: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """A loaded group of an optimiser, computed as on this device, whatever the device that it was written on."""
    rate = float(loaded["lr"])
    lr = torch.full_like(here["lr"], rate) if isinstance(here["lr"], Tensor) else rate
    return loaded | {name: here[name] for name in WAYS_TO_COMPUTE if name in here} | {"lr": lr}


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Inside, the gradient goes through the networks but not into their weights."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
