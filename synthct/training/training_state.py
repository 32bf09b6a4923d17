"""What a training changes and its checkpoints hold: networks, optimisers, image pools, averages, random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from synthct.training import optimisers
from synthct.training.distributed import Ranks, average_tensors
from synthct.training.image_pool import ImagePool
from synthct.training.weight_average import WeightAverage

SEEDS_OF_A_RANK = 1000  # pools take them from the first on, other generators from the last


class TrainingState:
    """The networks of a training, and all that its steps change.

    Attributes:
        device: where the networks live.
        seed: of weights, pools and generators.
        ranks: the processes that train together.
        networks: by name; with them sCTs are made. optimisers, pools: likewise.
        averages: of those networks that are averages of weights which learn, by the network's name.
        generators: of random numbers that the method draws, on the CPU, by name.
        rates: learning rates of optimisers, relative to the settings' one, by name; 1 where there is none.
    """

    def __init__(self, networks: dict[str, nn.Module], device: torch.device, seed: int, ranks: Ranks) -> None:
        self.networks, self.device, self.seed, self.ranks = networks, device, seed, ranks
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.pools: dict[str, ImagePool] = {}
        self.averages: dict[str, WeightAverage] = {}
        self.generators: dict[str, torch.Generator] = {}
        self.rates: dict[str, float] = {}

    # -- what is part of it -------------------------------------------------------------------------------------------

    def add_optimiser(self, name: str, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Take an optimiser into the checkpoints and under the schedule of learning rates."""
        self.optimisers[name] = optimiser
        return optimiser

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

    # -- how it changes -----------------------------------------------------------------------------------------------

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, clip: float | None = None) -> None:
        """One step of the optimiser down the loss, averaged over the processes that train together.

        Args:
            optimiser: of the weights that learn.
            loss: scalar.
            clip: the largest norm of the gradient of all these weights; None: any.
        """
        optimisers.descend(optimiser, loss, self.ranks, clip=clip)

    def update_averages(self) -> None:
        """Take the weights as they are now into the averages; once a step."""
        for average in self.averages.values():
            average.update()

    def average_statistics(self) -> None:
        """The running statistics of batch norms, averaged over the processes that train together; once a step."""
        buffers = [buffer for network in self.networks.values() for buffer in network.buffers()]
        average_tensors([buffer for buffer in buffers if buffer.is_floating_point()], self.ranks)

    def set_learning_rate(self, learning_rate: float) -> None:
        """The rate of every optimiser, times its own in :attr:`rates`."""
        for name, optimiser in self.optimisers.items():
            optimisers.set_learning_rate(optimiser, learning_rate * self.rates.get(name, 1.0))

    @contextmanager
    def as_in_prediction(self) -> Iterator[None]:
        """Inside, no network draws random numbers for dropout, and no batch norm learns."""
        training = [layer for network in self.networks.values() for layer in network.modules() if layer.training]
        for network in self.networks.values():
            network.eval()
        try:
            yield
        finally:
            for layer in training:
                layer.training = True

    # -- checkpoints --------------------------------------------------------------------------------------------------

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
            optimisers.load_optimiser(optimiser, state["optimisers"][name])
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())
