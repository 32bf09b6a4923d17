"""A training step as one CUDA graph: recorded once, then replayed without Python between its thousand kernels."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

EAGER_STEPS = 3  # before recording: libraries choose their algorithms and optimisers make their state
AGREEMENT = 0.05  # relative difference of losses, recorded to eager, that low precision may make

Tensors = dict[str, Tensor]
log = logging.getLogger("synthct")


class Recordable(Protocol):
    """What is asked of a trainer whose step is to be recorded; see :class:`synthct.training.trainer.Trainer`."""

    @property
    def device(self) -> torch.device: ...

    @property
    def pools(self) -> Mapping[str, Any]: ...

    def training_step(self, batch: Tensors) -> Tensors: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def recorded_step(trainer: Recordable, n_processes: int = 1) -> Callable[[Tensors], Tensors]:
    """The trainer's step as a CUDA graph; the step itself on other devices and with several processes.

    Args:
        trainer: whose ``training_step`` is recorded.
        n_processes: that train together.

    Returns:
        A function that is called as ``training_step`` is.
    """
    if trainer.device.type == "cuda" and n_processes == 1:
        return RecordedStep(trainer)
    return trainer.training_step


class RecordedStep:
    """Steps of a trainer on a CUDA GPU; where recording fails they go on one kernel after the other, with a warning.

    Batches must keep their shapes. The recorded step is compared with an eager one from the same state before it is
    trusted.

    Args:
        trainer: whose ``training_step`` is recorded; its ``state_dict``, ``load_state_dict`` and ``pools`` are used.
    """

    def __init__(self, trainer: Recordable) -> None:
        self.trainer = trainer
        self.eager_steps_left: int | None = EAGER_STEPS  # None: eager for good
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensors = {}
        self.losses: Tensors = {}

    def __call__(self, batch: Tensors) -> Tensors:
        """One step; the losses are the caller's to keep."""
        if self.graph is not None:
            return self._replay(batch)
        if self.eager_steps_left is None:
            return self.trainer.training_step(batch)
        if self.eager_steps_left > 0:
            self.eager_steps_left -= 1
            return self._beside(self.trainer.training_step, batch)
        return self._record_and_compare(batch)

    def _record_and_compare(self, batch: Tensors) -> Tensors:
        before = copy.deepcopy(self.trainer.state_dict())
        expected = self._beside(self.trainer.training_step, batch)
        # A copy: optimisers go on in the memory that they are given.
        self.trainer.load_state_dict(copy.deepcopy(before))
        try:
            self._record(batch)
            losses = self._replay(batch)
            worst = max(abs(float(losses[name] - loss)) / (abs(float(loss)) + 1e-3) for name, loss in expected.items())
            if not worst < AGREEMENT:
                raise RuntimeError(f"its losses differ by {worst:.1%} from an eager step's")
        except RuntimeError as fault:
            reason = (str(fault).splitlines() or ["no reason given"])[0]
            log.warning("The step cannot be recorded as a CUDA graph and stays slower: %s.", reason)
            self.graph, self.eager_steps_left = None, None
            self.trainer.load_state_dict(before)
            return self.trainer.training_step(batch)
        log.info("step: recorded as a CUDA graph")
        return losses

    def _record(self, batch: Tensors) -> None:
        self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
        before = [(pool, pool.generator.get_state(), pool.count) for pool in self.trainer.pools.values()]
        self._draw(batch)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.losses = self.trainer.training_step(self.inputs)
        for pool, generator, count in before:  # recording drew for a step that has not been made yet
            pool.generator.set_state(generator)
            pool.count = count
        self.graph = graph

    def _replay(self, batch: Tensors) -> Tensors:
        self._draw(batch)
        for name, tensor in batch.items():
            self.inputs[name].copy_(tensor, non_blocking=True)
        assert self.graph is not None
        self.graph.replay()
        return {name: loss.clone() for name, loss in self.losses.items()}

    def _draw(self, batch: Tensors) -> None:
        for pool in self.trainer.pools.values():
            pool.draw(len(batch["mr"]))

    def _beside(self, step: Callable[[Tensors], Tensors], batch: Tensors) -> Tensors:
        """On a stream of its own, as the warm-up of a recording must be."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return losses
