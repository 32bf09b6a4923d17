"""Notices that training steps have become much slower than the first ones were."""

from __future__ import annotations

import logging
import statistics

FIRST_STEPS_LEFT_OUT = 3  # in which libraries choose their algorithms
FIRST_STEPS = 10  # whose median is compared with
TIMES_AS_LONG = 10.0
SLOW_IN_A_ROW = 3  # a single slow step says nothing of the machine

log = logging.getLogger("synthct")


class SlowSteps:
    """Warns once when steps take ten times what the first ones took."""

    def __init__(self) -> None:
        self._first: list[float] = []
        self._seen = self._slow = 0
        self._warned = False

    def note(self, seconds: float) -> None:
        """Take notice of a step.

        Args:
            seconds: that it took, without the wait for its slices.
        """
        self._seen += 1
        if self._warned or self._seen <= FIRST_STEPS_LEFT_OUT:
            return
        if len(self._first) < FIRST_STEPS:
            self._first.append(seconds)
            return
        usual = statistics.median(self._first)
        self._slow = self._slow + 1 if seconds >= TIMES_AS_LONG * usual else 0
        if self._slow >= SLOW_IN_A_ROW:
            self._warned = True
            log.warning(
                f"A training step takes {1000 * seconds:.0f} ms now; the first ones took {1000 * usual:.0f} ms. Most "
                "likely other programs use the processor cores: end them, or stop the training (Ctrl-C) and go on with "
                "--continue --threads N, where N is the number of cores that they leave free."
            )
