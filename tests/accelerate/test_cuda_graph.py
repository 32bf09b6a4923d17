"""The bookkeeping around a recorded step, with a stand-in for CUDA's graphs; the graphs themselves need a GPU."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from tiny_training import make_trainer

from synthct.accelerate.cuda_graph import EAGER_STEPS, RecordedStep, recorded_step
from synthct.plugins import TRAINERS


class _Graph:
    """Replays by running the step again; recording leaves no trace in the trainer, as on a GPU."""

    step: RecordedStep
    spoiled = False

    def replay(self) -> None:
        losses = self.step.trainer.training_step(self.step.inputs)
        for name, loss in losses.items():
            self.step.losses[name].copy_(loss * (2 if self.spoiled else 1))


@pytest.fixture
def recorded(monkeypatch):
    """A trainer's RecordedStep on the CPU."""

    def make(trainer) -> RecordedStep:
        step = RecordedStep(trainer)

        @contextlib.contextmanager
        def graph(_):
            before = copy.deepcopy(trainer.state_dict())
            yield
            trainer.load_state_dict(before)

        monkeypatch.setattr(_Graph, "step", step, raising=False)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        monkeypatch.setattr(RecordedStep, "_beside", lambda self, step, batch: step(batch))
        return step

    return make


def batches(n: int):
    generator = torch.Generator().manual_seed(0)
    for _ in range(n):
        mr, ct = (torch.rand(1, 1, 32, 32, generator=generator) * 2 - 1 for _ in range(2))
        yield {"mr": mr, "ct": ct, "known": torch.ones_like(ct), "head": torch.ones_like(ct)}


def weights(trainer) -> list[torch.Tensor]:
    return [weight.detach().clone() for network in trainer.networks.values() for weight in network.parameters()]


@pytest.mark.parametrize("name", list(TRAINERS.ours))
def test_recorded_steps_are_the_eager_ones(name, recorded):
    eager, trainer = (make_trainer(name) for _ in range(2))
    step = recorded(trainer)
    for number, batch in enumerate(batches(EAGER_STEPS + 9)):
        rate = 2e-4 if number < EAGER_STEPS + 5 else 1e-4
        for each_trainer in (eager, trainer):
            each_trainer.set_learning_rate(rate)
        expected, found = eager.training_step(batch), step(batch)
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert step.graph is not None
    assert all(
        torch.equal(eager_weight, other) for eager_weight, other in zip(weights(eager), weights(trainer), strict=True)
    )
    for name, pool in eager.pools.items():
        assert torch.equal(pool.generator.get_state(), trainer.pools[name].generator.get_state())
        assert torch.equal(pool.images[:-1], trainer.pools[name].images[:-1])


def test_losses_handed_out_are_not_overwritten_by_the_next_step(recorded):
    step = recorded(make_trainer("cyclegan"))
    held = [step(batch)["cycle_mr"] for batch in batches(EAGER_STEPS + 5)]
    assert len({loss.item() for loss in held}) == len(held)


@pytest.mark.parametrize("failure", ["not recordable", "other losses"])
def test_a_step_that_cannot_be_recorded_goes_on_eagerly_and_says_so(failure, recorded, monkeypatch, caplog):
    eager, trainer = (make_trainer("cyclegan") for _ in range(2))
    step = recorded(trainer)
    if failure == "not recordable":

        def refuse(self, batch):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        monkeypatch.setattr(RecordedStep, "_record", refuse)
    else:
        monkeypatch.setattr(_Graph, "spoiled", True)
    for batch in batches(EAGER_STEPS + 3):
        expected, found = eager.training_step(batch), step(batch)
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert step.graph is None
    assert all(
        torch.equal(eager_weight, other) for eager_weight, other in zip(weights(eager), weights(trainer), strict=True)
    )
    assert caplog.text.count("cannot be recorded as a CUDA graph") == 1
    assert ("operation not permitted" if failure == "not recordable" else "losses differ by 9") in caplog.text


def test_a_cpu_and_several_processes_step_eagerly(monkeypatch):
    trainer = make_trainer("cyclegan")
    assert recorded_step(trainer) == trainer.training_step
    monkeypatch.setattr(trainer, "device", torch.device("cuda"))
    assert isinstance(recorded_step(trainer), RecordedStep)
    assert recorded_step(trainer, n_processes=2) == trainer.training_step
