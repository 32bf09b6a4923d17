"""The contract of a method: what the rest of the product asks of every trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
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
from synthct.training.distributed import ALONE, Ranks
from synthct.training.optimisers import adam
from synthct.training.precision import choose_precision, forward_passes
from synthct.training.schedule import learning_rate_factor
from synthct.training.training_state import TrainingState

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


class Trainer(TrainingState, ABC):
    """A method: its settings, its networks, what it is shown, one training step, and how it synthesises a CT.

    A method is one file with one subclass. What is asked of the class holds for training, prediction, quality
    assurance and export alike; an instance is a training under way: its networks, optimisers, image pools, averages of
    weights and generators are its :class:`TrainingState`. The loop, checkpoints, log and schedule are shared.

    Attributes:
        Settings: the frozen dataclass of the method's settings with the defaults of its paper; it stands in
            ``plans.json`` as ``methods.<trainer>`` of a configuration. It has a ``learning_rate``, and a ``coding``
            unless the method overrides :meth:`coding`.
        paired: whether MR and CT of a batch show the same places.
        needs_pairs: whether a patient must have both scans; what is ``paired`` does, unless a method pairs by itself.
        to_predict: names of the networks that a prediction needs; they are what is exported.
        size_multiple: rows and cols of a slice must be multiples of it; slices are padded for the networks.
        dimensions: 2 where networks see slices, 3 where they see slabs of them; of the configurations that it trains.
        generator: of random numbers for the first weights.
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

    @classmethod
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
        seed = configuration.training.seed if seed is None else seed
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            networks = self.build_networks(configuration, settings)
        super().__init__(networks, torch.device(device), seed, ranks)
        self.precision, self.precision_reason = choose_precision(configuration.training.precision, self.device)
        self.generator = torch.Generator().manual_seed(seed)
        for name, network in self.networks.items():
            self.initialise(network)
            self.networks[name] = self.accelerated(network.to(self.device))
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

    def on_train_end(self, own: Path) -> None:
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

    def initialise(self, network: nn.Module) -> None:
        """Draw the weights of a network anew; by default they stay as torch draws them."""

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
            networks, weight_decay: as of :func:`synthct.training.optimisers.adam`.
            betas: the settings' ``adam_betas`` by default.
        """
        betas = betas or self.settings.adam_betas
        rate = self.settings.learning_rate
        return self.add_optimiser(name, adam(networks, rate, betas, self.device, weight_decay=weight_decay))

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

    def before_step(self, step: int, steps: int) -> None:
        """Set what depends on how far the training is, in place: a recorded step goes on reading the same tensors.

        Args:
            step, steps: as of :meth:`learning_rate_factor`.
        """

    def sct_of(self, mr: Tensor) -> Tensor:
        """sCT of MR slices as the networks are now: shapes as of :meth:`synthesize`, float32, no gradient."""
        with self.as_in_prediction(), torch.inference_mode(), self.autocast():
            return self.synthesize(self.networks, mr.to(self.device)).float()
