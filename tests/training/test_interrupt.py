from __future__ import annotations

import os
import signal

import pytest

from synthct.training.interrupt import SAME_REQUEST_SECONDS, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_makes_a_request(number):
    with stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop


def test_a_signal_that_is_passed_on_a_second_time_is_the_same_request():
    with stop_on_signals() as stop:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stop


def test_a_signal_seconds_after_the_first_ends_at_once():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        stop.made_at -= SAME_REQUEST_SECONDS
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
