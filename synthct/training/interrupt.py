"""Ctrl-C and SIGTERM end a training after the step at hand, so that its state can be saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A second signal within this time is the same request: ``timeout`` and ``torchrun`` pass a signal on that the process
# group has got already.
SAME_REQUEST_SECONDS = 2.0


class StopRequest:
    """True once the user, or a batch system, has asked for the end."""

    def __init__(self) -> None:
        self.made = False
        self.made_at = 0.0

    def __bool__(self) -> bool:
        return self.made

    def make(self, signal_number: int, frame: FrameType | None) -> None:
        """The signal handler; a second signal, seconds later, does not wait for the step."""
        now = time.monotonic()
        if not self.made:
            self.made, self.made_at = True, now
        elif now - self.made_at > SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, SIGINT and SIGTERM only make a request. Signals can be caught in the main thread only."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.make) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
