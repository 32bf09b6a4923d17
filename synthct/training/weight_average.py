"""The running average of a network's weights, which synthesises better than the weights of any one step."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Averages the weights of a network exponentially over the steps of its training (Polyak and Juditsky 1992).

    The decay is min(decay, (1 + steps) / (10 + steps)): early on the average follows fast, so that it forgets the
    weights that the training began with (as TensorFlow's ExponentialMovingAverage does with ``num_updates``).

    All of it happens on the device, so that a recorded step averages too.

    Attributes:
        average: the network whose weights are the average; it has no gradient.
        learning: its copy, whose weights the optimiser changes.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Args:
        network: becomes the average.
        decay: of the average at each step, 0 to 1; in the end it spans about 1 / (1 - decay) steps.
        """
        self.learning = copy.deepcopy(network)
        self.average = network.requires_grad_(False)
        self.decay = decay
        self.steps = torch.zeros((), device=next(network.parameters()).device)  # so far; float32 counts to 16 million

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights that an optimiser has just changed into the average."""
        share = 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)
        for average, weight in zip(self.average.parameters(), self.learning.parameters(), strict=True):
            average.lerp_(weight, share)
        for kept, value in zip(self.average.buffers(), self.learning.buffers(), strict=True):
            kept.copy_(value)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """What goes beside the average, which is one of the trainer's networks."""
        return {"learning": self.learning.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`, in place."""
        self.learning.load_state_dict(state["learning"])
        self.steps.copy_(state["steps"])
