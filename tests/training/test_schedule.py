from __future__ import annotations

import pytest
from tiny_training import make_training

from synthct.errors import TrainingError
from synthct.training.schedule import learning_rate_factor, shorten


def test_rate_is_that_of_the_seed():
    training = make_training(epochs_constant=100, epochs_decay=100)
    assert learning_rate_factor(0, training) == 1
    assert learning_rate_factor(99, training) == 1
    assert learning_rate_factor(100, training) == pytest.approx(1 - 1 / 101)
    assert learning_rate_factor(199, training) == pytest.approx(1 / 101)


def test_without_decay_the_rate_is_constant():
    assert learning_rate_factor(4, make_training(epochs_constant=5, epochs_decay=0)) == 1


@pytest.mark.parametrize(
    ("before", "epochs", "after"),
    [((100, 100), 20, (10, 10)), ((100, 100), 1, (1, 0)), ((150, 50), 8, (6, 2)), ((100, 100), 400, (200, 200))],
)
def test_shorten_keeps_the_proportion(before, epochs, after):
    shortened = shorten(make_training(epochs_constant=before[0], epochs_decay=before[1]), epochs, None)
    assert (shortened.epochs_constant, shortened.epochs_decay) == after


def test_shorten_sets_iterations_and_none_keeps_everything():
    training = make_training()
    assert shorten(training, None, 7).iterations_per_epoch == 7
    assert shorten(training, None, None) == training


@pytest.mark.parametrize("arguments", [(0, None), (None, 0), (-3, None)])
def test_shorten_refuses_nothing(arguments):
    with pytest.raises(TrainingError, match="at least 1"):
        shorten(make_training(), *arguments)
