"""One thing that quality assurance checks: a measured value, the range it is compared with, and the sentence for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthct.qa.acceptance_range import Limits

QaStatus = Literal["pass", "check", "fail"]
SEVERITY: dict[QaStatus, int] = {"pass": 0, "check": 1, "fail": 2}


@dataclass(frozen=True)
class Check:
    """A value beside its range.

    Attributes:
        name: short, with the unit, such as ``cranium_left_right_mm``.
        what: begins a sentence, such as "The skull's width".
        unit: to be read after a number; "" for ratios.
        whose: the patients that the range is from, such as "training patients".
        hint: a sentence: what may be wrong, and what to do.
    """

    name: str
    what: str
    value: float
    unit: str
    limits: Limits
    whose: str
    hint: str

    @property
    def status(self) -> QaStatus:
        """Of this check alone."""
        return self.limits.status(self.value)

    @property
    def sentence(self) -> str:
        """What was measured, what it is compared with, and what to do."""
        return f"{self.what} is {self._number(self.value)}; {self._range()}. {self.hint}"

    def _range(self) -> str:
        low, high, n = self.limits.low, self.limits.high, self.limits.n_patients
        if np.isinf(low):
            span = f"at most {self._number(high)}"
        elif np.isinf(high):
            span = f"at least {self._number(low)}"
        else:
            span = f"{self._number(low, unit=False)} to {self._number(high)}"
        if n == 0:
            return f"{self.whose} have {span}"
        return f"after {n} {self.whose}, {span} is expected"

    def _number(self, value: float, unit: bool = True) -> str:
        text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{text}{'' if self.unit in ('', '%') else ' '}{self.unit}" if unit else text
