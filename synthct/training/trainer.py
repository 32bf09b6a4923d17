"""What every trainer shares: named networks, optimisers and image pools, their state, and the optimiser step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.networks.generator import initialise
from synthct.planning.plan import Configuration
from synthct.training.distributed import ALONE, Ranks, average_gradients
from synthct.training.image_pool import ImagePool
from synthct.training.precision import choose_precision, forward_passes

POOLS_OF_A_RANK = 1000  # distance between the seeds of two ranks' pools


class Trainer(ABC):
    """A method: networks, losses and one training step. The loop, checkpoints, log and schedule are shared.

    Attributes:
        paired: whether MR and CT of a batch are the same slice of the same patient; a subclass says so.
        networks: by name; ``syn_ct`` makes the sCT.
        optimisers: by name.
        pools: histories of synthetic images, by name.
        precision, precision_reason: of the forward passes, ``float32`` or ``bfloat16``, and why.
    """

    paired: ClassVar[bool]

    def __init__(
        self,
        configuration: Configuration,
        device: torch.device | str,
        seed: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Store what is given; a subclass then adds its networks, optimisers and pools.

        Args:
            configuration: network and training of the plan.
            device: where the networks live.
            seed: of weights and pools; the training plan's by default.
            ranks: the processes that train together. All start with the same weights, each has pools of its own.
        """
        self.configuration = configuration
        self.device = torch.device(device)
        self.ranks = ranks
        self.seed = configuration.training.seed if seed is None else seed
        self.precision, self.precision_reason = choose_precision(configuration.training.precision, self.device)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.pools: dict[str, ImagePool] = {}

    @abstractmethod
    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Update every network once.

        Args:
            batch: ``mr`` (batch, channels, rows, cols), ``ct`` (batch, 1, rows, cols) in [-1, 1]; for paired
                trainers ``known`` (batch, 1, rows, cols). On the trainer's device.

        Returns:
            The losses by name: detached scalars that are still on the device, so that nothing waits for it.
        """

    def synthesize(self, mr: Tensor) -> Tensor:
        """sCT of MR slices: (batch, channels, rows, cols) -> (batch, 1, rows, cols), [-1, 1], float32, no gradient."""
        with torch.inference_mode(), self.autocast():
            return self.networks["syn_ct"](mr.to(self.device)).float()

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def add_network(self, name: str, network: nn.Module) -> nn.Module:
        """Initialise a network, make its convolutions fast where they can be, and move it to the device."""
        initialise(network, self.generator)
        self.networks[name] = with_fast_convolutions(network).to(self.device)
        return self.networks[name]

    def add_optimiser(self, name: str, *networks: nn.Module) -> torch.optim.Optimizer:
        """One Adam for all parameters of the networks (seed, section 4)."""
        self.optimisers[name] = torch.optim.Adam(
            [parameter for network in networks for parameter in network.parameters()],
            betas=self.configuration.training.adam_betas,
            **self._adam_settings(self.configuration.training.learning_rate),
        )
        return self.optimisers[name]

    def add_pool(self, name: str) -> ImagePool:
        """A history of synthetic images with a generator of its own."""
        seed = self.seed + 1 + len(self.pools) + POOLS_OF_A_RANK * self.ranks.rank
        self.pools[name] = ImagePool(self.configuration.training.pool_size, seed, self.device)
        return self.pools[name]

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step of the optimiser down the loss, averaged over the processes that train together."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients([p for group in optimiser.param_groups for p in group["params"]], self.ranks)
        optimiser.step()

    def autocast(self) -> AbstractContextManager:
        """Forward passes in the precision in force."""
        return forward_passes(self.precision, self.device)

    # -- for the loop ------------------------------------------------------------------------------------------------

    def set_learning_rate(self, learning_rate: float) -> None:
        """The same rate for every optimiser."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(learning_rate)  # in place: a recorded step goes on reading it
                else:
                    group["lr"] = learning_rate

    def is_finite(self) -> bool:
        """Whether no weight is NaN or infinite; waits for the device."""
        weights = [weight for network in self.networks.values() for weight in network.parameters()]
        return bool(torch.stack([weight.detach().isfinite().all() for weight in weights]).all())

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """States of networks, optimisers and pools, by name."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
        }

    def load_state_dict(self, state: dict[str, dict[str, Any]]) -> None:
        """Restore :meth:`state_dict`; raises as torch does where networks do not fit."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimiser in self.optimisers.items():
            loaded = state["optimisers"][name]
            # How Adam computes is this device's matter, whatever the device that the state was written on.
            groups = [group | self._adam_settings(float(group["lr"])) for group in loaded["param_groups"]]
            optimiser.load_state_dict(loaded | {"param_groups": groups})
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name])

    def _adam_settings(self, rate: float) -> dict[str, Any]:
        """Of this device: one pass over all parameters; on a GPU with all numbers there, so that nothing waits."""
        if self.device.type == "cuda":
            return {"lr": torch.tensor(rate, device=self.device), "fused": True, "capturable": True}
        return {"lr": rate, "fused": self.device.type == "cpu", "capturable": False}


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
